// The pattern behind the film: slow waves in dark colours.
#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "apps/cinema/cinema.h"
#include "apps/cinema/painted_surface.h"

namespace cinema {
namespace {

constexpr double kPaintNs = 10;  // CPU time for a pixel
constexpr size_t kColors = 256;
constexpr double kTurn = 6.283185307179586;

// From deep blue over violet to a dim orange and back, without a seam.
std::array<uint32_t, kColors> MakePalette() {
  std::array<uint32_t, kColors> palette;
  for (size_t i = 0; i < kColors; ++i) {
    const double wave = 0.5 - 0.5 * std::cos(kTurn * static_cast<double>(i) / kColors);
    const auto red = static_cast<uint32_t>(14 + 62 * wave * wave);
    const auto green = static_cast<uint32_t>(16 + 26 * wave);
    const auto blue = static_cast<uint32_t>(38 + 50 * wave);
    palette[i] = 0xFF000000u | blue << 16 | green << 8 | red;
  }
  return palette;
}

// The height of a wave along one axis at each pixel, in colours.
std::vector<uint32_t> Wave(int length, double pixels_a_turn, double phase, double height) {
  std::vector<uint32_t> wave(static_cast<size_t>(length));
  for (size_t i = 0; i < wave.size(); ++i) {
    wave[i] = static_cast<uint32_t>(
        height * (1 + std::sin(kTurn * (static_cast<double>(i) / pixels_a_turn + phase))));
  }
  return wave;
}

void Paint(absl::Span<uint32_t> pixels, int width, int height, double seconds,
           const std::array<uint32_t, kColors>& palette) {
  const std::vector<uint32_t> columns = Wave(width, 620, seconds * 0.11, 90);
  const std::vector<uint32_t> rows = Wave(height, 340, -seconds * 0.07, 70);
  const auto drift = static_cast<uint32_t>(seconds * 24);
  uint32_t* out = pixels.data();
  for (size_t y = 0; y < rows.size(); ++y) {
    const uint32_t base = rows[y] + drift + static_cast<uint32_t>(y / 3);
    for (const uint32_t column : columns) *out++ = palette[(base + column) % kColors];
  }
}

absl::Status Show(ipc::Process& self, Way way) {
  auto surface = PaintedSurface::Make(self, way, {0, 0, 0, 0, 0});
  if (!surface.ok()) return surface.status();
  const std::array<uint32_t, kColors> palette = MakePalette();
  for (;;) {
    const double seconds = absl::ToDoubleSeconds(self.Now() - absl::UnixEpoch());
    const absl::Span<uint32_t> pixels = surface->pixels();
    Paint(pixels, surface->width(), surface->height(), seconds, palette);
    self.Charge(absl::Nanoseconds(kPaintNs * static_cast<double>(pixels.size())));
    if (absl::Status status = surface->Present(); !status.ok()) return status;
    self.Count("frames");
    if (!surface->WaitForFrame().ok()) return absl::OkStatus();
  }
}

}  // namespace

int Background(ipc::Process& self) {
  const bool inline_frames = !self.arguments().empty() && self.arguments()[0] == "--inline";
  const absl::Status status = Show(self, inline_frames ? Way::kInline : Way::kRegion);
  if (status.ok()) return 0;
  std::fprintf(stderr, "background: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace cinema
