// Text from strangers: its code points, and a form of it that is safe to show.
#ifndef PARLEY_SERVERS_COMMON_UTF8_H_
#define PARLEY_SERVERS_COMMON_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace common {

inline constexpr size_t kMaxCodePointBytes = 4;

// How many bytes the code point at the beginning has; 0: none is there that UTF-8 permits.
size_t CodePointBytes(absl::string_view text);
// How many bytes a code point has that begins with this one; 0: none does.
size_t CodePointBytesOfFirst(char first);

// With "\xNN" for each byte that is a control character (C0, DEL, C1) or not UTF-8, so that no
// terminal does what the text says.
std::string Printable(absl::string_view text);

}  // namespace common

#endif  // PARLEY_SERVERS_COMMON_UTF8_H_
