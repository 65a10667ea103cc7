// Bytes that no slot holds, between a server and the client that is blocked in its send: copied by
// Linux at once (transfer.h), or served by the client where Linux does not permit that
// (link_copy.h). Which of the two, Linux is asked once for each client process that it refuses.
#include <algorithm>

#include "kernel-sim/host/link_copy.h"
#include "kernel-sim/host/read_once.h"
#include "kernel-sim/host/sending.h"
#include "kernel-sim/host/slot.h"
#include "kernel-sim/host/transfer.h"

namespace parley::host {
namespace {

// Read once: the client may write on. kInvalidArgument: more than it can have sent.
absl::StatusOr<RemoteParts> Fetch(const RemoteParts& shared) {
  const RemoteParts parts = ReadOnce(shared);
  if (parts.count > kMaxParts) return Refuse(Error::kInvalidArgument);
  return parts;
}

}  // namespace

// -- By the client

// What comes next is mostly another chunk, or the answer, and soon.
void Process::ServeCopy(Sending& send) {
  Slot& slot = send.slot();
  ServeCopyAsk(slot, send.out.staging(), send.arguments.request, send.arguments.reply);
  send.thread.copy_spin.Spin([&] {
    const uint32_t answer = slot.answer.load(std::memory_order_relaxed);
    return IsAnswer(answer, send.sequence) || (answer & kLookUp) != 0;
  });
}

// -- By the server

// What the client of a message gets whose bytes could not be moved.
Error Process::ErrorForClient(const absl::Status& failed) {
  const Error error = ErrorOf(failed);
  return error == Error::kBadAddress || error == Error::kNotPermitted ? error : Error::kNotReplied;
}

// Nobody else ends the message meanwhile, or begins to move more of it.
void Process::WaitUntilMoved(Inbound& inbound) {
  while (const uint32_t moving = inbound.moving) {
    inbound.answering = true;
    lock_.Unlock();
    FutexWait(inbound.moving, moving, kNever, Sharing::kPrivate);
    lock_.Lock();
    inbound.answering = false;
  }
}

// `remote()` has Linux copy and returns the bytes; `through(copy, length)` has the client copy that
// many of the `bytes` that there may be.
template <typename Remote, typename Through>
absl::StatusOr<uint64_t> Process::MoveFar(Inbound& inbound, uint64_t length, Remote remote,
                                          Through through) {
  FarProcess& far = *inbound.link.client;
  if (!start_.copies_through_link && !far.refused) {
    absl::StatusOr<uint64_t> moved = remote(far);
    if (ErrorOf(moved.status()) != Error::kNotPermitted) return moved;
    far.refused = true;
  }
  HostThread& thread = current();
  const auto look = [&] {
    if (IsOver(thread)) return Refuse(Error::kProcessEnded);
    return IsAlive(far) ? absl::OkStatus() : Refuse(Error::kMessageGone);
  };
  const LinkCopy copy = {inbound.slot(),
                         inbound.sequence,
                         inbound.staging(),
                         inbound.copies,
                         far.patience_ns,
                         thread.copy_spin,
                         look};
  if (absl::Status moved = through(copy); !moved.ok()) return moved;
  return length;
}

absl::StatusOr<uint64_t> Process::ReadFar(Inbound& inbound, uint64_t offset,
                                          MutableParts destination) {
  const uint64_t length = std::min(inbound.request_bytes - offset, TotalBytes(destination));
  return MoveFar(
      inbound, length,
      [&](const FarProcess& far) {
        const auto parts = Fetch(inbound.slot().request_parts);
        if (!parts.ok()) return absl::StatusOr<uint64_t>(parts.status());
        return ReadRemote(far, *parts, inbound.request_bytes, offset, destination);
      },
      [&](const LinkCopy& copy) { return ReadThroughLink(copy, offset, length, destination); });
}

absl::StatusOr<uint64_t> Process::WriteFar(Inbound& inbound, uint64_t offset, ConstParts source) {
  const uint64_t length = std::min(inbound.reply_room - offset, TotalBytes(source));
  return MoveFar(
      inbound, length,
      [&](const FarProcess& far) {
        const auto parts = Fetch(inbound.slot().reply_parts);
        if (!parts.ok()) return absl::StatusOr<uint64_t>(parts.status());
        return WriteRemote(far, *parts, inbound.reply_room, offset, source);
      },
      [&](const LinkCopy& copy) { return WriteThroughLink(copy, offset, length, source); });
}

}  // namespace parley::host
