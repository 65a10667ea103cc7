// Copies that the client serves. The numbers are the steps of one chunk:
//
//   (1) the server stages the bytes of a write, and asks
//   (2) it wakes the client if that sleeps, and spins or sleeps on the turn
//   (3) the client copies between its own buffers and the staging area, and gives the turn back
//   (4) the server takes the bytes of a read
#include "kernel-sim/host/link_copy.h"

#include <algorithm>

#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/staging.h"
#include "kernel-sim/refusals.h"
#include "kernel-sim/safe_copy.h"

namespace parley::host {
namespace {

// A client that dies wakes nobody: how often whoever waits for it looks.
constexpr int64_t kLookAgainNs = 20'000'000;

absl::Status Unserved() {
  return MakeError(Error::kDeadline, "the client did not serve the copy of its bytes in time");
}

absl::Status OwnAddress() {
  return MakeError(Error::kBadAddress, "a buffer of the server's is not its memory");
}

bool IsClientsTurn(const Staging& staging) {
  return TurnOf(staging.turn.load(std::memory_order_relaxed)) == Turn::kClient;
}

// (2)
absl::Status AwaitTurn(const LinkCopy& copy, int64_t until) {
  const auto is_taken = [&] { return IsWaitedFor(copy.slot, copy.sequence); };
  copy.spin.Spin([&] { return !IsClientsTurn(copy.staging) || !is_taken(); });
  for (;;) {
    const Turn turn = TurnOf(copy.staging.turn.load());
    if (turn == Turn::kServed) return absl::OkStatus();
    if (turn != Turn::kClient) return Refuse(Error::kBadAddress);  // refused, or it cheats
    if (!is_taken()) return Refuse(Error::kMessageGone);
    if (absl::Status looked = copy.look(); !looked.ok()) return looked;
    const int64_t now = MonotonicNs();
    if (now >= until) return Unserved();
    if (const uint32_t asleep = PrepareTurnSleep(copy.staging)) {
      FutexWait(copy.staging.turn, asleep, std::min(until, now + kLookAgainNs), Sharing::kShared);
    }
  }
}

absl::Status HaveCopied(const LinkCopy& copy, const CopyAsk& ask, int64_t until) {
  const Asked asked = AskCopy(copy.slot, copy.sequence, copy.staging, ask);
  if (!asked.asked) return Refuse(Error::kMessageGone);
  if (asked.wake) FutexWake(copy.slot.answer, 1, Sharing::kShared);
  absl::Status served = AwaitTurn(copy, until);
  if (!served.ok()) GiveUpCopy(copy.staging);
  return served;
}

// `move(chunk, begin)` copies between the staged bytes and the server's own, from `begin` on;
// returns the bytes copied.
template <typename Move>
absl::Status CopyChunks(const LinkCopy& copy, uint64_t offset, uint64_t length, bool to_reply,
                        Move move) {
  Locked one_at_a_time(copy.turns.lock);
  if (copy.turns.unserved) return Unserved();
  const int64_t patience = copy.patience_ns;
  const int64_t until = MonotonicNs() + patience + static_cast<int64_t>(length) * kCopyNsPerByte;
  for (uint64_t done = 0; done < length;) {
    const auto run = static_cast<uint32_t>(std::min<uint64_t>(length - done, kStagingBytes));
    const MutableBytes chunk(copy.staging.bytes.data(), run);
    if (to_reply && move(chunk, done) < run) return OwnAddress();
    const absl::Status served = HaveCopied(copy, {offset + done, run, to_reply ? 1u : 0u}, until);
    if (ErrorOf(served) == Error::kDeadline) {
      copy.turns.unserved = true;
      copy.patience_ns = std::max(patience / 2, kLeastCopyPatienceNs);
    }
    if (!served.ok()) return served;
    if (!to_reply && move(chunk, done) < run) return OwnAddress();
    done += run;
  }
  copy.patience_ns = kCopyPatienceNs;
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadThroughLink(const LinkCopy& copy, uint64_t offset, uint64_t length,
                             MutableParts destination) {
  const auto move = [&](MutableBytes chunk, uint64_t begin) {
    return CopyParts(destination, begin, MutableParts(&chunk, 1), 0, SafeCopy);
  };
  return CopyChunks(copy, offset, length, /*to_reply=*/false, move);
}

absl::Status WriteThroughLink(const LinkCopy& copy, uint64_t offset, uint64_t length,
                              ConstParts source) {
  const auto move = [&](MutableBytes chunk, uint64_t begin) {
    return CopyParts(MutableParts(&chunk, 1), 0, source, begin, SafeCopy);
  };
  return CopyChunks(copy, offset, length, /*to_reply=*/true, move);
}

// -- (3)

namespace {

bool Serve(const CopyAsk& ask, Staging& staging, ConstParts request, MutableParts reply) {
  const uint64_t offered = ask.to_reply != 0 ? TotalBytes(reply) : TotalBytes(request);
  if (ask.length > kStagingBytes || ask.offset > offered || ask.length > offered - ask.offset) {
    return false;  // it cheats
  }
  const MutableBytes chunk(staging.bytes.data(), ask.length);
  const MutableParts staged(&chunk, 1);
  const uint64_t copied = ask.to_reply != 0 ? CopyParts(reply, ask.offset, staged, 0, SafeCopy)
                                            : CopyParts(staged, 0, request, ask.offset, SafeCopy);
  return copied == ask.length;
}

}  // namespace

void ServeCopyAsk(Slot& slot, Staging& staging, ConstParts request, MutableParts reply) {
  CopyAsk ask;
  if (!TakeCopyAsk(slot, staging, ask)) return;
  const bool served = Serve(ask, staging, request, reply);
  if (GiveBackTurn(staging, served ? Turn::kServed : Turn::kRefused)) {
    FutexWake(staging.turn, 1, Sharing::kShared);
  }
}

}  // namespace parley::host
