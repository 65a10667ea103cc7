// parley-view: the screen of a running system's gfxd, in a window.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "apps/parley/arguments.h"
#include "apps/parley/broker_choice.h"
#include "apps/parley/commands.h"
#include "apps/parley/standard_output.h"
#include "apps/parley/visit.h"
#include "apps/view/window.h"
#include "servers/gfxd/protocol.h"

namespace {

constexpr char kHelp[] =
    "usage: parley-view [--run=PID | --broker=PATH]\n\n"
    "Shows the screen of a running system, what its graphics server gfxd composes, in a window.\n"
    "Ends when the window is closed (also by Escape or q), with gfxd or its system, or by "
    "Ctrl-C.\n\n"
    "  --run=PID      of the run with this launcher (default: the service, parleyd)\n"
    "  --broker=PATH  of the service whose socket this is\n";

constexpr uint8_t kFrameDone = 1;
constexpr int kFramePriority = 20;
// How long a person waits for the window to react while no frame comes.
constexpr absl::Duration kPatience = absl::Milliseconds(50);

absl::Status Watch(ipc::Process& self) {
  auto channel = self.CreateChannel("frames");
  if (!channel.ok()) return channel.status();
  const auto gfx = self.Open(gfxd::kName, {.death = &*channel});
  if (!gfx.ok()) {
    return absl::Status(gfx.status().code(),
                        absl::StrCat(gfx.status().message(), "; does gfxd run there?"));
  }
  const auto size = gfx->Call<gfxd::ScreenReply>(gfxd::ScreenRequest{});
  if (!size.ok()) return size.status();
  const auto token = gfx->Call<gfxd::FramebufferReply>(gfxd::FramebufferRequest{});
  if (!token.ok()) return token.status();
  const auto framebuffers = self.Redeem(token->token);
  if (!framebuffers.ok()) return framebuffers.status();
  const auto event =
      channel->RegisterEvent(*gfx, kFrameDone, 0, kFramePriority, /*any_value=*/true);
  if (!event.ok()) return event.status();
  if (auto watched = gfx->Call<gfxd::WatchReply>(gfxd::WatchRequest{*event}); !watched.ok()) {
    return watched.status();
  }
  const auto width = static_cast<uint64_t>(size->width),
             height = static_cast<uint64_t>(size->height);
  const uint64_t bytes = width * height * sizeof(gfxd::Pixel);
  if (width > gfxd::kMaxSide || height > gfxd::kMaxSide ||
      framebuffers->size() < gfxd::kFramebuffers * bytes) {
    return absl::DataLossError(absl::StrCat(gfxd::kName, ": what answers there is no gfxd"));
  }

  auto window = view::Window::Open("Parley", size->width, size->height);
  if (!window.ok()) return window.status();
  while (window->IsWanted()) {
    auto received = channel->Receive(kPatience);
    if (!received.ok()) {
      if (ipc::ErrorOf(received.status()) == ipc::Error::kDeadline) continue;
      return received.status();
    }
    // Only the last of those that have come meanwhile is worth to be shown.
    uint64_t frame = 0;
    for (; received.ok(); received = channel->Receive(ipc::Deadline::Poll())) {
      const ipc::Pulse* pulse = received->pulse();
      if (pulse == nullptr) continue;
      if (pulse->code == ipc::Pulse::kDeath) return absl::OkStatus();
      frame = pulse->value;
    }
    const ipc::ConstBytes all = framebuffers->read();
    if (all.size() < gfxd::kFramebuffers * bytes) return absl::OkStatus();  // gfxd has ended
    const ipc::ConstBytes pixels = all.subspan(frame % gfxd::kFramebuffers * bytes);
    absl::Status shown = window->Show(
        {reinterpret_cast<const gfxd::Pixel*>(pixels.data()), size->width, size->height});
    if (!shown.ok()) return shown;
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  parley_tool::HoldStandardDescriptors();
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words == std::vector<std::string>{"--help"}) {
    std::fputs(kHelp, stdout);
    return parley_tool::Written(0);
  }
  const auto arguments = parley_tool::Arguments::Parse(words, {"--run=", "--broker="});
  if (!arguments.ok()) {
    std::fprintf(stderr, "parley-view: %s; see --help\n",
                 std::string(arguments.status().message()).c_str());
    return 2;
  }
  const auto broker = parley_tool::BrokerToAsk(*arguments);
  if (!broker.ok()) return parley_tool::Misplaced(broker.status());
  return parley_tool::Stay(*broker, "view", {}, [](ipc::Process& self) {
    const absl::Status watched = Watch(self);
    return watched.ok() ? 0 : parley_tool::Failure(watched);
  });
}
