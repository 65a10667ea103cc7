// A painted surface, in a granted region or inside messages. See painted_surface.h.
#include "apps/cinema/painted_surface.h"

#include <array>
#include <utility>

namespace cinema {
namespace {

constexpr uint8_t kFrameDone = 1;
constexpr uint64_t kBuffers = 2;

}  // namespace

absl::StatusOr<PaintedSurface> PaintedSurface::Make(ipc::Process& self, Way way,
                                                    const Place& place) {
  auto gfx = self.Open(gfxd::kName, absl::Seconds(1));
  if (!gfx.ok()) return gfx.status();
  const auto screen = gfx->Call<gfxd::ScreenReply>(gfxd::ScreenRequest{});
  if (!screen.ok()) return screen.status();
  auto frames = self.CreateChannel("frames");
  if (!frames.ok()) return frames.status();
  const auto event =
      frames->RegisterEvent(*gfx, kFrameDone, 0, self.priority(), /*any_value=*/true);
  if (!event.ok()) return event.status();

  PaintedSurface surface(*std::move(gfx), *std::move(frames));
  surface.width_ = place.width > 0 ? place.width : screen->width;
  surface.height_ = place.height > 0 ? place.height : screen->height;
  if (way == Way::kRegion) {
    auto region = self.CreateRegion(kBuffers * surface.frame_bytes(), {.others_may_write = false});
    if (!region.ok()) return region.status();
    surface.region_.emplace(*std::move(region));
  } else {
    surface.inline_pixels_.resize(surface.frame_bytes() / sizeof(uint32_t));
  }
  Place seen = place;
  if (seen.x < 0) seen.x += screen->width - surface.width_;
  if (absl::Status status = surface.Create(seen); !status.ok()) return status;
  const auto watched = surface.gfx_.Call<gfxd::WatchReply>(gfxd::WatchRequest{*event});
  if (!watched.ok()) return watched.status();
  return surface;
}

absl::Status PaintedSurface::Create(const Place& place) {
  gfxd::CreateSurfaceRequest request;
  if (region_) {
    const auto token = region_->Grant(gfx_.server(), ipc::Access::kRead);
    if (!token.ok()) return token.status();
    request.pixels = *token;
  }
  request.width = width_;
  request.height = height_;
  request.x = place.x;
  request.y = place.y;
  request.depth = place.depth;
  const auto reply = gfx_.Call<gfxd::CreateSurfaceReply>(request);
  if (!reply.ok()) return reply.status();
  surface_ = reply->surface;
  return absl::OkStatus();
}

uint64_t PaintedSurface::frame_bytes() const {
  return static_cast<uint64_t>(width_) * static_cast<uint64_t>(height_) * sizeof(uint32_t);
}

absl::StatusOr<uint64_t> PaintedSurface::WaitForFrame() {
  auto received = frames_.Receive();
  if (!received.ok()) return received.status();
  uint64_t frame = 0;
  while (received.ok()) {
    if (received->pulse() != nullptr) frame = received->pulse()->value;
    received = frames_.Receive(ipc::Deadline::Poll());
  }
  return frame;
}

absl::Span<uint32_t> PaintedSurface::pixels() {
  if (!region_) return absl::MakeSpan(inline_pixels_);
  const ipc::MutableBytes bytes = region_->write().subspan(buffer_ * frame_bytes(), frame_bytes());
  return {reinterpret_cast<uint32_t*>(bytes.data()), bytes.size() / sizeof(uint32_t)};
}

absl::Status PaintedSurface::Present() {
  if (region_) {
    gfxd::PresentRequest request;
    request.surface = surface_;
    request.source = gfxd::Source::kGranted;
    request.offset = buffer_ * frame_bytes();
    buffer_ = (buffer_ + 1) % kBuffers;
    return gfx_.Call<gfxd::PresentReply>(request).status();
  }
  gfxd::PresentInlineRequest request;
  request.surface = surface_;
  const ipc::MessageHeader header = ipc::HeaderOf<gfxd::PresentInlineRequest>();
  const std::array<ipc::ConstBytes, 3> parts = {
      ipc::BytesOf(header), ipc::BytesOf(request),
      ipc::ConstBytes(reinterpret_cast<const std::byte*>(inline_pixels_.data()), frame_bytes())};
  return gfx_.SendParts(parts, {}).status();
}

}  // namespace cinema
