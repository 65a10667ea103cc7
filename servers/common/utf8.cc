// UTF-8. See utf8.h.
#include "servers/common/utf8.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_format.h"

namespace common {
namespace {

bool IsControl(absl::string_view code_point) {
  const auto first = static_cast<uint8_t>(code_point[0]);
  if (code_point.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<uint8_t>(code_point[1]) < 0xa0;  // C1: U+0080 to U+009F
}

}  // namespace

size_t CodePointBytesOfFirst(char first) {
  const auto byte = static_cast<uint8_t>(first);
  if (byte < 0x80) return 1;
  if (byte < 0xc2) return 0;  // a later byte, or a form too long
  if (byte < 0xe0) return 2;
  if (byte < 0xf0) return 3;
  return byte < 0xf5 ? 4 : 0;
}

size_t CodePointBytes(absl::string_view text) {
  if (text.empty()) return 0;
  const size_t size = CodePointBytesOfFirst(text[0]);
  if (size == 0 || size > text.size()) return 0;
  for (const char later : text.substr(1, size - 1)) {
    if ((static_cast<uint8_t>(later) & 0xc0) != 0x80) return 0;
  }
  if (size < 3) return size;
  // Forms too long, surrogates, and what lies beyond Unicode's end.
  const auto first = static_cast<uint8_t>(text[0]), second = static_cast<uint8_t>(text[1]);
  const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
                   (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90);
  return bad ? 0 : size;
}

std::string Printable(absl::string_view text) {
  std::string printable;
  while (!text.empty()) {
    const size_t size = CodePointBytes(text);
    const absl::string_view piece = text.substr(0, std::max<size_t>(size, 1));
    text.remove_prefix(piece.size());
    if (size > 0 && !IsControl(piece)) {
      printable.append(piece.data(), piece.size());
      continue;
    }
    for (const char byte : piece) {
      absl::StrAppendFormat(&printable, "\\x%02x", static_cast<uint8_t>(byte));
    }
  }
  return printable;
}

}  // namespace common
