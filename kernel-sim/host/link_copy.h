// Copies between a server and a client that is blocked in its send, served by the client's thread:
// for where Linux does not permit the one copy (transfer.h). Each byte is copied twice, chunk by
// chunk through the staging area of the send's slot.
//
// Neither side believes the other. The client serves only what lies in the buffers of this send.
// The server waits for a bounded time: for one read or write `patience_ns`, which is
// kCopyPatienceNs (1 s) or less, and kCopyNsPerByte for each byte. A client that has let one wait
// in vain is asked for no other of the same message, and has half the patience for the next; one
// that serves has all of it again.
#ifndef PARLEY_KERNEL_SIM_HOST_LINK_COPY_H_
#define PARLEY_KERNEL_SIM_HOST_LINK_COPY_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "kernel-sim/core/bytes.h"
#include "kernel-sim/host/objects.h"
#include "kernel-sim/host/spin.h"

namespace parley::host {

inline constexpr int64_t kCopyNsPerByte = 16;  // about 16 ms for each MiB
inline constexpr int64_t kLeastCopyPatienceNs = kCopyPatienceNs / 64;

// -- By the server. REQUIRES: it has taken the message, and answers it only afterwards.

struct LinkCopy {
  Slot& slot;
  const uint32_t sequence;
  Staging& staging;
  CopyTurns& turns;
  std::atomic<int64_t>& patience_ns;
  Spinner& spin;
  // Asked every 20 ms while it waits: not OK ends the copy.
  absl::FunctionRef<absl::Status()> look;
};

// Copy `length` bytes of the request from `offset` on into `destination`, or of `source` into the
// reply. kMessageGone: the client has left. kBadAddress: it offered what it does not have, or the
// caller did. kDeadline: it did not serve in time. Or what `look` says.
absl::Status ReadThroughLink(const LinkCopy& copy, uint64_t offset, uint64_t length,
                             MutableParts destination);
absl::Status WriteThroughLink(const LinkCopy& copy, uint64_t offset, uint64_t length,
                              ConstParts source);

// -- By the client

// Serves what the server has asked for, if anything, and wakes it.
void ServeCopyAsk(Slot& slot, Staging& staging, ConstParts request, MutableParts reply);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_LINK_COPY_H_
