// Pixels: what gfxd does to them, as pure functions on memory that somebody else owns.
//
// A Pixel is four bytes, red first, premultiplied by its alpha. Source bytes may come straight from
// a client's region and may change while they are read: every function gives some picture for any
// bytes whatever. What is drawn in parts, each with a clip of its own, is the same picture.
#ifndef PARLEY_SERVERS_GFXD_PIXEL_H_
#define PARLEY_SERVERS_GFXD_PIXEL_H_

#include <climits>
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

Rect Union(const Rect& a, const Rect& b);  // the least that covers both; an empty one counts not
constexpr bool IsEmpty(const Rect& rect) { return rect.width <= 0 || rect.height <= 0; }
constexpr int64_t AreaOf(const Rect& rect) { return int64_t{rect.width} * rect.height; }

// REQUIRES of both: `pixels` holds width * height pixels, row after row.
struct Canvas {
  Pixel* pixels = nullptr;
  int width = 0;
  int height = 0;
  Rect clip = {0, 0, INT_MAX, INT_MAX};  // nothing is drawn outside
  Rect bounds() const { return Intersect({0, 0, width, height}, clip); }
  Pixel* row(int y) const { return pixels + static_cast<ptrdiff_t>(y) * width; }
};
struct Picture {
  const Pixel* pixels = nullptr;
  int width = 0;
  int height = 0;
  const Pixel* row(int y) const { return pixels + static_cast<ptrdiff_t>(y) * width; }
};

// Pixels as clients have them; of several bytes the lowest first.
enum class PixelFormat : uint8_t {
  kRgba,    // a Pixel
  kBgra,    // the same, blue first
  kRgb565,  // two bytes, blue in the lowest bits; opaque
  kGray8,   // one byte; opaque
};
constexpr size_t BytesPerPixel(PixelFormat format) {
  return format == PixelFormat::kGray8 ? 1 : format == PixelFormat::kRgb565 ? 2 : sizeof(Pixel);
}
// REQUIRES: `bytes` holds width * height pixels, row after row. It may lie at any address.
struct Image {
  const std::byte* bytes = nullptr;
  int width = 0;
  int height = 0;
  PixelFormat format = PixelFormat::kRgba;
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

// Source-over of an image, scaled to `rect` (bilinear, in both directions); clipped.
void Blend(Canvas canvas, const Image& image, Rect rect);

// Converts a frame, scales it to `rect` in the same way and draws it opaque; clipped.
void DrawYuv(Canvas canvas, const YuvFrame& frame, Rect rect);

// Three bytes a pixel, red first, alpha left out: what encoders take.
void ToRgb(Picture picture, std::vector<uint8_t>& rgb);

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_PIXEL_H_
