// A connection: this process's way to send to one server's channel.
//
// Threads: any number may send on one connection at a time. It is closed, or moved, by one when no
// other uses it.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_CONNECTION_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_CONNECTION_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "ipc/bytes.h"
#include "ipc/error.h"
#include "ipc/region.h"
#include "ipc/time.h"
#include "ipc/token.h"
#include "ipc/typed.h"

namespace parley {
class Kernel;
}

namespace ipc {

struct CallOptions {
  absl::InlinedVector<RegionReference, 2> regions = {};  // R5; 16 at most
  Deadline deadline = {};                                // D1
  absl::Duration grace =
      absl::Seconds(1);  // D3: how long past the deadline the server may take to let go
};

class [[nodiscard]] Connection {
 public:
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  ~Connection();  // closes it; the server may get a disconnect pulse (L2)

  // S1 to S3: sends `request` and blocks until the reply or the deadline. Returns how long the
  // reply was; past reply.size() it was cut (S2). Errors are all of S9: kNoSuchChannel,
  // kServerDiedBeforeReceive, kServerDiedAfterReceive, kDeadlineBeforeReceive,
  // kDeadlineAfterReceive, kCancelled, kWouldDeadlock (L4), kNotReplied, kServerError; and
  // kInvalidArgument (more than 1 GiB, 1024 parts or 16 regions), kLeaseEnded and kNotPermitted (of
  // a region), kBadAddress.
  absl::StatusOr<uint64_t> Send(ConstBytes request, MutableBytes reply,
                                const CallOptions& options = {}) const {
    return SendParts(absl::MakeConstSpan(&request, 1), absl::MakeConstSpan(&reply, 1), options);
  }
  absl::StatusOr<uint64_t> SendParts(ConstParts request, MutableParts reply,
                                     const CallOptions& options = {}) const;

  // A typed Send: errors as Send, and kWrongType when the reply is not a Reply of this version.
  template <TypedMessage Reply, TypedMessage Request>
  absl::StatusOr<Reply> Call(const Request& request, const CallOptions& options = {}) const {
    const MessageHeader sent = HeaderOf<Request>();
    MessageHeader got;
    absl::StatusOr<Reply> reply(absl::in_place);
    const std::array<ConstBytes, 2> out = {BytesOf(sent), BytesOf(request)};
    const std::array<MutableBytes, 2> in = {MutableBytesOf(got), MutableBytesOf(*reply)};
    absl::StatusOr<uint64_t> length = SendParts(out, in, options);
    if (!length.ok()) return length.status();
    if (*length != sizeof(got) + sizeof(Reply) || got.code != Reply::kType.code ||
        got.version != Reply::kType.version) {
      return WrongReply(got, *length);
    }
    return reply;
  }

  // U1, U2: queues a pulse on the server's channel; never blocks. `code` is 0 to 127, `priority` 1
  // to 255. kQuotaExhausted: 64 distinct ones are queued. kNotPermitted: above the ceiling (P6).
  // kNoSuchChannel.
  absl::Status SendPulse(uint8_t code, uint64_t value, int priority) const;

  // The process at the far end, to grant regions to. Nobody once the connection is dead.
  ProcessRef server() const;
  // The path it was opened with, for people.
  const std::string& name() const { return name_; }
  // N1: what of that path lies beyond the server's own name ("/0" of "/dev/gfx/0"), for the server
  // to be told.
  absl::string_view rest() const { return absl::string_view(name_).substr(matched_); }

 private:
  friend class Process;
  friend class Channel;
  Connection(parley::Kernel* kernel, uint32_t handle, std::string name, size_t matched)
      : kernel_(kernel), handle_(handle), name_(std::move(name)), matched_(matched) {}
  absl::Status WrongReply(const MessageHeader& got, uint64_t length) const;

  parley::Kernel* kernel_;
  uint32_t handle_;
  std::string name_;
  size_t matched_;
  Token capability_;  // of one that Process::Open made: it ends with the connection
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_CONNECTION_H_
