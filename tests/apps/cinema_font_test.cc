// Tests of apps/cinema/font.h.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "apps/cinema/font.h"

namespace cinema {
namespace {

std::string Show(const std::vector<uint32_t>& pixels, int width) {
  std::string text;
  for (size_t i = 0; i < pixels.size(); ++i) {
    text += pixels[i] != 0 ? '#' : '.';
    if ((i + 1) % static_cast<size_t>(width) == 0) text += '\n';
  }
  return text;
}

TEST_CASE("a letter is drawn dot by dot") {
  std::vector<uint32_t> pixels(6 * 7);
  CHECK(DrawText(absl::MakeSpan(pixels), 6, 0, 0, 1, 9, "L") == kGlyphAdvance);
  CHECK(Show(pixels, 6) ==
        "#.....\n"
        "#.....\n"
        "#.....\n"
        "#.....\n"
        "#.....\n"
        "#.....\n"
        "#####.\n");
}

TEST_CASE("a dot is as many pixels wide and high as the scale says") {
  std::vector<uint32_t> pixels(10 * 14);
  DrawText(absl::MakeSpan(pixels), 10, 0, 0, 2, 9, "-");
  for (int y = 0; y < 14; ++y) {
    const bool dash = y == 6 || y == 7;
    for (int x = 0; x < 10; ++x) CHECK((pixels[static_cast<size_t>(y * 10 + x)] == 9) == dash);
  }
}

TEST_CASE("what lies outside is left out") {
  std::vector<uint32_t> guarded(3 + 4 * 4 + 3, 5);
  DrawText(absl::MakeSpan(guarded).subspan(3, 16), 4, -2, -3, 3, 9, "HELLO");
  for (size_t i = 0; i < 3; ++i) {
    CHECK(guarded[i] == 5);
    CHECK(guarded[guarded.size() - 1 - i] == 5);
  }
  DrawText({}, 0, 0, 0, 1, 9, "HELLO");
}

TEST_CASE("small letters look like capitals and an unknown one is a box") {
  CHECK(GlyphOf('q') == GlyphOf('Q'));
  CHECK(GlyphOf('~')[0] == 0x1F);
  CHECK(GlyphOf('~') == GlyphOf('\xff'));
}

TEST_CASE("no two letters of the font look the same") {
  const std::string letters = " !%()+,-./0123456789:=?ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (size_t i = 0; i < letters.size(); ++i) {
    CHECK(GlyphOf(letters[i]) != GlyphOf('~'));
    for (size_t j = 0; j < i; ++j) CHECK(GlyphOf(letters[i]) != GlyphOf(letters[j]));
  }
}

}  // namespace
}  // namespace cinema
