// Pixels: what gfxd does to them, as pure functions on memory that somebody else owns.
//
// A Pixel is four bytes, red first, premultiplied by its alpha. Source bytes may come straight from
// a client's region and may change while they are read: every function gives some picture for any
// bytes whatever.
#ifndef PARLEY_SERVERS_GFXD_PIXEL_H_
#define PARLEY_SERVERS_GFXD_PIXEL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace gfxd {

using Pixel = uint32_t;  // red in the lowest byte, then green, blue, alpha

constexpr Pixel Rgba(uint32_t red, uint32_t green, uint32_t blue, uint32_t alpha = 255) {
  return red | green << 8 | blue << 16 | alpha << 24;
}

struct Rect {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
  friend bool operator==(const Rect&, const Rect&) = default;
};
Rect Intersect(const Rect& a, const Rect& b);  // width and height 0 if they do not meet

// REQUIRES of both: `pixels` holds width * height pixels, row after row.
struct Canvas {
  Pixel* pixels = nullptr;
  int width = 0;
  int height = 0;
  Rect bounds() const { return {0, 0, width, height}; }
  Pixel* row(int y) const { return pixels + static_cast<ptrdiff_t>(y) * width; }
};
struct Picture {
  const Pixel* pixels = nullptr;
  int width = 0;
  int height = 0;
  const Pixel* row(int y) const { return pixels + static_cast<ptrdiff_t>(y) * width; }
};

// A planar YUV 4:2:0 frame of 8 bits, limited range: luma, then both chroma planes at half the
// size, rounded up.
enum class Matrix : uint8_t { kBt601, kBt709 };
struct YuvFrame {
  const uint8_t* bytes = nullptr;  // YuvBytes(width, height) of them
  int width = 0;
  int height = 0;
  Matrix matrix = Matrix::kBt601;
};
constexpr size_t YuvBytes(int width, int height) {
  const size_t chroma =
      static_cast<size_t>((width + 1) / 2) * static_cast<size_t>((height + 1) / 2);
  return static_cast<size_t>(width) * static_cast<size_t>(height) + 2 * chroma;
}

// Fills the part of `rect` that lies on the canvas.
void Fill(Canvas canvas, Rect rect, Pixel color);

// Source-over of a picture, its top left corner at (x, y); clipped.
void BlendOver(Canvas canvas, Picture picture, int x, int y);

// Converts a frame, scales it to `rect` (bilinear, in both directions) and draws it opaque;
// clipped.
void DrawYuv(Canvas canvas, const YuvFrame& frame, Rect rect);

// Three bytes a pixel, red first, alpha left out: what encoders take.
void ToRgb(Picture picture, std::vector<uint8_t>& rgb);

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_PIXEL_H_
