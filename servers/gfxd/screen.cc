// Framebuffers in one region. See screen.h.
#include "servers/gfxd/screen.h"

namespace gfxd {

absl::StatusOr<Screen> Screen::Make(ipc::Process& self, int width, int height) {
  const uint64_t bytes =
      static_cast<uint64_t>(width) * static_cast<uint64_t>(height) * sizeof(Pixel);
  auto framebuffers = self.CreateRegion(kFramebuffers * bytes, {.others_may_write = false});
  if (!framebuffers.ok()) return framebuffers.status();
  auto looked_at = self.CreateMutex();
  if (!looked_at.ok()) return looked_at.status();
  return Screen(*std::move(framebuffers), *std::move(looked_at), width, height);
}

Screen::Screen(ipc::Region framebuffers, ipc::Mutex looked_at, int width, int height)
    : framebuffers_(std::move(framebuffers)),
      looked_at_(std::move(looked_at)),
      width_(width),
      height_(height) {
  for (Damage& stale : stale_) stale.Add(Rect{0, 0, width, height});
}

Canvas Screen::CanvasOf(uint64_t frame) const {
  const ipc::MutableBytes pixels = framebuffers_.write().subspan(frame % kFramebuffers * bytes());
  return {reinterpret_cast<Pixel*>(pixels.data()), width_, height_};
}

std::pair<uint64_t, std::vector<Pixel>> Screen::Look() {
  const ipc::MutexLock lock(looked_at_);
  const Canvas shown = CanvasOf(shown_);
  return {shown_, std::vector<Pixel>(shown.pixels, shown.row(height_))};
}

}  // namespace gfxd
