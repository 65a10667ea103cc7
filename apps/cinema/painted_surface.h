// A surface that a client paints itself, frame by frame, as the overlay and the background do.
#ifndef PARLEY_APPS_CINEMA_PAINTED_SURFACE_H_
#define PARLEY_APPS_CINEMA_PAINTED_SURFACE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ipc/process.h"
#include "servers/gfxd/protocol.h"

namespace cinema {

// How pixels get to gfxd: in a region granted once, or inside each message.
enum class Way : uint8_t { kRegion, kInline };

// Two buffers: one is on the screen while the other is painted. gfxd composes only after it has
// taken a presented frame, so the other buffer is free as soon as Present has returned.
class PaintedSurface {
 public:
  // Where the surface lies; a width or height of 0 is that of the screen, and negative x counts
  // from its right.
  struct Place {
    int x, y, width, height, depth;
  };

  static absl::StatusOr<PaintedSurface> Make(ipc::Process& self, Way way, const Place& place);

  int width() const { return width_; }
  int height() const { return height_; }

  // Blocks until the screen has shown another frame; returns its number. Frames that went by
  // meanwhile are left out.
  absl::StatusOr<uint64_t> WaitForFrame();
  // The buffer to paint; all of it, since it holds what was painted two frames ago.
  absl::Span<uint32_t> pixels();
  // Shows the buffer from the next tick on.
  absl::Status Present();

 private:
  PaintedSurface(ipc::Connection gfx, ipc::Channel frames)
      : gfx_(std::move(gfx)), frames_(std::move(frames)) {}
  uint64_t frame_bytes() const;
  absl::Status Create(const Place& place);

  ipc::Connection gfx_;
  ipc::Channel frames_;
  std::optional<ipc::Region> region_;    // kRegion: both buffers
  std::vector<uint32_t> inline_pixels_;  // kInline: the one buffer, as messages are copied
  int width_ = 0;
  int height_ = 0;
  uint32_t surface_ = 0;
  uint64_t buffer_ = 0;  // which one is painted now
};

}  // namespace cinema

#endif  // PARLEY_APPS_CINEMA_PAINTED_SURFACE_H_
