// Text for people and for formats: times with units, JSON strings, XML text.
#ifndef PARLEY_APPS_PARLEY_TEXT_H_
#define PARLEY_APPS_PARLEY_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace parley_tool {

std::string FormatNs(int64_t ns);               // "850 ns", "12.3 us", "4.56 ms", "1.20 s"
std::string FormatBytes(uint64_t bytes);        // "512 B", "1.2 MiB"
std::string JsonString(std::string_view text);  // with its quotes
std::string XmlText(std::string_view text);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_TEXT_H_
