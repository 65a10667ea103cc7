// The player: several frames in flight, each read by fsd and shown by gfxd in its own region (R10).
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "apps/cinema/cinema.h"
#include "apps/cinema/painted_surface.h"
#include "apps/cinema/y4m.h"
#include "ipc/file.h"
#include "servers/gfxd/protocol.h"

namespace cinema {
namespace {

constexpr int kLeadFrames = 6;  // from the start of reading to the first frame on the screen
constexpr int kBorder = 30;     // pixels around the film
constexpr uint64_t kMaxFramesInFlight = 16;

// What all threads of a player share; constant once the show has begun.
struct Show {
  ipc::Process& self;
  ipc::File file;
  ipc::Connection gfx;
  Way way;
  Film film;
  uint32_t surface = 0;
  int64_t first_target_ns = 0;
  int64_t tick_ns = 0;
};

// One frame's memory, and its way from fsd to gfxd.
class FrameSlot {
 public:
  static absl::StatusOr<FrameSlot> Make(Show& show) {
    FrameSlot slot(show);
    const uint64_t bytes = kFrameMark.size() + show.film.frame_bytes;
    if (show.way == Way::kInline) {
      slot.buffer_.resize(bytes);
      return slot;
    }
    auto region = show.self.CreateRegion(bytes);
    if (!region.ok()) return region.status();
    slot.region_.emplace(*std::move(region));
    return slot;
  }

  // Reads the frame, presents it for its time, waits until it has left the screen, and counts it.
  absl::Status Play(uint64_t index) {
    const uint64_t bytes = kFrameMark.size() + show_->film.frame_bytes;
    const auto count = Read(show_->film.FrameOffset(index), bytes);
    if (!count.ok()) return count.status();
    if (*count != bytes ||
        std::memcmp(memory().data(), kFrameMark.data(), kFrameMark.size()) != 0) {
      return absl::DataLossError(absl::StrCat("frame ", index, " is damaged"));
    }
    const int64_t target_ns =
        show_->first_target_ns + static_cast<int64_t>(index) * show_->film.frame_period_ns;
    const auto shown_ns = Present(target_ns);
    if (!shown_ns.ok()) return shown_ns.status();
    show_->self.Count("frames");
    const bool missed = *shown_ns == 0 || *shown_ns > target_ns + show_->tick_ns;
    if (missed) show_->self.Count("frames_missed");
    return absl::OkStatus();
  }

 private:
  explicit FrameSlot(Show& show) : show_(&show) {}

  ipc::ConstBytes memory() const { return region_ ? region_->read() : ipc::ConstBytes(buffer_); }

  absl::StatusOr<uint64_t> Read(uint64_t offset, uint64_t bytes) {
    if (region_) return show_->file.ReadAt(offset, region_->Out(0, bytes));
    uint64_t done = 0;  // a message carries 1 MiB at most
    while (done < bytes) {
      const auto count =
          show_->file.ReadAt(offset + done, absl::MakeSpan(buffer_).subspan(done, bytes - done));
      if (!count.ok()) return count;
      if (*count == 0) break;
      done += *count;
    }
    return done;
  }

  // When the frame was shown first.
  absl::StatusOr<int64_t> Present(int64_t target_ns) {
    if (region_) {
      const gfxd::PresentRequest request = {.target_ns = target_ns, .surface = show_->surface};
      const auto reply = show_->gfx.Call<gfxd::PresentReply>(
          request, {.regions = {region_->In(kFrameMark.size(), show_->film.frame_bytes)}});
      if (!reply.ok()) return reply.status();
      return reply->shown_ns;
    }
    const ipc::MessageHeader header = ipc::HeaderOf<gfxd::PresentInlineRequest>();
    const gfxd::PresentInlineRequest request = {.target_ns = target_ns, .surface = show_->surface};
    ipc::MessageHeader reply_header;
    gfxd::PresentReply reply;
    const std::array<ipc::ConstBytes, 3> out = {
        ipc::BytesOf(header), ipc::BytesOf(request),
        ipc::ConstBytes(buffer_).subspan(kFrameMark.size())};
    const std::array<ipc::MutableBytes, 2> in = {ipc::MutableBytesOf(reply_header),
                                                 ipc::MutableBytesOf(reply)};
    const auto length = show_->gfx.SendParts(out, in);
    if (!length.ok()) return length.status();
    return reply.shown_ns;
  }

