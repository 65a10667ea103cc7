// The player: several frames in flight, each read by fsd and shown by gfxd in its own region (R10).
// What a person types at the console steers it, and the log tells what it does.
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
#include "apps/cinema/playback.h"
#include "apps/cinema/remote.h"
#include "apps/cinema/y4m.h"
#include "ipc/file.h"
#include "servers/console/console.h"
#include "servers/gfxd/protocol.h"
#include "servers/logd/protocol.h"

namespace cinema {
namespace {

constexpr int kLeadFrames = 6;  // from the start of reading to the first frame on the screen
constexpr int kBorder = 30;     // pixels around the film
constexpr uint64_t kMinFramesInFlight = 2;  // one is answered when the next is on the screen
constexpr uint64_t kMaxFramesInFlight = 16;
constexpr size_t kMaxOrderBytes = 4096;
constexpr absl::Duration kAnswerIn = absl::Milliseconds(100);  // terminal and log may be stuck
constexpr absl::Duration kPatience = absl::Seconds(1);         // for servers that start

// What the player is asked for.
struct Wishes {
  std::string path;
  uint64_t slots = 0;  // frames in flight
  Way way = Way::kRegion;
  bool log = false;
  bool console = false;
};

// Nothing: not understood.
std::optional<Wishes> WishesFrom(const std::vector<std::string>& arguments) {
  Wishes wishes;
  if (arguments.size() < 2 || !absl::SimpleAtoi(arguments[1], &wishes.slots) ||
      wishes.slots < kMinFramesInFlight || wishes.slots > kMaxFramesInFlight) {
    return std::nullopt;
  }
  wishes.path = arguments[0];
  for (size_t i = 2; i < arguments.size(); ++i) {
    if (arguments[i] == "--inline") {
      wishes.way = Way::kInline;
    } else if (arguments[i] == "--log") {
      wishes.log = true;
    } else if (arguments[i] == "--console") {
      wishes.console = true;
    } else {
      return std::nullopt;
    }
  }
  return wishes;
}

// The log's lines, if there is to be a log. A player plays on without.
class Log {
 public:
  explicit Log(std::optional<ipc::File> file) : file_(std::move(file)) {}
  void Say(uint32_t severity, absl::string_view text) const {
    if (!file_) return;
    const std::string line = absl::StrCat("<", severity, ">player: ", text, "\n");
    file_->Write(ipc::BytesOfText(line), kAnswerIn).IgnoreError();
  }

 private:
  std::optional<ipc::File> file_;
};

// What all threads of a player share; constant once the show has begun, but for the playback.
struct Show {
  ipc::Process& self;
  ipc::File file;
  ipc::Connection gfx;
  Log log;
  Way way;
  Film film;
  uint32_t surface = 0;
  int64_t tick_ns = 0;

  ipc::Mutex mutex;     // of what follows
  ipc::CondVar change;  // of it
  std::optional<Playback> playback;
  uint64_t in_flight = 0;  // frames

