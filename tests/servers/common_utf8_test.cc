// Code points, and text made safe to show, beside a decoder that is written from the definition.
#include <string>

#include "servers/common/utf8.h"
#include "tests/core/drive.h"

namespace {

using common::CodePointBytes;
using common::Printable;

// By the value that the bits make: each has one form, the shortest.
size_t BytesByDefinition(const std::string& text) {
  if (text.empty()) return 0;
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  size_t size = 1;
  uint32_t value = byte(0);
  if (value >= 0x80) {
    size = value >> 5 == 0x06 ? 2 : value >> 4 == 0x0e ? 3 : value >> 3 == 0x1e ? 4 : 0;
    if (size == 0 || text.size() < size) return 0;
    value &= 0x7fU >> size;
  }
  for (size_t i = 1; i < size; ++i) {
    if (byte(i) >> 6 != 2) return 0;
    value = value << 6 | (byte(i) & 0x3f);
  }
  const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value < 0xe000;
  return value < least[size] || surrogate || value > 0x10ffff ? 0 : size;
}

TEST_CASE("code points of every two bytes, and of a few more, are found by their definition") {
  for (uint32_t first = 0; first < 256; ++first) {
    for (uint32_t second = 0; second < 256; ++second) {
      for (const char* rest : {"", "\x80", "\xbf\x80", "\x80\x80", "a\x80"}) {
        const std::string text = {static_cast<char>(first), static_cast<char>(second)};
        REQUIRE(CodePointBytes(text + rest) == BytesByDefinition(text + rest));
      }
    }
  }
}

TEST_CASE("text is shown without control characters and broken bytes") {
  CHECK(Printable("plain \xc3\xa4 \xf0\x9f\x90\xa7") == "plain \xc3\xa4 \xf0\x9f\x90\xa7");
  CHECK(Printable("\x1b[2J\r\n\x7f") == "\\x1b[2J\\x0d\\x0a\\x7f");
  CHECK(Printable("\xc2\x9b") == "\\xc2\\x9b");  // CSI, as some terminals take it
  CHECK(Printable("\xff\xc3") == "\\xff\\xc3");
  CHECK(Printable(std::string(1, '\0')) == "\\x00");
}

}  // namespace
