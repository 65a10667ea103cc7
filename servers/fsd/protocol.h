// What clients say to fsd, the file server at /fs: open a file, then read ranges of it.
//
// Errors are replies: kNotFound (no such file, or an id that is not this client's),
// kPermissionDenied (a path out of the exported folder), kInvalidArgument, kResourceExhausted
// (kMaxOpenFiles). A client's files close when it dies.
#ifndef PARLEY_SERVERS_FSD_PROTOCOL_H_
#define PARLEY_SERVERS_FSD_PROTOCOL_H_

#include <cstddef>
#include <cstdint>

#include "ipc/typed.h"

namespace fsd {

inline constexpr char kName[] = "/fs";
inline constexpr size_t kMaxPathBytes = 255;
inline constexpr size_t kMaxOpenFiles = 64;               // of one client
inline constexpr uint64_t kMaxInlineBytes = 64ull << 20;  // of one read into the reply

// `path` is relative to the exported folder and ends with a zero byte.
struct OpenRequest {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
  char path[kMaxPathBytes + 1] = {};
};
struct OpenReply {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
  uint64_t size_bytes = 0;
  uint32_t file = 0;
  uint32_t reserved = 0;
};

struct CloseRequest {
  static constexpr ipc::MessageType kType{.code = 3, .version = 1};
  uint32_t file = 0;
};
struct CloseReply {
  static constexpr ipc::MessageType kType{.code = 4, .version = 1};
};

// Reads the file from `offset` on into the message's region reference, which says how many bytes
// and must allow writing (R5). Several may be under way; each is answered when its bytes are there.
struct ReadRequest {
  static constexpr ipc::MessageType kType{.code = 5, .version = 1};
  uint64_t offset = 0;
  uint32_t file = 0;
  uint32_t reserved = 0;
};
struct ReadReply {
  static constexpr ipc::MessageType kType{.code = 6, .version = 1};
  uint64_t bytes = 0;  // fewer than asked for: the file ends there
};

// The same with the bytes inside the reply, behind the ReadReply.
struct ReadInlineRequest {
  static constexpr ipc::MessageType kType{.code = 7, .version = 1};
  uint64_t offset = 0;
  uint64_t bytes = 0;  // at most kMaxInlineBytes
  uint32_t file = 0;
  uint32_t reserved = 0;
};

}  // namespace fsd

#endif  // PARLEY_SERVERS_FSD_PROTOCOL_H_
