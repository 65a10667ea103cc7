// Kernel calls: reply, and what else a server does with a message it holds.
//
// A reply is in the slot before the state says so. The server's level is lowered after that, and
// after the client was woken: below the client's level, somebody else may keep it from doing so
// (P4; process.cc).
#include <sched.h>

#include <algorithm>
#include <utility>

#include "kernel-sim/host/process.h"
#include "kernel-sim/host/slot.h"
#include "kernel-sim/safe_copy.h"

namespace parley::host {
namespace {

constexpr std::string_view kOwnAddress = "a buffer of the server's is not its memory";

}  // namespace

Inbound* Process::FindMessage(MessageHandle message) {
  if (message.slot >= inbound_.size() || message.serial == 0) return nullptr;
  Inbound* inbound = inbound_[message.slot];
  return inbound != nullptr && inbound->serial == message.serial ? inbound : nullptr;
}

void Process::FillInfo(const Inbound& inbound, MessageInfo& info) const {
  const Far& far = inbound.link.client->far;
  info.process = far.process;
  info.thread = ThreadId{inbound.thread};
  info.uid = far.uid;
  info.gid = far.gid;
  info.pid = far.pid;
  info.connection = inbound.link.connection_id;
  info.badge = inbound.link.badge;
  info.priority = inbound.sent_level();
  info.request_bytes = inbound.request_bytes;
  info.reply_room = inbound.reply_room;
  info.region_count = inbound.reference_count;
  info.unblock_requested = inbound.unblock_requested;
}

void Process::WakeClient(Slot& slot) { FutexWake(slot.answer, 1, Sharing::kShared); }

// The message, if its client still waits. One whose client has gone is let go of (D3, R5).
absl::StatusOr<Inbound*> Process::BeginAnswer(MessageHandle message) {
  Inbound* inbound = FindMessage(message);
  if (inbound == nullptr || inbound->answering) return Refuse(Error::kMessageGone);
  WaitUntilMoved(*inbound);
  // The client may have left without a look at its slot since.
  if (inbound->slot().request.load() == MakeRequest(inbound->sequence, Ask::kLeft)) {
    ClientLeft(*inbound);
  }
  if (!inbound->gone) return inbound;
  absl::Status outcome;
  EndAnswer(*inbound, {.how = Outcome::kFailed}, outcome);
  return Refuse(Error::kMessageGone);
}

// The answer's bytes are in the slot: ends the message. Returns the slot whose client is to be
// woken, null if it is awake. `outcome`: kMessageGone for a client that has just left.
//
// What can wait until the client goes on, does: this is half of a message's way.
Slot* Process::EndAnswer(Inbound& inbound, const Ending& ending, absl::Status& outcome) {
  Slot& slot = inbound.slot();
  ServedLink& link = inbound.link;
  HostChannel* channel = link.channel;
  if (inbound.unblock_requested) WithdrawUnblockPulse(inbound);
  inbound.serial = 0;
  inbound.EndLeases();
  const uint8_t load = channel == nullptr ? uint8_t{0} : channel->CountAnswer(inbound);
  const bool may_watch = channel != nullptr && !link.detached && channel->receivers == 0;
  // Whoever was watched before this client came to have the server for itself can ring.
  if (may_watch && (load & kOneClient) != 0 && channel->watched != &inbound) channel->EndWatch();
  const bool watch = may_watch && (channel->watched == nullptr || channel->watched == &inbound);
  if (watch) channel->watched = &inbound;
  // The client looks at this line again and again, and takes it away between two writes that are
  // far apart.
  slot.reply_bytes = ending.reply_bytes;
  slot.server_cpu = static_cast<uint16_t>(sched_getcpu());
  slot.server_load = load;
  slot.error = static_cast<uint8_t>(ending.code);
  slot.kernel_error = static_cast<uint8_t>(ending.error);
  if (ending.is_short) slot.short_reply = ending.short_reply;
  const AnswerResult answered = Answer(slot, inbound.sequence, ending.how, watch);
  if (answered.client_left) outcome = Refuse(Error::kMessageGone);
  if (!answered.client_left && !inbound.gone) {
    Tracer::Replied(current(), inbound, ending.reply_bytes);
  }
  bool wake = answered.wake;
  inbound.leased.clear();
  ++link.held;  // a last pulse of its client may be received on the way
  inheritance_.EndReply(inbound);
  if (!inheritance_.changed().empty()) {
    // P4: once it runs at less, others may run instead of it; its client must not wait for them.
    if (std::exchange(wake, false)) WakeClient(slot);
    ApplyChanges();
  }
  --link.held;
  ReleaseIfUnused(link);
  return wake ? &slot : nullptr;
}

absl::StatusOr<uint64_t> Process::Reply(MessageHandle message, ConstParts reply) {
  PARLEY_ENTER();
  const uint64_t bytes = TotalBytes(reply);
  const absl::Status fits = CheckParts(reply.size(), bytes);
  uint64_t moved = 0;
  Slot* wake = nullptr;
  absl::Status outcome;
  {
    Locked locked(lock_);
    auto begun = BeginAnswer(message);
    if (!begun.ok()) return begun.status();
    Inbound& inbound = **begun;
    Slot& slot = inbound.slot();
    Ending ending{.reply_bytes = static_cast<uint32_t>(bytes)};
    moved = std::min<uint64_t>(bytes, inbound.reply_room);
    if (!fits.ok()) {
      outcome = fits;
    } else if (moved <= kInlineBytes) {
      ending.is_short = moved <= kShortReplyBytes;
      const MutableBytes room(ending.is_short ? ending.short_reply.data() : slot.bytes.data(),
                              moved);
      if (CopyParts(MutableParts(&room, 1), 0, reply, 0, SafeCopy) < moved) {
        return Refuse(Error::kBadAddress);  // the caller's; the message is still its own
      }
    } else {
      // Answering: nobody else ends it while the lock is not held.
      inbound.answering = true;
      lock_.Unlock();
      const auto written = WriteReply(inbound, 0, reply);
      lock_.Lock();
      inbound.answering = false;
      if (!written.ok()) outcome = written.status();
    }
    if (!outcome.ok()) {
      ending = {.how = Outcome::kFailed,
                .error = fits.ok() ? ErrorForClient(outcome) : Error::kNotReplied};
    }
    numbers().bytes_copied += moved;
    wake = EndAnswer(inbound, ending, outcome);
  }
  if (wake != nullptr) WakeClient(*wake);
  if (!outcome.ok()) return outcome;
  return moved;
}

// An error reply: the server's own with a code and a text, or one that the kernel has found.
absl::Status Process::ReplyWith(MessageHandle message, absl::StatusCode code, Error error,
                                std::string_view text) {
  Slot* wake = nullptr;
  absl::Status outcome;
  {
    Locked locked(lock_);
    auto begun = BeginAnswer(message);
    if (!begun.ok()) return begun.status();
    Slot& slot = (*begun)->slot();
    text = text.substr(0, kMaxErrorTextBytes);
    std::memcpy(slot.bytes.data(), text.data(), text.size());
    const Ending ending = {.how = Outcome::kFailed,
                           .reply_bytes = static_cast<uint32_t>(text.size()),
                           .code = code,
                           .error = error};
    wake = EndAnswer(**begun, ending, outcome);
  }
  if (wake != nullptr) WakeClient(*wake);
  return outcome;
}

void Process::FailMessage(MessageHandle message, Error error) {
  ReplyWith(message, absl::StatusCode::kOk, error, "").IgnoreError();  // gone is as good
}

absl::Status Process::ReplyError(MessageHandle message, absl::StatusCode code,
                                 std::string_view text) {
  PARLEY_ENTER();
  if (code == absl::StatusCode::kOk) {
    Locked locked(lock_);
    if (FindMessage(message) == nullptr) return Refuse(Error::kMessageGone);
    return MakeError(Error::kInvalidArgument, "an error reply needs an error");
  }
  const bool dropped = code == absl::StatusCode::kAborted && text.empty();
  return ReplyWith(message, code, dropped ? Error::kNotReplied : Error::kNone, text);
}

void Process::MessageDrop(MessageHandle message) noexcept {
  if (EnterQuietly()) FailMessage(message, Error::kNotReplied);
}

// Holds a message and its link while its bytes are moved without the lock.
template <typename Move>
absl::StatusOr<uint64_t> Process::MoveBytes(MessageHandle message, Move move) {
  Inbound* inbound = nullptr;
  {
    Locked locked(lock_);
    inbound = FindMessage(message);
    if (inbound == nullptr || inbound->gone || inbound->answering) {
      return Refuse(Error::kMessageGone);
    }
    ++inbound->link.held;
    ++inbound->moving;
  }
  absl::StatusOr<uint64_t> moved = move(*inbound);
  Locked locked(lock_);
  if (moved.ok()) numbers().bytes_copied += *moved;
  // Bytes of a client that has left, or was answered, may be of something else by now.
  const bool gone = inbound->gone || inbound->serial != message.serial ||
                    !IsWaitedFor(inbound->slot(), inbound->sequence);
  if (--inbound->moving == 0 && inbound->answering) {
    FutexWake(inbound->moving, 1, Sharing::kPrivate);
  }
  --inbound->link.held;
  ReleaseIfUnused(inbound->link);
  if (gone) return Refuse(Error::kMessageGone);
  return moved;
}

absl::StatusOr<uint64_t> Process::MessageRead(MessageHandle message, uint64_t offset,
                                              MutableParts destination) {
  PARLEY_ENTER();
  return MoveBytes(message,
                   [&](Inbound& inbound) { return ReadRequest(inbound, offset, destination); });
}

absl::StatusOr<uint64_t> Process::MessageWrite(MessageHandle message, uint64_t offset,
                                               ConstParts source) {
  PARLEY_ENTER();
  return MoveBytes(message, [&](Inbound& inbound) { return WriteReply(inbound, offset, source); });
}

absl::StatusOr<MessageInfo> Process::MessageGetInfo(MessageHandle message) {
  PARLEY_ENTER();
  Locked locked(lock_);
  Inbound* inbound = FindMessage(message);
  if (inbound != nullptr && !inbound->gone && inbound->link.channel != nullptr) {
    LookAt(*inbound);  // received: there is no other request
  }
  inbound = FindMessage(message);
  if (inbound == nullptr || inbound->gone) return Refuse(Error::kMessageGone);
  MessageInfo info;
  FillInfo(*inbound, info);
  return info;
}

// -- Bytes

absl::StatusOr<uint64_t> Process::ReadRequest(Inbound& inbound, uint64_t offset,
                                              MutableParts destination) {
  if (offset >= inbound.request_bytes) return 0;
  if (inbound.request_bytes <= kInlineBytes) {
    const ConstBytes bytes(inbound.slot().bytes.data(), inbound.request_bytes);
    const uint64_t wanted = std::min(bytes.size() - offset, TotalBytes(destination));
    const uint64_t copied = CopyParts(destination, 0, ConstParts(&bytes, 1), offset, SafeCopy);
    if (copied < wanted) return MakeError(Error::kBadAddress, kOwnAddress);
    return copied;
  }
  return ReadFar(inbound, offset, destination);
}

absl::StatusOr<uint64_t> Process::WriteReply(Inbound& inbound, uint64_t offset, ConstParts source) {
  if (offset >= inbound.reply_room) return 0;
  return WriteFar(inbound, offset, source);
}

}  // namespace parley::host
