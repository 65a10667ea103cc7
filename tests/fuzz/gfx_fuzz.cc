// gfxd's messages, from a client that sends anything. Each input is one simulated world.
//
// The input is steps: a request whose fields are the input's, with a region reference and frames
// inside the message, or time that passes. Checked: no crash, nothing is read outside what was
// granted, and that an honest client's surface is on the screen afterwards.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "ipc/file_server.h"
#include "ipc/world.h"
#include "servers/gfxd/gfxd.h"
#include "servers/gfxd/pixel.h"
#include "servers/gfxd/protocol.h"
#include "tests/fuzz/input.h"

namespace gfxd {
namespace {

using parley::host::Input;

constexpr absl::Duration kPatience = absl::Milliseconds(1);  // of virtual time
constexpr int kMostSteps = 60;
constexpr uint64_t kRegionBytes = 4096;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "gfx: %s\n", what);
  std::abort();
}

class EvilClient {
 public:
  EvilClient(ipc::Process& self, Input& input)
      : self_(self),
        input_(input),
        gfx_(self.Open(kName, absl::Seconds(1)).value()),
        region_(self.CreateRegion(kRegionBytes).value()) {}

  void Step() {
    switch (input_.Byte() % 10) {
      case 0:
      case 1:
        return Create();
      case 2:
      case 3:
        return Present();
      case 4:
        return PresentInline();
      case 5:
        return Place();
      case 6: {
        const DestroySurfaceRequest request = {Surface()};
        return Send(request);
      }
      case 7:
        return SendBytes(input_.Bytes(input_.Byte()));
      case 8:
        self_.Sleep(absl::Milliseconds(input_.Byte() % 70)).IgnoreError();
        return;
      default:
        Look();
    }
  }

 private:
  int32_t Number() { return static_cast<int32_t>(input_.Word()); }
  // Mostly small, so that there is something to be seen.
  int32_t Side() { return input_.Byte() % 4 == 0 ? Number() : 1 + input_.Byte() % 24; }
  uint32_t Surface() {
    const uint8_t byte = input_.Byte();
    return byte % 8 == 7 ? static_cast<uint32_t>(input_.Word()) : byte % 8;
  }
  FrameDamage Changed() { return {Side(), Side(), Side(), Side()}; }
  int64_t Target() {
    const uint8_t byte = input_.Byte();
    if (byte % 4 == 0) return static_cast<int64_t>(input_.Word());
    return byte % 4 == 1 ? 0 : absl::ToUnixNanos(self_.Now()) + byte * int64_t{1'000'000};
  }

  void Create() {
    CreateSurfaceRequest request;
    request.width = Side();
    request.height = Side();
    request.x = Side();
    request.y = Side();
    request.shown_width = Side();
    request.shown_height = Side();
    request.depth = Number();
    request.format = static_cast<Format>(input_.Byte() % 7);
    const uint8_t granted = input_.Byte() % 4;
    if (granted == 1) request.pixels = {input_.Word(), input_.Word()};
    if (granted > 1) {
      request.pixels = region_.Grant(gfx_.server(), ipc::Access::kRead).value_or(ipc::Token());
    }
    Send(request);
  }

  void Place() {
    const PlaceSurfaceRequest request = {.surface = Surface(),
                                         .x = Side(),
                                         .y = Side(),
                                         .shown_width = Side(),
                                         .shown_height = Side(),
                                         .depth = Number()};
    Send(request);
  }

  void Present() {
    PresentRequest request;
    request.target_ns = Target();
    request.offset = input_.Byte() % 2 == 0 ? input_.Byte() : input_.Word();
    request.surface = Surface();
    request.source = static_cast<Source>(input_.Byte() % 3);
    request.damage = Changed();
    const uint64_t offset = input_.Byte();
    Send(request, {.regions = {region_.In(offset, kRegionBytes - offset)}, .deadline = kPatience});
  }

  void PresentInline() {
    PresentInlineRequest request;
    request.target_ns = Target();
    request.surface = Surface();
    request.damage = Changed();
    const ipc::MessageHeader header = ipc::HeaderOf<PresentInlineRequest>();
    const std::string pixels(input_.Byte() * size_t{4}, 'x');
    const std::array<ipc::ConstBytes, 3> parts = {ipc::BytesOf(header), ipc::BytesOf(request),
                                                  ipc::BytesOfText(pixels)};
    gfx_.SendParts(parts, {}, {.deadline = kPatience}).IgnoreError();
  }

  void Look() {
    ipc::ReadFile(self_, input_.Byte() % 2 == 0 ? "/dev/gfx/fb0" : "/dev/gfx/fb0.png")
        .IgnoreError();
  }

  template <typename Request>
  void Send(const Request& request, const ipc::CallOptions& options = {.deadline = kPatience}) {
    const ipc::MessageHeader header = ipc::HeaderOf<Request>();
    const std::array<ipc::ConstBytes, 2> parts = {ipc::BytesOf(header), ipc::BytesOf(request)};
    gfx_.SendParts(parts, {}, options).IgnoreError();
  }
  void SendBytes(const std::string& bytes) {
    gfx_.Send(ipc::BytesOfText(bytes), {}, {.deadline = kPatience}).IgnoreError();
  }

  ipc::Process& self_;
  Input& input_;
  ipc::Connection gfx_;
  ipc::Region region_;
};

// Above all others, a surface of one colour as large as the screen.
void CheckServes(ipc::Process& self) {
  const auto gfx = self.Open(kName, absl::Seconds(1));
  Require(gfx.ok(), "gfxd cannot be reached");
  const auto screen = gfx->Call<ScreenReply>(ScreenRequest{});
  Require(screen.ok(), "gfxd does not answer");
  CreateSurfaceRequest create;
  create.width = screen->width;
  create.height = screen->height;
  create.depth = INT32_MAX;
  create.format = Format::kGray8;
  const auto surface = gfx->Call<CreateSurfaceReply>(create);
  Require(surface.ok(), "an honest client gets no surface");
  const ipc::Region region = self.CreateRegion(kRegionBytes).value();
  std::memset(region.write().data(), 77, kRegionBytes);
  const PresentRequest present = {.surface = surface->surface};
  const auto pixels = static_cast<uint64_t>(screen->width * screen->height);
  Require(ipc::ErrorOf(gfx->Call<PresentReply>(present, {.regions = {region.In(0, pixels)},
                                                         .deadline = absl::Milliseconds(100)})
                           .status()) == ipc::Error::kDeadlineAfterReceive,
          "a frame that is shown has left the screen");
}

void RunOne(Input input) {
  bool drawn = false;
  ipc::World world({{"gfxd", Main},
                    {"evil",
                     [&](ipc::Process& self) {
                       EvilClient evil(self, input);
                       for (int i = 0; i < kMostSteps && !input.empty(); ++i) evil.Step();
                       return 0;
                     }},
                    {"honest", [&](ipc::Process& self) {
                       self.Sleep(absl::Seconds(10)).IgnoreError();
                       CheckServes(self);
                       drawn = true;
                       return 0;
                     }}});
  world.Start("gfxd", {.process = {.arguments = {"16", "8"}}, .service = true});
  world.Start("evil");
  world.Start("honest");
  Require(world.Run() == 0 && drawn, "a process did not end as it should");
}

}  // namespace
}  // namespace gfxd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gfxd::RunOne(parley::host::Input(data, size));
  return 0;
}
