// The clock and the frame counter above the film.
#include <cstdio>
#include <string>

#include "absl/strings/str_format.h"
#include "apps/cinema/cinema.h"
#include "apps/cinema/font.h"
#include "apps/cinema/painted_surface.h"

namespace cinema {
namespace {

constexpr int kScale = 3;  // pixels a dot
constexpr int kMargin = 9;
constexpr int kLetters = 19;
constexpr int kWidth = kLetters * kGlyphAdvance * kScale - kScale + 2 * kMargin;
constexpr int kHeight = kGlyphHeight * kScale + 2 * kMargin;
constexpr uint32_t kPanel = 0xA8000000;   // black, two thirds opaque
constexpr uint32_t kLetter = 0xFFE8F4FF;  // nearly white
constexpr double kPaintNs = 5;            // CPU time for a pixel

absl::Status Show(ipc::Process& self, Way way) {
  auto surface = PaintedSurface::Make(self, way, {-32, 24, kWidth, kHeight, 20});
  if (!surface.ok()) return surface.status();
  const absl::Time start = self.Now();
  for (;;) {
    const auto frame = surface->WaitForFrame();
    if (!frame.ok()) return absl::OkStatus();
    const double seconds = absl::ToDoubleSeconds(self.Now() - start);
    const absl::Span<uint32_t> pixels = surface->pixels();
    std::fill(pixels.begin(), pixels.end(), kPanel);
    const std::string text = absl::StrFormat("%5.2f s  frame %4d", seconds, *frame);
    DrawText(pixels, kWidth, kMargin, kMargin, kScale, kLetter, text);
    self.Charge(absl::Nanoseconds(kPaintNs * static_cast<double>(pixels.size())));
    if (absl::Status status = surface->Present(); !status.ok()) return status;
    self.Count("frames");
  }
}

}  // namespace

int Overlay(ipc::Process& self) {
  const bool inline_frames = !self.arguments().empty() && self.arguments()[0] == "--inline";
  const absl::Status status = Show(self, inline_frames ? Way::kInline : Way::kRegion);
  if (status.ok()) return 0;
  std::fprintf(stderr, "overlay: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace cinema