  // Soon enough for the next frame to be read until then.
  int64_t SoonNs() const { return absl::ToUnixNanos(self.Now()) + kLeadFrames * tick_ns; }
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
  absl::Status Play(const Playback::Frame& frame) {
    const uint64_t bytes = kFrameMark.size() + show_->film.frame_bytes;
    const auto count = Read(show_->film.FrameOffset(frame.index), bytes);
    if (!count.ok()) return count.status();
    if (*count != bytes ||
        std::memcmp(memory().data(), kFrameMark.data(), kFrameMark.size()) != 0) {
      return absl::DataLossError(absl::StrCat("frame ", frame.index, " is damaged"));
    }
    const auto shown_ns = Present(frame.target_ns);
    if (!shown_ns.ok()) return shown_ns.status();
    show_->self.Count("frames");
    if (*shown_ns == 0 || *shown_ns > frame.target_ns + show_->tick_ns) {
      show_->self.Count("frames_missed");
      show_->log.Say(logd::kWarning, absl::StrCat("frame ", frame.index, " was not shown in time"));
    }
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
  show.playback.emplace(show.film.frame_count, show.film.frame_period_ns,
                        screen->next_tick_ns + kLeadFrames * screen->period_ns);
  return absl::OkStatus();
}

// One thread's frames, until the film is over.
absl::Status PlayFrames(Show& show) {
  auto slot = FrameSlot::Make(show);
  const ipc::MutexLock lock(show.mutex);
  if (!slot.ok()) show.playback->Stop();
  while (!show.playback->is_over()) {
    const auto frame = show.playback->Take();
    if (!frame) {
      show.change.Wait(show.mutex).IgnoreError();
      continue;
    }
    ++show.in_flight;
    if (show.playback->is_over()) show.change.SignalAll().IgnoreError();
    show.mutex.Unlock().IgnoreError();
    const absl::Status played = slot->Play(*frame);
    show.mutex.Lock().IgnoreError();
    --show.in_flight;
    if (!played.ok()) show.playback->Stop();
    show.change.SignalAll().IgnoreError();
    if (!played.ok()) return played;
  }
  show.change.SignalAll().IgnoreError();
  return slot.status();
}

// The last frame leaves the screen only with its surface, so its thread is let go by the end of the
// surface, once all others have come back.
absl::Status PlayAll(Show& show, uint64_t slots) {
  absl::Status status;
  std::vector<absl::Status> results(slots);
  std::vector<ipc::Thread> threads;
  for (uint64_t i = 0; i < slots; ++i) {
    auto thread = show.self.Spawn({.name = absl::StrCat("frames-", i)},
                                  [&show, &result = results[i]] { result = PlayFrames(show); });
    status.Update(thread.status());
    if (!thread.ok()) break;
    threads.push_back(*std::move(thread));
  }
  absl::Time seen;  // the last frame, for as long as any
  {
    const ipc::MutexLock lock(show.mutex);
    if (!status.ok()) show.playback->Stop();
    while (!show.playback->is_over() || show.in_flight > 1) {
      show.change.Wait(show.mutex).IgnoreError();
    }
    seen = absl::FromUnixNanos(show.playback->last_target_ns() +
                               std::max(show.playback->period_ns(), 2 * show.tick_ns));
  }
  if (status.ok()) status = show.self.Sleep(seen);
  const gfxd::DestroySurfaceRequest end = {.surface = show.surface};
  status.Update(show.gfx.Call<gfxd::DestroySurfaceReply>(end).status());
  for (ipc::Thread& thread : threads) status.Update(thread.Join());
  for (const absl::Status& result : results) status.Update(result);
  return status;
}

// Does what was ordered; returns what to say of it.
std::string Obey(Show& show, const Order& order) {
  const ipc::MutexLock lock(show.mutex);
  Playback& playback = *show.playback;
  if (playback.is_over()) return "the film is over";
  switch (order.kind) {
    case Order::Kind::kPause:
      playback.Pause();
      break;
    case Order::Kind::kPlay:
      if (playback.is_paused()) playback.Play(show.SoonNs());
      break;
    case Order::Kind::kSeek:
      playback.Seek(
          (order.relative ? playback.position_ns() : 0) + absl::ToInt64Nanoseconds(order.seek),
          show.SoonNs());
      break;
    case Order::Kind::kQuit:
      playback.Stop();
      break;
  }
  show.change.SignalAll().IgnoreError();
  return absl::StrCat(playback.is_over()     ? "stopped at "
                      : playback.is_paused() ? "paused at "
                                             : "playing from ",
                      PositionText(playback.position_ns(), playback.length_ns()));
}

// Nothing: ^D, or there is no more console, or the thread is cancelled.
std::optional<std::string> ReadLine(const ipc::File& console) {
  std::string line;
  while (line.size() < kMaxOrderBytes && (line.empty() || line.back() != '\n')) {
    std::array<std::byte, 256> part;
    const auto count = console.Read(absl::MakeSpan(part));
    if (!count.ok() || *count == 0) return std::nullopt;
    absl::StrAppend(&line, ipc::TextOf(ipc::ConstBytes(part).first(*count)));
  }
  return line;
}

bool IsOver(Show& show) {
  const ipc::MutexLock lock(show.mutex);
  return show.playback->is_over();
}

// Reads orders until the film is over, with which the thread is cancelled, or there are no more.
void TakeOrders(Show& show, const ipc::File& console) {
  const auto answer = [&](absl::string_view text) {
    console.Write(ipc::BytesOfText(absl::StrCat(text, "\n")), kAnswerIn).IgnoreError();
  };
  answer(kRemoteHelp);
  // The cancel may have been that of an answer.
  while (!IsOver(show)) {
    const auto line = ReadLine(console);
    if (!line) return answer("no more orders");
    const auto order = ParseOrder(*line);
    if (!order.ok()) {
      answer(order.status().message());
      continue;
    }
    const std::string done = Obey(show, *order);
    show.log.Say(logd::kInfo, done);
    answer(done);
  }
}

absl::StatusOr<std::optional<ipc::File>> OpenIf(ipc::Process& self, bool wanted, const char* path,
                                                uint32_t flags) {
  if (!wanted) return std::nullopt;
  auto file = ipc::File::Open(self, path, flags, 0, kPatience);
  if (!file.ok()) return file.status();
  return *std::move(file);
}

absl::Status Play(ipc::Process& self, const Wishes& wishes) {
  auto log = OpenIf(self, wishes.log, logd::kName, O_WRONLY);
  if (!log.ok()) {
    std::fprintf(stderr, "player: plays without a log: %s\n",
                 std::string(log.status().message()).c_str());
    log = std::nullopt;
  }
  const auto console = OpenIf(self, wishes.console, console::kName, O_RDWR);
  if (!console.ok()) return console.status();
  auto file = ipc::File::Open(self, wishes.path, O_RDONLY, 0, kPatience);
  if (!file.ok()) return file.status();
  auto gfx = self.Open(gfxd::kName, kPatience);
  if (!gfx.ok()) return gfx.status();
  const auto film = ReadHead(self, *file);
  if (!film.ok()) return film.status();
  auto mutex = self.CreateMutex();
  if (!mutex.ok()) return mutex.status();
  auto change = self.CreateCondVar();
  if (!change.ok()) return change.status();
  Show show = {.self = self,
               .file = *std::move(file),
               .gfx = *std::move(gfx),
               .log = Log(*std::move(log)),
               .way = wishes.way,
               .film = *film,
               .mutex = *std::move(mutex),
               .change = *std::move(change),
               .playback = {}};
  if (absl::Status status = CreateSurface(show); !status.ok()) return status;
  show.log.Say(logd::kInfo, absl::StrCat("plays ", wishes.path, ", ", film->width, "x",
                                         film->height, ", ", film->frame_count, " frames"));
  std::optional<ipc::Thread> remote;
  if (*console) {
    // Frames go before what a person orders.
    const ipc::Scheduling scheduling = {.priority = std::max(self.priority() - 1, 1)};
    auto thread = self.Spawn({.name = "remote", .scheduling = scheduling},
                             [&] { TakeOrders(show, **console); });
    if (!thread.ok()) return thread.status();
    remote.emplace(*std::move(thread));
  }
  const absl::Status played = PlayAll(show, wishes.slots);
  show.log.Say(played.ok() ? logd::kInfo : logd::kErr,
               played.ok() ? "has ended" : played.message());
  return played;
}

}  // namespace

int Player(ipc::Process& self) {
  const auto wishes = WishesFrom(self.arguments());
  if (!wishes) {
    std::fprintf(stderr,
                 "usage: player FILE FRAMES-IN-FLIGHT (2 to 16) [--inline] [--log] [--console]\n");
    return 2;
  }
  const absl::Status status = Play(self, *wishes);
  if (status.ok()) return 0;
  std::fprintf(stderr, "player: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace cinema
