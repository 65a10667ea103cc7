// Tests of servers/gfxd/gfxd.h: the server with clients, good and bad, on the simulated kernel.
#include "servers/gfxd/gfxd.h"

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "ipc/file_server.h"
#include "servers/gfxd/pixel.h"
#include "servers/gfxd/protocol.h"
#include "tests/support/world.h"

namespace gfxd {
namespace {

constexpr int kWidth = 8, kHeight = 4;  // of the screen
constexpr Pixel kRed = Rgba(255, 0, 0), kGreen = Rgba(0, 255, 0);

tests::Actor Server() {
  return {.name = "gfxd", .main = Main, .service = true, .arguments = {"8", "4"}};
}

// A client with eyes: it sees the screen after each tick.
class Viewer {
 public:
  explicit Viewer(ipc::Process& self)
      : gfx_(self.Open(kName, absl::Seconds(1)).value()),
        frames_(self.CreateChannel("frames").value()) {
    const auto event = frames_.RegisterEvent(gfx_, 1, 0, 10, /*any_value=*/true).value();
    REQUIRE(gfx_.Call<WatchReply>(WatchRequest{event}).ok());
    framebuffers_.emplace(
        self.Redeem(gfx_.Call<FramebufferReply>(FramebufferRequest{})->token).value());
  }
  const ipc::Connection& gfx() const { return gfx_; }
  const ipc::Region& framebuffers() const { return *framebuffers_; }

  // Waits for `ticks` ticks; then the pixel at (x, y). No ticks: of the same frame.
  Pixel See(int x, int y, int ticks = 1) {
    for (int i = 0; i < ticks; ++i) frame_ = frames_.Receive()->pulse()->value;
    const size_t index =
        frame_ % kFramebuffers * kWidth * kHeight + static_cast<size_t>(y * kWidth + x);
    Pixel pixel;
    std::memcpy(&pixel, framebuffers_->read().data() + index * sizeof pixel, sizeof pixel);
    return pixel;
  }

 private:
  ipc::Connection gfx_;
  ipc::Channel frames_;
  std::optional<ipc::Region> framebuffers_;
  uint64_t frame_ = 0;  // that was seen last
};

CreateSurfaceRequest Rgba2x2(int x, int y) {
  CreateSurfaceRequest request;
  request.width = request.height = 2;
  request.x = x;
  request.y = y;
  return request;
}

void FillRegion(const ipc::Region& region, uint64_t offset, Pixel color) {
  for (uint64_t i = 0; i < 4; ++i) {
    std::memcpy(region.write().data() + offset + i * sizeof color, &color, sizeof color);
  }
}

// A surface of 2 by 2 pixels with its frames in a region that is granted once.
struct Granted {
  Granted(ipc::Process& self, const ipc::Connection& server, CreateSurfaceRequest create)
      : gfx(server), region(self.CreateRegion(4096).value()) {
    create.pixels = region.Grant(gfx.server(), ipc::Access::kRead).value();
    present.surface = gfx.Call<CreateSurfaceReply>(create)->surface;
    present.source = Source::kGranted;
  }
  absl::Status Present() const { return gfx.Call<PresentReply>(present).status(); }
  absl::Status Show(Pixel color) const {
    FillRegion(region, present.offset, color);
    return Present();
  }

