// What clients say to gfxd, the graphics server at /gfx.
//
// A client makes surfaces: pictures of its own at a place and depth on the screen. It presents
// frames on them; at each tick of the frame clock gfxd shows on every surface the latest frame
// whose time has come, composes all surfaces into the next of its framebuffers, and tells those who
// watch. Where a frame's pixels are is the client's choice:
//   kReferenced  in a region reference of the message (R5). The reply comes when the frame has left
//                the screen, so a film keeps as many messages under way as it has frames in flight
//                (R10).
//   kGranted     in a region that was granted once, by token, when the surface was made (R2 to R4).
//   inline       in the message itself, behind a PresentInlineRequest; gfxd takes a copy at once.
// The reply to a frame that has no time (target_ns 0) and is not referenced comes at once; any
// other's when the frame has left the screen.
//
// What the screen shows is also two files: /dev/gfx/fb0, the pixels as they are in a framebuffer,
// and /dev/gfx/fb0.png. Each begins anew with the frame that is shown whenever it is read from its
// beginning.
//
// Errors are replies: kNotFound (a surface that is not this client's), kInvalidArgument,
// kResourceExhausted. A client's surfaces end when it dies.
#ifndef PARLEY_SERVERS_GFXD_PROTOCOL_H_
#define PARLEY_SERVERS_GFXD_PROTOCOL_H_

#include <cstdint>

#include "ipc/channel.h"
#include "ipc/token.h"
#include "ipc/typed.h"

namespace gfxd {

inline constexpr char kName[] = "/gfx";
inline constexpr char kFolder[] = "/dev/gfx";
inline constexpr int kMaxSide = 8192;    // pixels, of a screen, a surface and its place
inline constexpr int kFramebuffers = 2;  // one is shown while the next is composed

struct ScreenRequest {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
};
struct ScreenReply {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
  int32_t width = 0;         // pixels
  int32_t height = 0;        // pixels
  int64_t period_ns = 0;     // of the frame clock
  int64_t next_tick_ns = 0;  // on the kernel's clock
};

enum class Format : uint8_t {
  kRgba = 0,         // 4 bytes a pixel, red first, premultiplied by alpha
  kYuv420Bt601 = 1,  // planar, 8 bits, limited range; opaque
  kYuv420Bt709 = 2,
  kBgra = 3,    // as kRgba, blue first
  kRgb565 = 4,  // 2 bytes a pixel, the lower first, blue in the lowest bits; opaque
  kGray8 = 5,   // 1 byte a pixel; opaque
};
struct CreateSurfaceRequest {
  static constexpr ipc::MessageType kType{.code = 3, .version = 1};
  ipc::Token pixels;  // a region granted to gfxd for reading, for kGranted; or null
  int32_t width = 0;  // of a frame, pixels
  int32_t height = 0;
  int32_t x = 0;  // its place on the screen
  int32_t y = 0;
  int32_t shown_width = 0;  // its frames are scaled to this; 0: as wide, or high, as a frame
  int32_t shown_height = 0;
  int32_t depth = 0;  // the higher lies above
  Format format = Format::kRgba;
  uint8_t reserved[3] = {};
};
struct CreateSurfaceReply {
  static constexpr ipc::MessageType kType{.code = 4, .version = 1};
  uint32_t surface = 0;
};

struct DestroySurfaceRequest {
  static constexpr ipc::MessageType kType{.code = 5, .version = 1};
  uint32_t surface = 0;
};
struct DestroySurfaceReply {
  static constexpr ipc::MessageType kType{.code = 6, .version = 1};
};

// Moves, scales, raises or lowers a surface, at the next tick.
struct PlaceSurfaceRequest {
  static constexpr ipc::MessageType kType{.code = 14, .version = 1};
  uint32_t surface = 0;
  int32_t x = 0;  // as in CreateSurfaceRequest
  int32_t y = 0;
  int32_t shown_width = 0;
  int32_t shown_height = 0;
  int32_t depth = 0;
};
struct PlaceSurfaceReply {
  static constexpr ipc::MessageType kType{.code = 15, .version = 1};
};

// Damage: which of a frame's pixels differ from those of the frame that comes before it, by its
// time, on the surface. Width or height 0: any of them may. The others need not be drawn again.
struct FrameDamage {
  int32_t x = 0;
  int32_t y = 0;
  int32_t width = 0;
  int32_t height = 0;
};

enum class Source : uint8_t { kReferenced = 0, kGranted = 1 };
struct PresentRequest {
  static constexpr ipc::MessageType kType{.code = 7, .version = 2};
  int64_t target_ns = 0;  // show it from this time on, on the kernel's clock; 0: at the next tick
  uint64_t offset = 0;    // kGranted: where in the granted region
  uint32_t surface = 0;
  Source source = Source::kReferenced;
  uint8_t reserved[3] = {};
  FrameDamage damage = {};
};
// The frame's bytes follow in the same message. kResourceExhausted: with them gfxd would hold more
// than 128 MiB of this client's frames.
struct PresentInlineRequest {
  static constexpr ipc::MessageType kType{.code = 13, .version = 2};
  int64_t target_ns = 0;  // as above
  uint32_t surface = 0;
  uint32_t reserved = 0;
  FrameDamage damage = {};
};
struct PresentReply {
  static constexpr ipc::MessageType kType{.code = 8, .version = 1};
  int64_t shown_ns =
      0;  // when it was on the screen first; 0: not yet, or never since a later one was due
};

// From now on each tick delivers the event, with the number of the frame that was composed last,
// counted from 1.
struct WatchRequest {
  static constexpr ipc::MessageType kType{.code = 9, .version = 1};
  ipc::EventToken event;
};
struct WatchReply {
  static constexpr ipc::MessageType kType{.code = 10, .version = 1};
};

// The framebuffers to look at, as a region that nobody but gfxd can write: kFramebuffers pictures
// of the screen's size, RGBA, one behind the other; frame n is in the (n mod kFramebuffers)-th.
struct FramebufferRequest {
  static constexpr ipc::MessageType kType{.code = 11, .version = 1};
};
struct FramebufferReply {
  static constexpr ipc::MessageType kType{.code = 12, .version = 1};
  ipc::Token token;
};

// A control message of both files: the screen's size in pixels.
struct SizeRequest {
  static constexpr ipc::MessageType kType{.code = 16, .version = 1};
};
struct SizeReply {
  static constexpr ipc::MessageType kType{.code = 17, .version = 1};
  int32_t width = 0;
  int32_t height = 0;
};

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_PROTOCOL_H_
