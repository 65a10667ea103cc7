// The graphics server: one thread for clients' messages and the ticks of the frame clock, one for
// the screen's files.
#include "servers/gfxd/gfxd.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "servers/gfxd/compositor.h"
#include "servers/gfxd/protocol.h"
#include "servers/gfxd/screen.h"
#include "servers/gfxd/screen_files.h"

namespace gfxd {
namespace {

constexpr uint8_t kTick = 1;        // pulse code of the frame clock
constexpr int kTickPriority = 100;  // composing goes before every client
constexpr int64_t kPeriodNs = 1'000'000'000 / 30;
constexpr size_t kMaxWatchers = 256;
constexpr size_t kMaxWatchersOfClient = 8;
constexpr uint64_t kMaxCopiedBytes = 128 << 20;  // of one client's frames, shown or waiting
constexpr uint64_t kMaxFreeBytes = 64 << 20;     // of buffers that are kept for the next frames
constexpr absl::Duration kRequestCost = absl::Microseconds(10);  // of CPU time

Rect RectOf(const FrameDamage& damage) { return {damage.x, damage.y, damage.width, damage.height}; }

class Server {
 public:
  Server(ipc::Process& self, Screen& screen, int64_t first_tick_ns)
      : self_(self),
        screen_(screen),
        changed_({0, 0, screen.width(), screen.height()}),
        next_tick_ns_(first_tick_ns) {}

  void Handle(ipc::Received& received) {
    if (ipc::Message* message = received.message()) {
      self_.Charge(kRequestCost);
      Dispatch(*message);
    } else if (received.pulse()->code == ipc::Pulse::kDisconnect) {
      const uint64_t owner = received.pulse()->value;
      for (const SurfaceScene::Surface* surface : scene_.FromBelow()) {
        if (surface->owner == owner) changed_.Add(surface->layer.place);
      }
      Retire(scene_.DropOwner(owner));
      std::erase_if(watchers_, [&](const Watcher& watcher) { return watcher.client == owner; });
    } else if (received.pulse()->code == kTick) {
      Tick(received.pulse()->count);
    }
  }

 private:
  struct Watcher {
    uint64_t client;
    ipc::EventToken event;
  };

  void Dispatch(ipc::Message& message) {
    if (message.Is<PresentRequest>()) return Present(message);
    if (message.Is<PresentInlineRequest>()) return PresentInline(message);
    if (message.Is<CreateSurfaceRequest>()) return CreateSurface(message);
    if (message.Is<DestroySurfaceRequest>()) return DestroySurface(message);
    if (message.Is<PlaceSurfaceRequest>()) return PlaceSurface(message);
    if (message.Is<WatchRequest>()) return Watch(message);
    if (message.Is<FramebufferRequest>()) return ShowFramebuffer(message);
    if (!message.As<ScreenRequest>().ok()) return;
    message.Reply(ScreenReply{screen_.width(), screen_.height(), kPeriodNs, next_tick_ns_})
        .IgnoreError();
  }

  void CreateSurface(ipc::Message& message) {
    const auto request = message.As<CreateSurfaceRequest>();
    if (!request.ok()) return;
    auto layer = MakeLayer(*request);
    if (!layer.ok()) return Refuse(message, layer.status());
    if (!request->pixels.is_null()) {
      auto region = self_.Redeem(request->pixels);
      if (!region.ok()) return Refuse(message, region.status());
      layer->granted = std::make_unique<ipc::Region>(*std::move(region));
    }
    const auto surface = scene_.Create(message.info().sender.id(), *std::move(layer));
    if (!surface.ok()) return Refuse(message, surface.status());
    message.Reply(CreateSurfaceReply{*surface}).IgnoreError();
  }

  void DestroySurface(ipc::Message& message) {
    const auto request = message.As<DestroySurfaceRequest>();
    if (!request.ok()) return;
    const uint64_t owner = message.info().sender.id();
    const auto surface = scene_.Find(owner, request->surface);
    if (!surface.ok()) return Refuse(message, surface.status());
    changed_.Add((*surface)->layer.place);
    Retire(scene_.Destroy(owner, request->surface).value());
    message.Reply(DestroySurfaceReply{}).IgnoreError();
  }