  const ipc::Connection& gfx;
  ipc::Region region;
  PresentRequest present;
};

absl::StatusOr<uint64_t> SendInline(const ipc::Connection& gfx, uint32_t surface,
                                    const std::vector<Pixel>& pixels) {
  const ipc::MessageHeader header = ipc::HeaderOf<PresentInlineRequest>();
  const PresentInlineRequest request = {.surface = surface};
  const std::array<ipc::ConstBytes, 3> parts = {
      ipc::BytesOf(header), ipc::BytesOf(request),
      ipc::ConstBytes(reinterpret_cast<const std::byte*>(pixels.data()),
                      pixels.size() * sizeof(Pixel))};
  return gfx.SendParts(parts, {});
}

TEST_CASE("a frame in a granted region is on the screen after the next tick") {
  tests::RunWorld({Server(), {.name = "client", .main = [](ipc::Process& self) {
                                Viewer viewer(self);
                                Granted granted(self, viewer.gfx(), Rgba2x2(3, 1));
                                granted.present.offset = 64;
                                CHECK(granted.Show(kRed).ok());
                                CHECK(viewer.See(3, 1) == kRed);
                                CHECK(viewer.See(4, 2) == kRed);
                                CHECK(viewer.See(5, 2) != kRed);
                                return 0;
                              }}});
}

TEST_CASE("a frame inside the message is copied: what the client does to it later does not show") {
  tests::RunWorld({Server(), {.name = "client", .main = [](ipc::Process& self) {
                                Viewer viewer(self);
                                const uint32_t surface =
                                    viewer.gfx().Call<CreateSurfaceReply>(Rgba2x2(0, 0))->surface;
                                std::vector<Pixel> pixels(4, kGreen);
                                CHECK(SendInline(viewer.gfx(), surface, pixels).ok());
                                pixels.assign(4, kRed);
                                CHECK(viewer.See(1, 1) == kGreen);
                                return 0;
                              }}});
}

TEST_CASE(
    "a film's frames are shown from their times on, and answered when the next one is shown") {
  tests::RunWorld(
      {Server(),
       {.name = "client", .main = [](ipc::Process& self) {
          Viewer viewer(self);
          const uint32_t surface = viewer.gfx().Call<CreateSurfaceReply>(Rgba2x2(0, 0))->surface;
          const ScreenReply screen = viewer.gfx().Call<ScreenReply>(ScreenRequest{}).value();
          const ipc::Region region = self.CreateRegion(2 * 4096).value();
          FillRegion(region, 0, kRed);
          FillRegion(region, 4096, kGreen);
          int64_t shown_ns[2] = {0, 0};
          std::vector<ipc::Thread> threads;
          for (uint64_t i = 0; i < 2; ++i) {
            threads.push_back(self.Spawn({},
                                         [&, i] {
                                           const int64_t target_ns =
                                               screen.next_tick_ns +
                                               static_cast<int64_t>(2 * i + 1) * screen.period_ns;
                                           const PresentRequest present = {.target_ns = target_ns,
                                                                           .surface = surface};
                                           const auto reply = viewer.gfx().Call<PresentReply>(
                                               present, {.regions = {region.In(4096 * i, 16)}});
                                           shown_ns[i] = reply.ok() ? reply->shown_ns : -1;
                                           CHECK(shown_ns[i] >= target_ns);
                                         })
                                  .value());
          }
          CHECK(viewer.See(0, 0) != kRed);
          CHECK(viewer.See(0, 0) == kRed);
          CHECK(viewer.See(0, 0) == kRed);
          CHECK(shown_ns[0] == 0);  // still on the screen: not answered
          CHECK(viewer.See(0, 0) == kGreen);
          CHECK(threads[0].Join().ok());
          CHECK(viewer.gfx().Call<DestroySurfaceReply>(DestroySurfaceRequest{surface}).ok());
          CHECK(threads[1].Join().ok());
          return 0;
        }}});
}

TEST_CASE("what is no surface and no frame is refused, and the server goes on") {
  tests::RunWorld(
      {Server(),
       {.name = "client", .main = [](ipc::Process& self) {
          Viewer viewer(self);
          const ipc::Connection& gfx = viewer.gfx();
          const auto code_of = [](const auto& reply) { return reply.status().code(); };
          CreateSurfaceRequest empty = Rgba2x2(0, 0);
          empty.width = 0;
          CHECK(code_of(gfx.Call<CreateSurfaceReply>(empty)) == absl::StatusCode::kInvalidArgument);
          CreateSurfaceRequest far = Rgba2x2(INT32_MIN, 0);
          CHECK(code_of(gfx.Call<CreateSurfaceReply>(far)) == absl::StatusCode::kInvalidArgument);
          CreateSurfaceRequest strange = Rgba2x2(0, 0);
          strange.format = static_cast<Format>(9);
          CHECK(code_of(gfx.Call<CreateSurfaceReply>(strange)) ==
                absl::StatusCode::kInvalidArgument);
          CreateSurfaceRequest forged = Rgba2x2(0, 0);
          forged.pixels = {1, 2};
          CHECK_FALSE(gfx.Call<CreateSurfaceReply>(forged).ok());

          const uint32_t surface = gfx.Call<CreateSurfaceReply>(Rgba2x2(0, 0))->surface;
          const ipc::Region region = self.CreateRegion(4096).value();
          const PresentRequest referenced = {.surface = surface};
          CHECK_FALSE(gfx.Call<PresentReply>(referenced).ok());
          CHECK(code_of(gfx.Call<PresentReply>(referenced, {.regions = {region.In(0, 15)}})) ==
                absl::StatusCode::kInvalidArgument);
          const PresentRequest ungranted = {.surface = surface, .source = Source::kGranted};
          CHECK(code_of(gfx.Call<PresentReply>(ungranted)) == absl::StatusCode::kInvalidArgument);
          CHECK(code_of(SendInline(gfx, surface, std::vector<Pixel>(3))) ==
                absl::StatusCode::kInvalidArgument);
          CHECK(code_of(SendInline(gfx, surface + 1, std::vector<Pixel>(4))) ==
                absl::StatusCode::kNotFound);
          const ipc::MessageHeader bare = ipc::HeaderOf<PresentInlineRequest>();
          CHECK_FALSE(gfx.Send(ipc::BytesOf(bare), {}).ok());
          CHECK_FALSE(gfx.Send({}, {}).ok());
          CHECK(SendInline(gfx, surface, std::vector<Pixel>(4, kRed)).ok());
          CHECK(viewer.See(0, 0) == kRed);
          return 0;
        }}});
}

TEST_CASE("one client cannot take what others need") {
  tests::RunWorld({Server(),
                   {.name = "greedy",
                    .main =
                        [](ipc::Process& self) {
                          const ipc::Connection gfx = self.Open(kName, absl::Seconds(1)).value();
                          const auto is_full = [](const auto& reply) {
                            return reply.status().code() == absl::StatusCode::kResourceExhausted;
                          };
                          CreateSurfaceRequest large = Rgba2x2(0, 0);
                          large.format = Format::kGray8;
                          large.width = 8192;
                          large.height = 4096;
                          const uint32_t surface = gfx.Call<CreateSurfaceReply>(large)->surface;
                          while (gfx.Call<CreateSurfaceReply>(large).ok()) {
                          }
                          CHECK(is_full(gfx.Call<CreateSurfaceReply>(large)));

                          const std::vector<Pixel> pixels(8192 * 4096 / sizeof(Pixel));
                          while (SendInline(gfx, surface, pixels).ok()) {
                          }
                          const auto refused = SendInline(gfx, surface, pixels);
                          CHECK(is_full(refused));  // before 16 frames wait
                          CHECK(absl::StrContains(refused.status().message(), "128 MiB"));

                          const ipc::Channel frames = self.CreateChannel("frames").value();
                          const WatchRequest watch = {
                              frames.RegisterEvent(gfx, 1, 0, 10, /*any_value=*/true).value()};
                          while (gfx.Call<WatchReply>(watch).ok()) {
                          }
                          CHECK(is_full(gfx.Call<WatchReply>(watch)));
                          const ipc::Channel full = self.Attach("/full").value();
                          return full.Receive().ok() ? 0 : 1;
                        },
                    .service = true},
                   {.name = "client", .main = [](ipc::Process& self) {
                      CHECK(self.Open("/full", absl::Seconds(60)).ok());
                      Viewer viewer(self);
                      CreateSurfaceRequest above = Rgba2x2(0, 0);
                      above.depth = 1;
                      const uint32_t surface =
                          viewer.gfx().Call<CreateSurfaceReply>(above)->surface;
                      CHECK(SendInline(viewer.gfx(), surface, std::vector<Pixel>(4, kRed)).ok());
                      CHECK(viewer.See(0, 0) == kRed);
                      return 0;
                    }}});
}

TEST_CASE("the surfaces of a client that ends leave the screen with it") {
  tests::RunWorld({Server(),
                   {.name = "painter",
                    .main =
                        [](ipc::Process& self) {
                          const auto gfx = self.Open(kName, absl::Seconds(1)).value();
                          const uint32_t surface =
                              gfx.Call<CreateSurfaceReply>(Rgba2x2(0, 0))->surface;
                          CHECK(SendInline(gfx, surface, std::vector<Pixel>(4, kRed)).ok());
                          return self.Sleep(absl::Milliseconds(100)).ok() ? 0 : 1;
                        }},
                   {.name = "viewer", .main = [](ipc::Process& self) {
                      Viewer viewer(self);
                      CHECK(viewer.See(0, 0) == kRed);
                      CHECK(viewer.See(0, 0, 4) != kRed);
                      return 0;
                    }}});
}

TEST_CASE("a surface is moved, scaled and raised; nobody else's is") {
  tests::RunWorld(
      {Server(),
       {.name = "client", .main = [](ipc::Process& self) {
          Viewer viewer(self);
          const ipc::Connection& gfx = viewer.gfx();
          const uint32_t red = gfx.Call<CreateSurfaceReply>(Rgba2x2(0, 0))->surface;
          const uint32_t green = gfx.Call<CreateSurfaceReply>(Rgba2x2(0, 0))->surface;
          CHECK(SendInline(gfx, red, std::vector<Pixel>(4, kRed)).ok());
          CHECK(SendInline(gfx, green, std::vector<Pixel>(4, kGreen)).ok());
          CHECK(viewer.See(0, 0) == kGreen);
          PlaceSurfaceRequest place = {.surface = red, .x = 1, .shown_width = 4, .shown_height = 4};
          place.depth = 1;
          CHECK(gfx.Call<PlaceSurfaceReply>(place).ok());
          CHECK(viewer.See(1, 1) == kRed);
          CHECK(viewer.See(4, 3) == kRed);
          CHECK(viewer.See(0, 0) == kGreen);
          CHECK(viewer.See(5, 0) != kRed);
          place.surface += 2;
          CHECK(gfx.Call<PlaceSurfaceReply>(place).status().code() == absl::StatusCode::kNotFound);
          place.surface = red;
          place.x = INT32_MAX;
          CHECK(gfx.Call<PlaceSurfaceReply>(place).status().code() ==
                absl::StatusCode::kInvalidArgument);
          CHECK(viewer.See(1, 1) == kRed);
          return 0;
        }}});
}

TEST_CASE("what a client says has not changed is not drawn again, in either framebuffer") {
  tests::RunWorld({Server(), {.name = "client", .main = [](ipc::Process& self) {
                                Viewer viewer(self);
                                Granted granted(self, viewer.gfx(), Rgba2x2(0, 0));
                                CHECK(granted.Show(kRed).ok());
                                CHECK(viewer.See(0, 0, 2) == kRed);
                                granted.present.damage = {.x = 1, .y = 0, .width = 1, .height = 2};
                                CHECK(granted.Show(kGreen).ok());
                                for (int frame = 0; frame < 3; ++frame) {
                                  CHECK(viewer.See(1, 1) == kGreen);
                                  CHECK(viewer.See(0, 1, 0) == kRed);
                                }
                                return 0;
                              }}});
}

TEST_CASE(
    "whatever a client says has changed, nothing is drawn outside, and all if it is nothing") {
  tests::RunWorld({Server(), {.name = "client", .main = [](ipc::Process& self) {
                                Viewer viewer(self);
                                Granted granted(self, viewer.gfx(), Rgba2x2(3, 1));
                                const int32_t edges[] = {INT32_MIN, -1, 0, 1, 2, INT32_MAX};
                                bool red = false;
                                for (const int32_t x : edges) {
                                  for (const int32_t width : edges) {
                                    red = !red;
                                    granted.present.damage = {x, x, width, width};
                                    CHECK(granted.Show(red ? kRed : kGreen).ok());
                                    CHECK(viewer.See(0, 0) != (red ? kRed : kGreen));
                                    if (width > 0) continue;
                                    CHECK(viewer.See(3, 1, 0) == (red ? kRed : kGreen));
                                  }
                                }
                                return 0;
                              }}});
}

TEST_CASE("a frame may lie at any address, if all of it is there") {
  tests::RunWorld({Server(), {.name = "client", .main = [](ipc::Process& self) {
                                Viewer viewer(self);
                                Granted granted(self, viewer.gfx(), Rgba2x2(0, 0));
                                granted.present.offset = 4096 - 16 - 1;
                                CHECK(granted.Show(kRed).ok());
                                CHECK(viewer.See(1, 1) == kRed);
                                ++granted.present.offset;
                                CHECK(granted.Show(kRed).ok());
                                ++granted.present.offset;
                                CHECK_FALSE(granted.Present().ok());
                                return 0;
                              }}});
}

TEST_CASE("the screen is two files, of the frame that is shown when they are read") {
  tests::RunWorld(
      {Server(), {.name = "client", .main = [](ipc::Process& self) {
                    Viewer viewer(self);
                    const uint32_t surface =
                        viewer.gfx().Call<CreateSurfaceReply>(Rgba2x2(0, 0))->surface;
                    CHECK(SendInline(viewer.gfx(), surface, std::vector<Pixel>(4, kRed)).ok());
                    CHECK(viewer.See(0, 0) == kRed);
                    const auto folder = ipc::File::Open(self, "/dev/gfx", O_RDONLY).value();
                    CHECK(folder.List()->size() == 2);
                    const auto raw = ipc::File::Open(self, "/dev/gfx/fb0", O_RDONLY).value();
                    CHECK(raw.Stat()->size == kWidth * kHeight * sizeof(Pixel));
                    CHECK(raw.Control<SizeReply>(SizeRequest{})->width == kWidth);
                    std::vector<Pixel> pixels(kWidth * kHeight + 1);
                    const ipc::MutableBytes bytes = {reinterpret_cast<std::byte*>(pixels.data()),
                                                     pixels.size() * sizeof(Pixel)};
                    CHECK(raw.ReadAt(0, bytes).value() == kWidth * kHeight * sizeof(Pixel));
                    CHECK(pixels[0] == kRed);
                    CHECK(pixels[2] != kRed);
                    CHECK(SendInline(viewer.gfx(), surface, std::vector<Pixel>(4, kGreen)).ok());
                    CHECK(viewer.See(0, 0) == kGreen);
                    CHECK(raw.ReadAt(4, bytes).value() == (kWidth * kHeight - 1) * sizeof(Pixel));
                    CHECK(pixels[0] == kRed);  // the rest of what was begun
                    CHECK(raw.ReadAt(0, bytes).ok());
                    CHECK(pixels[0] == kGreen);
                    const std::string png = ipc::ReadFile(self, "/dev/gfx/fb0.png").value();
                    CHECK(png.substr(0, 4) == "\x89PNG");
                    const auto code = [](const auto& status) { return ipc::PosixErrorOf(status); };
                    CHECK(code(ipc::File::Open(self, "/dev/gfx/fb1", O_RDONLY).status()) == ENOENT);
                    CHECK(code(raw.WriteAt(0, bytes).status()) == EBADF);
                    CHECK(code(ipc::File::Open(self, "/dev/gfx/fb0", O_RDWR).status()) == EROFS);
                    CHECK(code(folder.ReadAt(0, bytes).status()) == EISDIR);
                    std::vector<ipc::File> many;
                    for (int i = 1; i < 16; ++i) {
                      many.push_back(ipc::File::Open(self, "/dev/gfx/fb0.png", O_RDONLY).value());
                    }
                    CHECK(code(ipc::File::Open(self, "/dev/gfx/fb0", O_RDONLY).status()) == EMFILE);
                    CHECK(ipc::File::Open(self, "/dev/gfx", O_RDONLY).ok());
                    many.pop_back();
                    CHECK(ipc::File::Open(self, "/dev/gfx/fb0", O_RDONLY).ok());
                    return 0;
                  }}});
}

int StatusOf(const std::string& name, const std::vector<tests::Actor>& actors) {
  for (const parley::ProcessReport& process : tests::RunAny(actors).processes) {
    if (process.name == name) return process.exit.code;
  }
  return -1;
}

TEST_CASE("gfxd says which argument it misses, and a name that is taken") {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{}, {"8"}, {"0", "4"}, {"8", "8193"}, {"8", "x"}}) {
    CHECK(StatusOf("gfxd", {{.name = "gfxd", .main = Main, .arguments = arguments}}) == 2);
  }
  const tests::Actor holder = {.name = "holder", .main = [](ipc::Process& self) {
                                 const auto held = self.Attach(kFolder).value();
                                 return self.Sleep(absl::Seconds(1)).ok() ? 0 : 1;
                               }};
  CHECK(StatusOf("gfxd", {holder, {.name = "gfxd", .main = Main, .arguments = {"8", "4"}}}) == 1);
}

TEST_CASE("nobody but gfxd can write its framebuffers") {
  tests::RunWorld({Server(), {.name = "client", .main = [](ipc::Process& self) {
                                Viewer viewer(self);
                                CHECK_FALSE(viewer.framebuffers().writable());
                                CHECK(viewer.framebuffers().write().empty());
                                return 0;
                              }}});
}

}  // namespace
}  // namespace gfxd