  Show* show_;
  std::optional<ipc::Region> region_;  // Way::kRegion
  std::vector<std::byte> buffer_;      // Way::kInline
};

absl::StatusOr<Film> ReadHead(ipc::Process& self, const ipc::File& file) {
  auto head = self.CreateRegion(kMaxFilmHeaderBytes);
  if (!head.ok()) return head.status();
  const auto stat = file.Stat();
  if (!stat.ok()) return stat.status();
  const auto count = file.ReadAt(0, head->Out());
  if (!count.ok()) return count.status();
  const absl::string_view text = ipc::TextOf(head->read().first(*count));
  const auto film = ParseFilm({text.data(), text.size()}, stat->size);
  if (film.ok()) return film;
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": ", film.status().message()));
}

// The film as large as fits inside the border, in the middle, its sides in proportion.
absl::Status CreateSurface(Show& show) {
  const auto screen = show.gfx.Call<gfxd::ScreenReply>(gfxd::ScreenRequest{});
  if (!screen.ok()) return screen.status();
  const double room_x = std::max(screen->width - 2 * kBorder, 1);
  const double room_y = std::max(screen->height - 2 * kBorder, 1);
  const double scale = std::min(room_x / show.film.width, room_y / show.film.height);
  gfxd::CreateSurfaceRequest request;
  request.width = show.film.width;
  request.height = show.film.height;
  request.shown_width = std::max(static_cast<int>(show.film.width * scale), 1);
  request.shown_height = std::max(static_cast<int>(show.film.height * scale), 1);
  request.x = (screen->width - request.shown_width) / 2;
  request.y = (screen->height - request.shown_height) / 2;
  request.depth = 10;
  request.format = gfxd::Format::kYuv420Bt601;
  const auto surface = show.gfx.Call<gfxd::CreateSurfaceReply>(request);
  if (!surface.ok()) return surface.status();
  show.surface = surface->surface;
  show.tick_ns = screen->period_ns;
  show.first_target_ns = screen->next_tick_ns + kLeadFrames * screen->period_ns;
  return absl::OkStatus();
}

// Each thread plays every n-th frame. The last frame leaves the screen only with its surface, so
// its thread is let go by the end of the surface, once all others have come back.
absl::Status PlayAll(Show& show, uint64_t slots) {
  slots = std::min(slots, show.film.frame_count);
  std::vector<absl::Status> results(slots);
  std::vector<ipc::Thread> threads;
  for (uint64_t first = 0; first < slots; ++first) {
    auto body = [&show, &result = results[first], first, slots] {
      auto slot = FrameSlot::Make(show);
      result = slot.status();
      for (uint64_t index = first; result.ok() && index < show.film.frame_count; index += slots) {
        result = slot->Play(index);
      }
    };
    auto thread = show.self.Spawn({.name = absl::StrCat("frames-", first)}, std::move(body));
    if (!thread.ok()) return thread.status();
    threads.push_back(*std::move(thread));
  }
  const uint64_t last = (show.film.frame_count - 1) % slots;
  absl::Status status;
  for (uint64_t i = 0; i < slots; ++i) {
    if (i != last) status.Update(threads[i].Join());
  }
  status.Update(show.self.Sleep(absl::Nanoseconds(2 * show.tick_ns)));
  const gfxd::DestroySurfaceRequest end = {.surface = show.surface};
  status.Update(show.gfx.Call<gfxd::DestroySurfaceReply>(end).status());
  status.Update(threads[last].Join());
  for (const absl::Status& result : results) status.Update(result);
  return status;
}

absl::Status Play(ipc::Process& self, const std::string& path, uint64_t slots, Way way) {
  auto file = ipc::File::Open(self, path, O_RDONLY, 0, absl::Seconds(1));
  if (!file.ok()) return file.status();
  auto gfx = self.Open(gfxd::kName, absl::Seconds(1));
  if (!gfx.ok()) return gfx.status();
  const auto film = ReadHead(self, *file);
  if (!film.ok()) return film.status();
  Show show = {
      .self = self, .file = *std::move(file), .gfx = *std::move(gfx), .way = way, .film = *film};
  if (absl::Status status = CreateSurface(show); !status.ok()) return status;
  return PlayAll(show, slots);
}

}  // namespace

int Player(ipc::Process& self) {
  const auto& arguments = self.arguments();
  uint64_t slots = 0;
  const bool inline_frames = arguments.size() == 3 && arguments[2] == "--inline";
  if ((arguments.size() != 2 && !inline_frames) || !absl::SimpleAtoi(arguments[1], &slots) ||
      slots < 1 || slots > kMaxFramesInFlight) {
    std::fprintf(stderr, "usage: player FILE FRAMES-IN-FLIGHT [--inline]\n");
    return 2;
  }
  const absl::Status status =
      Play(self, arguments[0], slots, inline_frames ? Way::kInline : Way::kRegion);
  if (status.ok()) return 0;
  std::fprintf(stderr, "player: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace cinema
