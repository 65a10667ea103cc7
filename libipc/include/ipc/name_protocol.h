// The messages of the name server (N1 to N5), for whoever writes another one or another client.
//
// Sent on the connection that every process is born with. Paths are zero-terminated in fixed
// fields.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_NAME_PROTOCOL_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_NAME_PROTOCOL_H_

#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"
#include "ipc/channel.h"
#include "ipc/token.h"
#include "ipc/typed.h"

namespace ipc::names {

inline constexpr size_t kMaxPathBytes = 255;

struct Path {
  char text[kMaxPathBytes + 1] = {};

  // False: too long, or with a zero byte in it.
  bool Set(absl::string_view path) {
    if (path.size() > kMaxPathBytes || path.find('\0') != path.npos) return false;
    std::memset(text, 0, sizeof(text));
    std::memcpy(text, path.data(), path.size());
    return true;
  }
  // Whatever another process wrote: up to the first zero, at most the whole field.
  absl::string_view Get() const { return {text, strnlen(text, kMaxPathBytes)}; }
};

// N1: gives a channel a name. `channel` is a grant to connect and to grant, to the name server.
struct AttachRequest {
  static constexpr MessageType kType{.code = 1, .version = 1};
  Path path;
  Token channel;
  uint32_t mode = 0666;
};
// N2: asks for a way to the server of the longest attached prefix. The answer waits for the name if
// `wait`.
struct OpenRequest {
  static constexpr MessageType kType{.code = 2, .version = 1};
  Path path;
  uint8_t wait = 0;
};
struct OpenReply {
  static constexpr MessageType kType{.code = 3, .version = 1};
  Token channel;         // to connect with, for the asking process
  uint32_t matched = 0;  // bytes of the path that are the server's own name
};
// N2: asks for pulses about names at or below `prefix`: value 1 attached, 0 detached.
struct WatchRequest {
  static constexpr MessageType kType{.code = 4, .version = 1};
  Path prefix;
  EventToken event;
};
// The first name at or below `prefix` that comes after `after`, in order. An empty `path` in the
// answer: no more.
struct ListRequest {
  static constexpr MessageType kType{.code = 5, .version = 1};
  Path prefix;
  Path after;
};
// The answer to a ListRequest.
struct ListReply {
  static constexpr MessageType kType{.code = 6, .version = 1};
  Path path;
};
// The answer to all others, where they succeed.
struct Done {
  static constexpr MessageType kType{.code = 7, .version = 1};
};

}  // namespace ipc::names

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_NAME_PROTOCOL_H_
