// The screen: the framebuffers, which one is shown, and what of each is out of date.
//
// One thread composes; any number look.
#ifndef PARLEY_SERVERS_GFXD_SCREEN_H_
#define PARLEY_SERVERS_GFXD_SCREEN_H_

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ipc/process.h"
#include "ipc/region.h"
#include "servers/gfxd/damage.h"
#include "servers/gfxd/pixel.h"
#include "servers/gfxd/protocol.h"

namespace gfxd {

class Screen {
 public:
  static absl::StatusOr<Screen> Make(ipc::Process& self, int width, int height);

  int width() const { return width_; }
  int height() const { return height_; }
  uint64_t bytes() const {
    return static_cast<uint64_t>(width_) * static_cast<uint64_t>(height_) * sizeof(Pixel);
  }
  // All framebuffers, which nobody else can write.
  const ipc::Region& framebuffers() const { return framebuffers_; }

  // -- The composing thread

  // Composes the next frame by compose(const Damage&, Canvas), which is to draw whatever has
  // changed since that framebuffer was composed last; `changed`: since the frame before. Returns
  // the frame's number, counted from 1.
  template <typename Compose>
  uint64_t Next(const Damage& changed, Compose compose) {
    for (Damage& stale : stale_) stale.Add(changed);
    const ipc::MutexLock lock(looked_at_);
    const uint64_t frame = shown_ + 1;
    Damage& stale = stale_[frame % kFramebuffers];
    compose(std::as_const(stale), CanvasOf(frame));
    stale.Clear();
    shown_ = frame;
    return frame;
  }

  // -- Any thread

  // The frame that is shown, whole, with its number. The composing thread waits for a copy at most,
  // and lends who makes it its priority.
  std::pair<uint64_t, std::vector<Pixel>> Look();

 private:
  Screen(ipc::Region framebuffers, ipc::Mutex looked_at, int width, int height);
  Canvas CanvasOf(uint64_t frame) const;

  ipc::Region framebuffers_;
  ipc::Mutex looked_at_;  // shown_, and the pixels
  int width_;
  int height_;
  uint64_t shown_ = 0;
  std::array<Damage, kFramebuffers> stale_;
};

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_SCREEN_H_
