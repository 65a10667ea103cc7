// Formatting.
#include "apps/parley/text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley_tool {

std::string FormatNs(int64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < 1000) return absl::StrFormat("%d ns", ns);
  if (ns < 1'000'000) return absl::StrFormat("%.3g us", value / 1e3);
  if (ns < 1'000'000'000) return absl::StrFormat("%.3g ms", value / 1e6);
  return absl::StrFormat("%.3f s", value / 1e9);
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return absl::StrFormat("%.1f %s", value, unit);
}

std::string JsonString(std::string_view text) {
  std::string json = "\"";
  for (char letter : text) {
    if (letter == '"' || letter == '\\') {
      json += '\\';
      json += letter;
    } else if (static_cast<unsigned char>(letter) < 0x20) {
      absl::StrAppendFormat(&json, "\\u%04x", static_cast<unsigned char>(letter));
    } else {
      json += letter;
    }
  }
  return json + '"';
}

std::string XmlText(std::string_view text) {
  std::string xml;
  for (char letter : text) {
    switch (letter) {
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      case '&':
        xml += "&amp;";
        break;
      case '"':
        xml += "&quot;";
        break;
      default:
        xml += static_cast<unsigned char>(letter) < 0x20 ? ' ' : letter;
    }
  }
  return xml;
}

}  // namespace parley_tool
