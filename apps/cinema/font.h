// A font of 5 x 7 dots and how to draw it: enough for a clock and a counter.
#ifndef PARLEY_APPS_CINEMA_FONT_H_
#define PARLEY_APPS_CINEMA_FONT_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace cinema {

inline constexpr int kGlyphWidth = 5;    // dots
inline constexpr int kGlyphHeight = 7;   // dots
inline constexpr int kGlyphAdvance = 6;  // dots from one letter to the next

// Seven rows from the top, five bits each, the leftmost dot in bit 4. Small letters look like
// capitals; what the font lacks is a filled box.
using Glyph = std::array<uint8_t, kGlyphHeight>;
Glyph GlyphOf(char letter);

// Draws `text` with its top left corner at (x, y), each dot `scale` pixels wide and high, onto
// `pixels`, rows of `width` each. What lies outside is left out. Returns the x after the last
// letter.
int DrawText(absl::Span<uint32_t> pixels, int width, int x, int y, int scale, uint32_t color,
             std::string_view text);

}  // namespace cinema

#endif  // PARLEY_APPS_CINEMA_FONT_H_