  void PlaceSurface(ipc::Message& message) {
    const auto request = message.As<PlaceSurfaceRequest>();
    if (!request.ok()) return;
    auto surface = scene_.Find(message.info().sender.id(), request->surface);
    if (!surface.ok()) return Refuse(message, surface.status());
    SurfaceLayer& layer = (*surface)->layer;
    const Rect before = layer.place;
    if (absl::Status placed = PlaceLayer(*request, layer); !placed.ok()) {
      return Refuse(message, placed);
    }
    changed_.Add(before);
    changed_.Add(layer.place);
    message.Reply(PlaceSurfaceReply{}).IgnoreError();
  }

  void Present(ipc::Message& message) {
    const auto request = message.As<PresentRequest>();
    if (!request.ok()) return;
    auto surface = scene_.Find(message.info().sender.id(), request->surface);
    if (!surface.ok()) return Refuse(message, surface.status());
    const SurfaceLayer& layer = (*surface)->layer;
    SurfaceFrame frame;
    frame.changed = RectOf(request->damage);
    uint64_t available = 0;
    if (request->source == Source::kReferenced) {
      auto lease = message.Region(0);
      if (!lease.ok()) return Refuse(message, lease.status());
      available = lease->size();
      frame.lease.emplace(*std::move(lease));
    } else {
      frame.offset = request->offset;
      const uint64_t granted = layer.granted ? layer.granted->size() : 0;
      available = granted - std::min(granted, request->offset);
    }
    if (available < layer.frame_bytes()) {
      return Refuse(message, absl::InvalidArgumentError("the frame's pixels are not all there"));
    }
    const bool keep = request->target_ns != 0 || frame.lease.has_value();
    Enter(message, request->surface, request->target_ns, std::move(frame), keep);
  }

  void PresentInline(ipc::Message& message) {
    PresentInlineRequest request;
    constexpr uint64_t kHead = sizeof(ipc::MessageHeader) + sizeof request;
    const auto head = message.Read(sizeof(ipc::MessageHeader), ipc::MutableBytesOf(request));
    if (!head.ok()) return;  // the client has left
    auto surface = scene_.Find(message.info().sender.id(), request.surface);
    if (!surface.ok()) return Refuse(message, surface.status());
    const uint64_t bytes = (*surface)->layer.frame_bytes();
    if (message.info().request_bytes != kHead + bytes) {
      return Refuse(message, absl::InvalidArgumentError("the frame's pixels are not all there"));
    }
    uint64_t copied = bytes;
    scene_.ForEachFrame(message.info().sender.id(),
                        [&](const SurfaceFrame& other) { copied += other.copy.size(); });
    if (copied > kMaxCopiedBytes) {
      return Refuse(message, absl::ResourceExhaustedError(absl::StrCat(
                                 "more than ", kMaxCopiedBytes >> 20,
                                 " MiB of one client's frames; larger ones go by region")));
    }
    SurfaceFrame frame;
    frame.changed = RectOf(request.damage);
    frame.copy = TakeBuffer(bytes);
    if (!message.Read(kHead, absl::MakeSpan(frame.copy)).ok()) return;
    Enter(message, request.surface, request.target_ns, std::move(frame), request.target_ns != 0);
  }

  // Puts a frame into the scene; with `keep` the client waits until the frame has left the screen.
  void Enter(ipc::Message& message, uint32_t surface, int64_t target_ns, SurfaceFrame frame,
             bool keep) {
    const uint64_t owner = message.info().sender.id();
    if (keep) frame.message.emplace(std::move(message));
    const absl::Status status = scene_.Present(owner, surface, target_ns, std::move(frame));
    ipc::Message& sender =
        keep && !status.ok() ? *frame.message : message;  // untouched on an error
    if (!status.ok()) return Refuse(sender, status);
    if (!keep) message.Reply(PresentReply{}).IgnoreError();
  }

  void Watch(ipc::Message& message) {
    const auto request = message.As<WatchRequest>();
    if (!request.ok()) return;
    const uint64_t client = message.info().sender.id();
    const auto of_client =
        std::count_if(watchers_.begin(), watchers_.end(),
                      [&](const Watcher& watcher) { return watcher.client == client; });
    if (watchers_.size() >= kMaxWatchers ||
        static_cast<size_t>(of_client) >= kMaxWatchersOfClient) {
      return Refuse(message, absl::ResourceExhaustedError(
                                 absl::StrCat("the screen is watched by more than ", kMaxWatchers,
                                              ", or ", kMaxWatchersOfClient, " times by one")));
    }
    watchers_.push_back({client, request->event});
    message.Reply(WatchReply{}).IgnoreError();
  }

