// Fill, source-over and YUV conversion, both combined with bilinear scaling. See pixel.h.
#include "servers/gfxd/pixel.h"

#include <algorithm>
#include <cstring>

namespace gfxd {
namespace {

// Where one output column or row lies between two samples of the source; weight_next of 256.
struct Tap {
  int index = 0;
  int next = 0;
  int weight_next = 0;
};

// The samples for output position `at` of `out_size`, for a source of `in_size`. Centres are
// aligned, edges repeated.
Tap TapAt(int at, int out_size, int in_size) {
  const int64_t position = ((2 * int64_t{at} + 1) * in_size * 128) / out_size - 128;  // in 1/256
  const int64_t clamped = std::clamp<int64_t>(position, 0, (int64_t{in_size} - 1) * 256);
  const int index = static_cast<int>(clamped >> 8);
  return {index, std::min(index + 1, in_size - 1), static_cast<int>(clamped & 255)};
}

std::vector<Tap> TapsFor(int first, int count, int out_size, int in_size) {
  std::vector<Tap> taps(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    taps[static_cast<size_t>(i)] = TapAt(first + i, out_size, in_size);
  }
  return taps;
}

struct Plane {
  const uint8_t* bytes;
  int width;
  int height;
};

// One row between two rows of a plane: what the taps in x need of it.
void MixRows(const Plane& plane, const Tap& tap, const std::vector<Tap>& taps, uint8_t* out) {
  const uint8_t* above = plane.bytes + static_cast<ptrdiff_t>(tap.index) * plane.width;
  const uint8_t* below = plane.bytes + static_cast<ptrdiff_t>(tap.next) * plane.width;
  const int weight = tap.weight_next;
  for (int x = taps.front().index; x <= taps.back().next; ++x) {
    out[x] = static_cast<uint8_t>((above[x] * (256 - weight) + below[x] * weight + 128) >> 8);
  }
}

int Sample(const uint8_t* row, const Tap& tap) {
  return (row[tap.index] * (256 - tap.weight_next) + row[tap.next] * tap.weight_next + 128) >> 8;
}

// Coefficients in 1/256 (ITU-R BT.601 and BT.709, limited range).
struct Coefficients {
  int luma, red_v, green_u, green_v, blue_u;
};
constexpr Coefficients kBt601 = {298, 409, 100, 208, 516};
constexpr Coefficients kBt709 = {298, 459, 55, 136, 541};

uint32_t ToByte(int value) { return static_cast<uint32_t>(std::clamp(value >> 8, 0, 255)); }

Pixel Convert(const Coefficients& c, int y, int u, int v) {
  const int luma = (y - 16) * c.luma + 128;
  const int blue_difference = u - 128;
  const int red_difference = v - 128;
  return Rgba(ToByte(luma + c.red_v * red_difference),
              ToByte(luma - c.green_u * blue_difference - c.green_v * red_difference),
              ToByte(luma + c.blue_u * blue_difference));
}

// Channel by channel, clamped: a client's colours may exceed its alpha.
Pixel Over(Pixel source, Pixel below) {
  const uint32_t keep = 255 - (source >> 24);
  Pixel result = 0;
  for (int shift = 0; shift < 32; shift += 8) {
    const uint32_t scaled = ((below >> shift & 255) * keep + 127) / 255;
    result |= std::min<uint32_t>((source >> shift & 255) + scaled, 255) << shift;
  }
  return result;
}

void OverRow(const Pixel* source, int count, Pixel* out) {
  for (int i = 0; i < count; ++i) {
    const Pixel pixel = source[i];
    if (pixel >> 24 == 255) {
      out[i] = pixel;
    } else if (pixel != 0) {
      out[i] = Over(pixel, out[i]);
    }
  }
}

uint32_t ByteAt(const std::byte* bytes) { return std::to_integer<uint32_t>(*bytes); }

// `count` pixels of a row, from `first` on, as Pixels: where they are, or in `buffer`.
const Pixel* RowOf(const Image& image, int y, int first, int count, Pixel* buffer) {
  const ptrdiff_t size = static_cast<ptrdiff_t>(BytesPerPixel(image.format));
  const std::byte* bytes = image.bytes + (static_cast<ptrdiff_t>(y) * image.width + first) * size;
  if (image.format == PixelFormat::kRgba) {
    if (reinterpret_cast<uintptr_t>(bytes) % alignof(Pixel) == 0) {
      return reinterpret_cast<const Pixel*>(bytes);
    }
    std::memcpy(buffer, bytes, static_cast<size_t>(count) * sizeof(Pixel));
    return buffer;
  }
  for (int i = 0; i < count; ++i, bytes += size) {
    if (image.format == PixelFormat::kBgra) {
      buffer[i] = Rgba(ByteAt(bytes + 2), ByteAt(bytes + 1), ByteAt(bytes), ByteAt(bytes + 3));
    } else if (image.format == PixelFormat::kRgb565) {
      const uint32_t bits = ByteAt(bytes) | ByteAt(bytes + 1) << 8;
      const uint32_t red = bits >> 11, green = bits >> 5 & 63, blue = bits & 31;
      buffer[i] = Rgba(red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2);
    } else {
      buffer[i] = Rgba(ByteAt(bytes), ByteAt(bytes), ByteAt(bytes));
    }
  }
  return buffer;
}

// Two channels at a time: a sum of two has room in 16 bits.
Pixel Mix(Pixel a, Pixel b, int weight_next) {
  const auto weight = static_cast<uint32_t>(weight_next);
  constexpr uint32_t kTwo = 0x00FF00FF, kHalf = 0x00800080;
  const uint32_t low = ((a & kTwo) * (256 - weight) + (b & kTwo) * weight + kHalf) >> 8 & kTwo;
  const uint32_t high =
      ((a >> 8 & kTwo) * (256 - weight) + (b >> 8 & kTwo) * weight + kHalf) & ~kTwo;
  return low | high;
}

void BlendScaled(Canvas canvas, const Image& image, const Rect& rect, const Rect& visible) {
  const auto taps = TapsFor(visible.x - rect.x, visible.width, rect.width, image.width);
  const int first = taps.front().index, count = taps.back().next - first + 1;
  const auto row = [count] { return std::vector<Pixel>(static_cast<size_t>(count)); };
  std::vector<Pixel> above_row = row(), below_row = row(), mixed = row();
  std::vector<Pixel> scaled(taps.size());
  for (int y = visible.y; y < visible.y + visible.height; ++y) {
    const Tap tap = TapAt(y - rect.y, rect.height, image.height);
    const Pixel* above = RowOf(image, tap.index, first, count, above_row.data());
    const Pixel* below = RowOf(image, tap.next, first, count, below_row.data());
    for (size_t i = 0; i < mixed.size(); ++i) mixed[i] = Mix(above[i], below[i], tap.weight_next);
    for (size_t i = 0; i < taps.size(); ++i) {
      const auto at = static_cast<size_t>(taps[i].index - first);
      const auto next = static_cast<size_t>(taps[i].next - first);
      scaled[i] = Mix(mixed[at], mixed[next], taps[i].weight_next);
    }
    OverRow(scaled.data(), visible.width, canvas.row(y) + visible.x);
  }
}

}  // namespace

Rect Intersect(const Rect& a, const Rect& b) {
  const int64_t left = std::max(a.x, b.x);
  const int64_t top = std::max(a.y, b.y);
  const int64_t right = std::min(int64_t{a.x} + a.width, int64_t{b.x} + b.width);
  const int64_t bottom = std::min(int64_t{a.y} + a.height, int64_t{b.y} + b.height);
  return {static_cast<int>(left), static_cast<int>(top),
          static_cast<int>(std::max<int64_t>(right - left, 0)),
          static_cast<int>(std::max<int64_t>(bottom - top, 0))};
}

Rect Union(const Rect& a, const Rect& b) {
  if (IsEmpty(a)) return b;
  if (IsEmpty(b)) return a;
  const int left = std::min(a.x, b.x), top = std::min(a.y, b.y);
  return {left, top, std::max(a.x + a.width, b.x + b.width) - left,
          std::max(a.y + a.height, b.y + b.height) - top};
}

void Fill(Canvas canvas, Rect rect, Pixel color) {
  const Rect visible = Intersect(rect, canvas.bounds());
  for (int y = visible.y; y < visible.y + visible.height; ++y) {
    std::fill_n(canvas.row(y) + visible.x, visible.width, color);
  }
}

void Blend(Canvas canvas, const Image& image, Rect rect) {
  const Rect visible = Intersect(rect, canvas.bounds());
  if (IsEmpty(visible) || image.width <= 0 || image.height <= 0) return;
  if (rect.width != image.width || rect.height != image.height) {
    return BlendScaled(canvas, image, rect, visible);
  }
  std::vector<Pixel> buffer(static_cast<size_t>(visible.width));
  for (int y = visible.y; y < visible.y + visible.height; ++y) {
    const Pixel* source =
        RowOf(image, y - rect.y, visible.x - rect.x, visible.width, buffer.data());
    OverRow(source, visible.width, canvas.row(y) + visible.x);
  }
}

void DrawYuv(Canvas canvas, const YuvFrame& frame, Rect rect) {
  const Rect visible = Intersect(rect, canvas.bounds());
  if (IsEmpty(visible) || frame.width <= 0 || frame.height <= 0) return;
  const int chroma_width = (frame.width + 1) / 2;
  const int chroma_height = (frame.height + 1) / 2;
  const ptrdiff_t luma_bytes = static_cast<ptrdiff_t>(frame.width) * frame.height;
  const ptrdiff_t chroma_bytes = static_cast<ptrdiff_t>(chroma_width) * chroma_height;
  const Plane luma = {frame.bytes, frame.width, frame.height};
  const Plane blue = {frame.bytes + luma_bytes, chroma_width, chroma_height};
  const Plane red = {blue.bytes + chroma_bytes, chroma_width, chroma_height};

  const int first_x = visible.x - rect.x;
  const auto luma_taps = TapsFor(first_x, visible.width, rect.width, luma.width);
  const auto chroma_taps = TapsFor(first_x, visible.width, rect.width, chroma_width);
  const Coefficients c = frame.matrix == Matrix::kBt601 ? kBt601 : kBt709;
  std::vector<uint8_t> y_row(static_cast<size_t>(luma.width));
  std::vector<uint8_t> u_row(static_cast<size_t>(chroma_width));
  std::vector<uint8_t> v_row(static_cast<size_t>(chroma_width));
  for (int y = visible.y; y < visible.y + visible.height; ++y) {
    const Tap chroma_tap = TapAt(y - rect.y, rect.height, chroma_height);
    MixRows(luma, TapAt(y - rect.y, rect.height, luma.height), luma_taps, y_row.data());
    MixRows(blue, chroma_tap, chroma_taps, u_row.data());
    MixRows(red, chroma_tap, chroma_taps, v_row.data());
    Pixel* out = canvas.row(y) + visible.x;
    for (size_t i = 0; i < luma_taps.size(); ++i) {
      out[i] = Convert(c, Sample(y_row.data(), luma_taps[i]), Sample(u_row.data(), chroma_taps[i]),
                       Sample(v_row.data(), chroma_taps[i]));
    }
  }
}

void ToRgb(Picture picture, std::vector<uint8_t>& rgb) {
  const size_t count = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height);
  rgb.resize(count * 3);
  uint8_t* out = rgb.data();
  for (size_t i = 0; i < count; ++i, out += 3) {
    const Pixel pixel = picture.pixels[i];
    out[0] = static_cast<uint8_t>(pixel);
    out[1] = static_cast<uint8_t>(pixel >> 8);
    out[2] = static_cast<uint8_t>(pixel >> 16);
  }
}

}  // namespace gfxd
