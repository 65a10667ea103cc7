// The compositor: surfaces with their pixels in clients' memory, composed into one picture, of
// which only what has changed is drawn again.
//
// Not thread-safe. Pixels are read where they are; a frame whose right to be read has ended draws
// nothing (R9).
#ifndef PARLEY_SERVERS_GFXD_COMPOSITOR_H_
#define PARLEY_SERVERS_GFXD_COMPOSITOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ipc/message.h"
#include "ipc/region.h"
#include "servers/gfxd/damage.h"
#include "servers/gfxd/pixel.h"
#include "servers/gfxd/protocol.h"
#include "servers/gfxd/scene.h"

namespace gfxd {

// What a surface is.
struct SurfaceLayer {
  int depth = 0;
  int width = 0;
  int height = 0;
  Format format = Format::kRgba;
  Rect place;
  std::unique_ptr<ipc::Region> granted;
  bool drawn = false;  // something of it was there to be drawn, the last time

  uint64_t frame_bytes() const;
  bool IsScaled() const { return place.width != width || place.height != height; }
};

// One frame of a surface. Its bytes are in `lease` (R5), in `copy`, or at `offset` of the surface's
// granted region.
struct SurfaceFrame {
  std::optional<ipc::Message> message;  // to be answered when the frame has left the screen
  std::optional<ipc::Lease> lease;
  std::vector<std::byte> copy;
  uint64_t offset = 0;
  Rect changed;  // of the frame's pixels, since the surface's frame before; empty: all
  int64_t shown_ns = 0;
};

using SurfaceScene = Scene<SurfaceLayer, SurfaceFrame>;

// kInvalidArgument: what the request asks for is no surface, or no place; the text says why. Does
// not look at its token.
absl::StatusOr<SurfaceLayer> MakeLayer(const CreateSurfaceRequest& request);
absl::Status PlaceLayer(const PlaceSurfaceRequest& request, SurfaceLayer& layer);

// Where the screen changes because a frame has taken the place of the one before.
Rect DamageOf(const SurfaceLayer& layer, const SurfaceFrame& frame);
// Adds where a surface has become visible, or its pixels have gone.
void AddAppearances(SurfaceScene& scene, Damage& damage);

// Draws what each surface shows, from below, over a plain background, where there is damage.
// Returns the CPU time this takes by the cost model of the simulated kernel.
absl::Duration Compose(SurfaceScene& scene, const Damage& damage, Canvas canvas);

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_COMPOSITOR_H_