  void ShowFramebuffer(ipc::Message& message) {
    if (!message.As<FramebufferRequest>().ok()) return;
    const auto token = screen_.framebuffers().Grant(message.info().sender, ipc::Access::kRead);
    if (!token.ok()) return Refuse(message, token.status());
    message.Reply(FramebufferReply{*token}).IgnoreError();
  }

  void Tick(uint32_t count) {
    if (count > 1) self_.Count("ticks_missed", count - 1);
    next_tick_ns_ += int64_t{count} * kPeriodNs;
    std::vector<SurfaceFrame> retired =
        scene_.Advance(now_ns(), [this](const SurfaceLayer& layer, const SurfaceFrame& frame) {
          changed_.Add(DamageOf(layer, frame));
        });
    AddAppearances(scene_, changed_);
    const uint64_t frame = screen_.Next(changed_, [this](const Damage& damage, Canvas canvas) {
      self_.Charge(Compose(scene_, damage, canvas));
    });
    changed_.Clear();
    const int64_t shown_ns = now_ns();
    for (SurfaceScene::Surface* surface : scene_.FromBelow()) {
      if (surface->shown && surface->shown->shown_ns == 0) surface->shown->shown_ns = shown_ns;
    }
    self_.Count("frames_composed");
    Retire(std::move(retired));
    std::erase_if(watchers_, [&](const Watcher& watcher) {
      const absl::Status status = self_.Deliver(watcher.event, frame);
      return !status.ok() && !absl::IsResourceExhausted(status);  // a slow one may miss a frame
    });
  }

  // Frees those who wait for these frames to leave the screen.
  void Retire(std::vector<SurfaceFrame> frames) {
    for (SurfaceFrame& frame : frames) {
      if (frame.message) frame.message->Reply(PresentReply{frame.shown_ns}).IgnoreError();
      if (frame.copy.empty() || free_bytes_ + frame.copy.capacity() > kMaxFreeBytes) continue;
      free_bytes_ += frame.copy.capacity();
      free_buffers_.push_back(std::move(frame.copy));
    }
  }

  std::vector<std::byte> TakeBuffer(uint64_t bytes) {
    std::vector<std::byte> buffer;
    if (!free_buffers_.empty()) {
      buffer = std::move(free_buffers_.back());
      free_buffers_.pop_back();
      free_bytes_ -= buffer.capacity();
    }
    buffer.resize(bytes);
    return buffer;
  }

  void Refuse(ipc::Message& message, const absl::Status& why) {
    message.ReplyError(why).IgnoreError();
  }

  int64_t now_ns() const { return absl::ToUnixNanos(self_.Now()); }

  ipc::Process& self_;
  Screen& screen_;
  SurfaceScene scene_;
  Damage changed_;  // since the last frame was composed
  std::vector<Watcher> watchers_;
  std::vector<std::vector<std::byte>> free_buffers_;
  uint64_t free_bytes_ = 0;  // of their capacities
  int64_t next_tick_ns_;
};

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "gfxd: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int Main(ipc::Process& self) {
  const auto& arguments = self.arguments();
  int width = 0, height = 0;
  if (arguments.size() != 2 || !absl::SimpleAtoi(arguments[0], &width) ||
      !absl::SimpleAtoi(arguments[1], &height) || width < 1 || width > kMaxSide || height < 1 ||
      height > kMaxSide) {
    std::fprintf(stderr, "usage: gfxd WIDTH HEIGHT, each from 1 to %d\n", kMaxSide);
    return 2;
  }
  auto screen = Screen::Make(self, width, height);
  if (!screen.ok()) return Fail(screen.status());
  auto channel = self.Attach(kName, {.disconnect_pulse = true});
  if (!channel.ok()) return Fail(channel.status());
  auto clock = channel->MakeTimer(kTick, 0, kTickPriority);
  if (!clock.ok()) return Fail(clock.status());
  const absl::Time first_tick = self.Now() + absl::Nanoseconds(kPeriodNs);
  if (auto status = clock->Arm(first_tick, absl::Nanoseconds(kPeriodNs)); !status.ok())
    return Fail(status);
  Server server(self, *screen, absl::ToUnixNanos(first_tick));
  const auto compositor = self.Spawn({.name = "compositor"}, [&] {
    for (;;) {
      auto received = channel->Receive();
      if (!received.ok()) {
        if (ipc::ErrorOf(received.status()) != ipc::Error::kCancelled) Fail(received.status());
        return;
      }
      server.Handle(*received);
    }
  });
  if (!compositor.ok()) return Fail(compositor.status());
  return ServeScreenFiles(self, *screen);
}

}  // namespace gfxd
