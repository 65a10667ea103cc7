// Tests of servers/gfxd/pixel.h.
#include <doctest/doctest.h>

#include <cstdlib>
#include <vector>

#include "servers/gfxd/pixel.h"

namespace gfxd {
namespace {

struct Screen {
  Screen(int width, int height, Pixel color)
      : width(width), height(height), pixels(static_cast<size_t>(width * height), color) {}
  Canvas canvas() { return {pixels.data(), width, height}; }
  Picture picture() const { return {pixels.data(), width, height}; }
  Pixel at(int x, int y) const { return pixels[static_cast<size_t>(y * width + x)]; }
  int width, height;
  std::vector<Pixel> pixels;
};

constexpr Pixel kBlack = Rgba(0, 0, 0);
constexpr Pixel kWhite = Rgba(255, 255, 255);

Image ImageOf(const Pixel* pixels, int width, int height) {
  return {reinterpret_cast<const std::byte*>(pixels), width, height, PixelFormat::kRgba};
}

// A frame of one luma value and one chroma pair.
std::vector<uint8_t> Flat(int width, int height, uint8_t y, uint8_t u, uint8_t v) {
  const size_t luma = static_cast<size_t>(width * height);
  const size_t chroma = (YuvBytes(width, height) - luma) / 2;
  std::vector<uint8_t> bytes(luma, y);
  bytes.insert(bytes.end(), chroma, u);
  bytes.insert(bytes.end(), chroma, v);
  return bytes;
}

bool Near(Pixel pixel, int red, int green, int blue) {
  return std::abs(static_cast<int>(pixel & 255) - red) <= 2 &&
         std::abs(static_cast<int>(pixel >> 8 & 255) - green) <= 2 &&
         std::abs(static_cast<int>(pixel >> 16 & 255) - blue) <= 2 && pixel >> 24 == 255;
}

TEST_CASE("rectangles that do not meet have an empty intersection") {
  CHECK(Intersect({0, 0, 4, 4}, {2, 1, 9, 2}) == Rect{2, 1, 2, 2});
  const Rect none = Intersect({0, 0, 4, 4}, {4, 0, 1, 1});
  CHECK(none.width == 0);
  const Rect extreme = Intersect({0, 0, 4, 4}, {2147483647, 0, 2147483647, 4});
  CHECK(extreme.width == 0);
}

TEST_CASE("a fill touches the visible part of its rectangle only") {
  Screen screen(4, 3, kBlack);
  Fill(screen.canvas(), {-2, 1, 4, 9}, kWhite);
  const std::vector<Pixel> expected = {kBlack, kBlack, kBlack, kBlack,  //
                                       kWhite, kWhite, kBlack, kBlack,  //
                                       kWhite, kWhite, kBlack, kBlack};
  CHECK(screen.pixels == expected);
}

TEST_CASE("source-over of premultiplied pixels: opaque replaces, clear keeps, half mixes") {
  Screen screen(3, 1, kWhite);
  const Pixel sources[] = {Rgba(10, 20, 30), Rgba(0, 0, 0, 0), Rgba(64, 0, 0, 128)};
  Blend(screen.canvas(), ImageOf(sources, 3, 1), {0, 0, 3, 1});
  CHECK(screen.at(0, 0) == Rgba(10, 20, 30));
  CHECK(screen.at(1, 0) == kWhite);
  CHECK(screen.at(2, 0) == Rgba(191, 127, 127));
}

TEST_CASE("a colour that exceeds its alpha saturates and does not spill into its neighbour") {
  Screen screen(1, 1, kWhite);
  const Pixel source = Rgba(255, 200, 0, 1);
  Blend(screen.canvas(), ImageOf(&source, 1, 1), {0, 0, 1, 1});
  CHECK(screen.at(0, 0) == Rgba(255, 255, 254));
}

TEST_CASE("a blended picture is clipped on every side") {
  Screen screen(2, 2, kBlack);
  const std::vector<Pixel> big(16, kWhite);
  const Image image = ImageOf(big.data(), 4, 4);
  Blend(screen.canvas(), image, {-1, -1, 4, 4});
  CHECK(screen.pixels == std::vector<Pixel>(4, kWhite));
  Blend(screen.canvas(), image, {2, 0, 4, 4});
  Blend(screen.canvas(), image, {0, -4, 4, 4});
  CHECK(screen.pixels == std::vector<Pixel>(4, kWhite));
}

TEST_CASE("each pixel format names the same colours") {
  const uint8_t bgra[] = {0, 0, 255, 255, 30, 20, 10, 255};
  const uint8_t rgb565[] = {0x00, 0xF8, 0xE0, 0x07};  // red, green
  const uint8_t gray[] = {0, 77};
  const auto blended = [](const uint8_t* bytes, PixelFormat format) {
    Screen screen(2, 1, kWhite);
    const Image image = {reinterpret_cast<const std::byte*>(bytes), 2, 1, format};
    Blend(screen.canvas(), image, screen.canvas().bounds());
    return screen.pixels;
  };
  CHECK(blended(bgra, PixelFormat::kBgra) == std::vector<Pixel>{Rgba(255, 0, 0), Rgba(10, 20, 30)});
  CHECK(blended(rgb565, PixelFormat::kRgb565) ==
        std::vector<Pixel>{Rgba(255, 0, 0), Rgba(0, 255, 0)});
  CHECK(blended(gray, PixelFormat::kGray8) == std::vector<Pixel>{kBlack, Rgba(77, 77, 77)});
}

TEST_CASE("an image that is scaled up mixes neighbours, their alpha too, and repeats the edges") {
  Screen screen(4, 2, kBlack);
  const Pixel sources[] = {Rgba(0, 0, 0, 0), Rgba(240, 240, 240, 240)};
  Blend(screen.canvas(), ImageOf(sources, 2, 1), screen.canvas().bounds());
  for (int y = 0; y < 2; ++y) {
    CHECK(screen.at(0, y) == kBlack);
    CHECK(Near(screen.at(1, y), 60, 60, 60));
    CHECK(Near(screen.at(2, y), 180, 180, 180));
    CHECK(Near(screen.at(3, y), 240, 240, 240));
  }
}

TEST_CASE("an image drawn part by part is the same as drawn at once, scaled or not") {
  std::vector<Pixel> pixels(9 * 7);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<Pixel>(i * 2654435761u);
  for (const Rect place : {Rect{1, 2, 9, 7}, Rect{-3, -2, 25, 19}, Rect{2, 1, 4, 3}}) {
    Screen whole(16, 12, kWhite), parts(16, 12, kWhite);
    Blend(whole.canvas(), ImageOf(pixels.data(), 9, 7), place);
    for (int y = 0; y < 12; y += 5) {
      for (int x = 0; x < 16; x += 3) {
        Canvas canvas = parts.canvas();
        canvas.clip = {x, y, 3, 5};
        Blend(canvas, ImageOf(pixels.data(), 9, 7), place);
      }
    }
    CHECK(parts.pixels == whole.pixels);
  }
}

TEST_CASE("limited range: luma 16 is black and 235 is white, in both matrices") {
  for (const Matrix matrix : {Matrix::kBt601, Matrix::kBt709}) {
    Screen screen(2, 2, 0);
    const auto black = Flat(2, 2, 16, 128, 128), white = Flat(2, 2, 235, 128, 128);
    DrawYuv(screen.canvas(), {black.data(), 2, 2, matrix}, screen.canvas().bounds());
    CHECK(screen.pixels == std::vector<Pixel>(4, kBlack));
    DrawYuv(screen.canvas(), {white.data(), 2, 2, matrix}, screen.canvas().bounds());
    CHECK(screen.pixels == std::vector<Pixel>(4, kWhite));
  }
}

TEST_CASE("pure red, green and blue come back from each matrix's own code values") {
  struct Case {
    Matrix matrix;
    uint8_t y, u, v;
    int red, green, blue;
  };
  const Case cases[] = {
      {Matrix::kBt601, 81, 90, 240, 255, 0, 0},  {Matrix::kBt601, 145, 54, 34, 0, 255, 0},
      {Matrix::kBt601, 41, 240, 110, 0, 0, 255}, {Matrix::kBt709, 63, 102, 240, 255, 0, 0},
      {Matrix::kBt709, 173, 42, 26, 0, 255, 0},  {Matrix::kBt709, 32, 240, 118, 0, 0, 255},
  };
  for (const Case& c : cases) {
    Screen screen(2, 2, 0);
    const auto bytes = Flat(2, 2, c.y, c.u, c.v);
    DrawYuv(screen.canvas(), {bytes.data(), 2, 2, c.matrix}, screen.canvas().bounds());
    CHECK(Near(screen.at(1, 1), c.red, c.green, c.blue));
  }
}

TEST_CASE("at its own size a frame's luma is taken as it is, odd sizes included") {
  auto bytes = Flat(3, 3, 16, 128, 128);
  bytes[4] = 235;
  Screen screen(5, 5, 0);
  DrawYuv(screen.canvas(), {bytes.data(), 3, 3}, {1, 1, 3, 3});
  CHECK(screen.at(2, 2) == kWhite);
  CHECK(screen.at(1, 1) == kBlack);
  CHECK(screen.at(3, 2) == kBlack);
  CHECK(screen.at(0, 0) == 0);
  CHECK(screen.at(4, 4) == 0);
}

TEST_CASE("scaling up mixes neighbours and repeats the edges") {
  const std::vector<uint8_t> bytes = {16, 236, 128, 128};  // two luma samples, one chroma pair
  Screen screen(4, 1, 0);
  DrawYuv(screen.canvas(), {bytes.data(), 2, 1}, screen.canvas().bounds());
  CHECK(screen.at(0, 0) == kBlack);
  CHECK(Near(screen.at(1, 0), 64, 64, 64));  // a quarter of the way
  CHECK(Near(screen.at(2, 0), 192, 192, 192));
  CHECK(screen.at(3, 0) == kWhite);
}

TEST_CASE("a clipped frame shows the same pixels as the whole one") {
  std::vector<uint8_t> bytes(YuvBytes(8, 6));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37);
  Screen whole(20, 15, 0), part(7, 5, 0);
  DrawYuv(whole.canvas(), {bytes.data(), 8, 6}, {0, 0, 20, 15});
  DrawYuv(part.canvas(), {bytes.data(), 8, 6}, {-9, -6, 20, 15});
  for (int y = 0; y < part.height; ++y) {
    for (int x = 0; x < part.width; ++x) CHECK(part.at(x, y) == whole.at(x + 9, y + 6));
  }
}

TEST_CASE("encoders get three bytes a pixel, red first") {
  Screen screen(2, 1, Rgba(1, 2, 3));
  std::vector<uint8_t> rgb;
  ToRgb(screen.picture(), rgb);
  CHECK(rgb == std::vector<uint8_t>{1, 2, 3, 1, 2, 3});
}

}  // namespace
}  // namespace gfxd
