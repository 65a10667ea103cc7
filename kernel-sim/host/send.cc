// Kernel calls: send. Steps, as the comments number them:
//
//   (1) BeginSend: everything that can be refused; a free slot of the connection is claimed
//   (2) Submit: the request goes into the slot, and the bell is rung if the server may not look
//   (3) AwaitReply: spins as long as that pays, then sleeps on the slot's answer word
//   (4) LeaveSend: at a deadline or a cancel the request is taken back, or left (D2, D3)
//   (5) TakeAnswer, EndSend: the answer is copied out, the slot is free again
#include <sched.h>

#include <algorithm>

#include "kernel-sim/host/read_once.h"
#include "kernel-sim/host/sending.h"
#include "kernel-sim/host/slot.h"
#include "kernel-sim/host/ticks.h"
#include "kernel-sim/host/transfer.h"
#include "kernel-sim/safe_copy.h"

namespace parley::host {
namespace {

constexpr int64_t kLastDeadlockCheckNs = 1'000'000'000;

bool IsWaiting(uint32_t answer, uint32_t sequence) {
  return !IsAnswer(answer, sequence) && (answer & kLookUp) == 0;
}

}  // namespace

// kServerGone alone does not tell: the answer to an earlier send has wiped it out. But what is set
// before it, by the server or by this process's agent, is seen by whoever has submitted after it.
bool Process::IsServerGone(const Sending& send, uint32_t answer) {
  return (answer & kServerGone) != 0 || send.out.connection->dead.load() ||
         send.out.link->link().closed_by_server.load() != 0;
}

absl::StatusOr<SendResult> Process::Send(ConnectionHandle connection,
                                         const SendArguments& arguments) {
  PARLEY_ENTER();
  Sending send{.thread = current(), .arguments = arguments};
  if (absl::Status begun = BeginSend(send, connection); !begun.ok()) return begun;
  absl::Status ended = Submit(send);
  if (ended.ok()) ended = AwaitReply(send);
  SendResult result;
  absl::Status answer = ended.ok() ? TakeAnswer(send, result) : ended;
  tracer_.SendEnded(send.thread, send.out, send.sequence, send.slept, answer);
  EndSend(send, answer.ok());
  if (!ended.ok()) answer = Leave(std::move(answer));
  if (!answer.ok()) return answer;
  return result;
}

// -- (1)

bool Process::ClaimSlot(OutConnection& connection, OutSlot& claimed) {
  for (const auto& link : connection.links) {
    for (uint32_t i = 0; i < kSlotsPerLink; ++i) {
      OutLink::Use& use = link->uses[i];
      if (use.claimed) continue;
      if (use.left && !IsAnswer(link->link().slots[i].answer.load(), use.sequence)) continue;
      use = {.claimed = true, .left = false, .sequence = NextSequence(use.sequence)};
      claimed = {&connection, link.get(), i, connection.ceiling};
      return true;
    }
  }
  return false;
}

absl::Status Process::BeginSend(Sending& send, ConnectionHandle handle) {
  const SendArguments& arguments = send.arguments;
  send.request_bytes = TotalBytes(arguments.request);
  send.reply_room = TotalBytes(arguments.reply);
  for (;;) {
    uint32_t number = 0;
    std::optional<MissingLend> missing;
    {
      Locked locked(lock_);
      OutConnection* connection = connection_handles_.Find(handle);
      if (connection == nullptr) return Refuse(Error::kBadHandle);
      if (connection->links[0]->link().closed_by_server.load() != 0) {
        KillConnection(*connection, false);
      }
      if (connection->revoked) {
        return MakeError(Error::kNoSuchChannel, "the connection was revoked");
      }
      if (connection->dead) return Refuse(Error::kNoSuchChannel);
      absl::Status fits = CheckParts(arguments.request.size(), send.request_bytes);
      if (fits.ok()) fits = CheckParts(arguments.reply.size(), send.reply_room);
      if (fits.ok()) fits = CheckReferences(send, *connection, missing);
      if (!fits.ok()) return fits;
      HostThread& thread = send.thread;
      if (TakeCancel(thread)) return Refuse(Error::kCancelled);
      if (arguments.deadline_ns != kNever && arguments.deadline_ns <= Now()) {
        return Refuse(Error::kDeadlineBeforeReceive);  // D1
      }
      if (!missing && ClaimSlot(*connection, send.out)) {
        BeginReferences(send);
        ++connection->sends_in_flight;
        send.level = std::min(thread.effective(), send.out.ceiling);
        thread.send_level.store(static_cast<uint16_t>(send.level), std::memory_order_relaxed);
        send.sequence = send.out.use().sequence;
        send.may_close_circle = !thread.serves().empty() || !thread.joiners.empty() ||
                                !Inheritance::OwnedBy(thread).empty();
        ExpectToAsk(send.slot());
        thread.out = send.out;
        thread.sending = true;
        ++numbers().messages_sent;
        if (start_.response_limit_ns != kNever) send.begun_ns = MonotonicNs();
        return absl::OkStatus();
      }
      number = connection->number;
    }
    if (missing) {  // once for each region and connection
      if (absl::Status lent = LendMissing(*missing); !lent.ok()) return lent;
      continue;
    }
    // Every slot is in use: three more.
    if (auto extended = Ask(Extend{number}); !extended.ok()) return extended.status();
  }
}

// -- (2)

// kBadAddress: nothing was sent.
absl::Status Process::Submit(Sending& send) {
  Slot& slot = send.slot();
  const SendArguments& arguments = send.arguments;
  // The bytes first: the server looks at the line of the header again and again, and takes it away
  // between two writes that are far apart.
  for (size_t i = 0; i < send.references.size(); ++i) slot.region[i] = send.references[i].shared;
  slot.reply_parts = {reinterpret_cast<uintptr_t>(arguments.reply.data()), arguments.reply.size()};
  if (send.request_bytes > kInlineBytes) {
    slot.request_parts = {reinterpret_cast<uintptr_t>(arguments.request.data()),
                          arguments.request.size()};
  } else {
    const MutableBytes room(slot.bytes.data(), kInlineBytes);
    if (CopyParts(MutableParts(&room, 1), 0, arguments.request, 0, SafeCopy) < send.request_bytes) {
      return Refuse(Error::kBadAddress);
    }
  }
  const auto cpu = static_cast<uint16_t>(sched_getcpu());
  const uint16_t level = send.thread.send_level.load(std::memory_order_relaxed);
  slot.priority.store(level, std::memory_order_relaxed);
  slot.request_bytes = static_cast<uint32_t>(send.request_bytes);
  slot.reply_room = static_cast<uint32_t>(send.reply_room);
  slot.thread = Raw(send.thread.id());
  slot.references = static_cast<uint8_t>(send.references.size());
  slot.client_cpu.store(cpu, std::memory_order_relaxed);
  const bool ring = host::Submit(slot, send.sequence);
  const uint64_t sent = Ticks();
  Stamp(slot, send.sequence, sent);
  if (ring) RingOut(*send.out.link->bell, send.out.bit(), 0);
  Tracer::Sent(send.thread, send.out, send.sequence, send.request_bytes, sent);
  // Whoever has changed the level meanwhile (ApplyPriority) may have written before this thread.
  if (send.thread.send_level.load() != level) {
    Locked locked(lock_);
    ShowSendLevel(send.thread);
  }
  return absl::OkStatus();
}

// -- (3)

absl::Status Process::AwaitReply(Sending& send) {
  Slot& slot = send.slot();
  HostThread& thread = send.thread;
  send.until = ToMonotonic(send.arguments.deadline_ns);
  WaitAwake(send);
  for (;;) {
    const uint32_t answer = slot.answer.load();
    if (IsAnswer(answer, send.sequence)) {
      if (OutcomeOf(answer) != Outcome::kReleased) return absl::OkStatus();
      return Refuse(send.released_error == Error::kNone ? Error::kServerDiedAfterReceive
                                                        : send.released_error);
    }
    if (IsServerGone(send, answer)) {
      return Withdraw(slot, send.sequence) ? Refuse(Error::kServerDiedBeforeReceive)
                                           : Refuse(Error::kServerDiedAfterReceive);
    }
    if ((answer & kNudged) != 0) slot.answer.fetch_and(~kNudged);
    if (IsOver(thread)) {
      send.leave_error = Error::kProcessEnded;  // no grace
      return LeaveSend(send, Error::kProcessEnded, Error::kProcessEnded);
    }
    const bool cancelled = TakeCancel(thread);
    if (cancelled || (send.until != kNever && send.until <= MonotonicNs())) {
      if (absl::Status left = LeaveInTime(send, cancelled); !left.ok()) return left;
      continue;
    }
    if ((answer & kCopyAsked) != 0) {
      ServeCopy(send);
      continue;
    }
    const bool taken = IsTaken(slot, send.sequence);
    ShowState(thread, taken ? ThreadState::kReply : ThreadState::kSend,
              send.out.connection->number);
    KnockOnce(send);
    if (!taken) {
      if (absl::Status safe = LookForDeadlock(send); !safe.ok()) return safe;
    }
    if (const uint32_t expected = PrepareSleep(slot, send.sequence)) {
      const int64_t asleep = MonotonicNs();
      send.slept = true;
      // Once it is taken nobody looks again: a time to look that has passed is none to wake at.
      const int64_t look_again = taken ? kNever : send.next_check;
      FutexWait(slot.answer, expected, std::min(send.until, look_again), Sharing::kShared);
      thread.CountSleep(thread.send_spin, MonotonicNs() - asleep);
    }
  }
}

// As long as that pays. Where the server ran last is its own word, and a hint.
void Process::WaitAwake(Sending& send) {
  Slot& slot = send.slot();
  HostThread& thread = send.thread;
  thread.CountWait();
  auto done = [&] {
    if (IsWaiting(slot.answer.load(std::memory_order_relaxed), send.sequence)) return false;
    ExpectToWrite(slot);
    return true;
  };
  const int server_cpu = ReadOnce(slot.server_cpu);
  const uint8_t load = ReadOnce(slot.server_load);
  Place(thread, load, server_cpu);
  const int cpu = sched_getcpu();
  const bool shares_cpu = server_cpu == cpu;
  if (send.out.link->link().no_spin.load(std::memory_order_relaxed) != 0) {
    if (shares_cpu && Spinner::YieldOnce(done)) return;
  } else if (!shares_cpu) {
    if (thread.send_spin.Spin(done)) return;
  } else if (thread.send_spin.Yield(done)) {
    if (!thread.HasYieldedEnough()) return;
    Locked locked(lock_);
    return Part(thread);
  }
  if ((load & kOneClient) != 0 && thread.WantsToPair(server_cpu)) {
    Locked locked(lock_);
    Pair(thread, server_cpu);
  }
}

// P4: before it sleeps, who serves is made to run at its level.
void Process::KnockOnce(Sending& send) {
  if (std::exchange(send.knocked, true)) return;
  const OutBell& bell = *send.out.link->bell;
  if (static_cast<uint32_t>(send.level) > bell.bell().served_level.load()) Knock(bell.knocker);
}

// L4: whoever has closed the circle takes its request back.
absl::Status Process::LookForDeadlock(Sending& send) {
  if (!send.may_close_circle) return absl::OkStatus();
  const int64_t now = MonotonicNs();
  if (send.next_check == kNever) send.next_check = now + send.check_after_ns;
  if (send.next_check > now) return absl::OkStatus();
  send.check_after_ns = std::min(send.check_after_ns * 2, kLastDeadlockCheckNs);
  send.next_check = now + send.check_after_ns;
  auto answer = Ask(FindDeadlock{send.thread.id()});
  if (!answer.ok()) return absl::OkStatus();  // without a broker nobody can tell
  const std::string circle(answer->Tail<FoundDeadlock>());
  if (circle.empty() || !Withdraw(send.slot(), send.sequence)) return absl::OkStatus();
  RingOut(*send.out.link->bell, send.out.bit(), kMaxPriority);
  return MakeError(Error::kWouldDeadlock, circle);
}

// -- (4)

// At its deadline, or cancelled. D3: one that has asked to leave stays until its grace ends.
absl::Status Process::LeaveInTime(Sending& send, bool cancelled) {
  const bool asked = send.leave_error != Error::kNone;
  absl::Status left =
      cancelled ? LeaveSend(send, Error::kCancelled, Error::kCancelled)
                : LeaveSend(send, Error::kDeadlineBeforeReceive, Error::kDeadlineAfterReceive);
  if (left.ok() && !asked && send.leave_error != Error::kNone) {
    const int64_t grace = std::max<int64_t>(send.arguments.grace_ns, 0);
    const int64_t now = MonotonicNs();
    send.until = grace >= kNever - now ? kNever : now + grace;
  }
  return left;
}

// OK if it stays: answered meanwhile, or until its grace ends. Whatever has changed is rung loudly:
// the server may owe it a boost.
absl::Status Process::LeaveSend(Sending& send, Error before_receive, Error after_receive) {
  Slot& slot = send.slot();
  const OutBell& bell = *send.out.link->bell;
  const Error before = send.leave_error == Error::kNone ? before_receive : send.leave_error;
  if (Withdraw(slot, send.sequence)) {
    RingOut(bell, send.out.bit(), kMaxPriority);
    return Refuse(before);
  }
  send.released_error = before;
  if (IsAnswer(slot.answer.load(), send.sequence)) return absl::OkStatus();
  if (send.out.link->link().unblock_pulse.load() != 0 && send.leave_error == Error::kNone) {
    send.leave_error = after_receive;
    AskToLeave(slot, send.sequence);
    RingOut(bell, send.out.bit(), kMaxPriority);
    return absl::OkStatus();
  }
  if (!host::Leave(slot, send.sequence)) return absl::OkStatus();
  send.out.use().left = true;
  RingOut(bell, send.out.bit(), kMaxPriority);
  return Refuse(send.leave_error == Error::kNone ? after_receive : send.leave_error);
}

// -- (5)

absl::Status Process::TakeAnswer(const Sending& send, SendResult& result) {
  const Slot& slot = send.slot();
  // Read once: the server may write on.
  const uint64_t reply_bytes = ReadOnce(slot.reply_bytes);
  if (OutcomeOf(slot.answer.load()) == Outcome::kReplied) {
    const uint64_t moved = std::min<uint64_t>(reply_bytes, send.reply_room);
    if (moved <= kInlineBytes) {
      const std::byte* bytes =
          moved <= kShortReplyBytes ? slot.short_reply.data() : slot.bytes.data();
      const ConstBytes reply(bytes, moved);
      if (CopyParts(send.arguments.reply, 0, ConstParts(&reply, 1), 0, SafeCopy) < moved) {
        return Refuse(Error::kBadAddress);
      }
    }
    result.reply_bytes = reply_bytes;

    return absl::OkStatus();
  }
  switch (const auto error = static_cast<Error>(ReadOnce(slot.kernel_error))) {
    case Error::kNotReplied:
    case Error::kBadAddress:
    case Error::kInvalidArgument:
    case Error::kNotPermitted:
      return Refuse(error);
    default:
      break;
  }
  const std::string text(reinterpret_cast<const char*>(slot.bytes.data()),
                         std::min<uint64_t>(reply_bytes, kMaxErrorTextBytes));
  const auto code = static_cast<absl::StatusCode>(ReadOnce(slot.error));
  return MakeServerError(code == absl::StatusCode::kOk ? absl::StatusCode::kUnknown : code, text);
}

void Process::EndSend(Sending& send, bool answered) {
  std::optional<uint32_t> closed;
  EndedRegions ended;
  {
    Locked locked(lock_);
    OutConnection& connection = *send.out.connection;
    send.thread.sending = false;
    if (answered && send.begun_ns != 0) {
      const int64_t took = MonotonicNs() - send.begun_ns;
      numbers().worst_response_ns = std::max(numbers().worst_response_ns, took);
      if (took > start_.response_limit_ns) ++numbers().late_responses;
    }
    EndReferences(send, ended);
    send.out.use().claimed = false;
    ShowState(send.thread, ThreadState::kRunning);
    --connection.sends_in_flight;
    if (connection.closed && connection.sends_in_flight == 0) {
      closed = connection.number;
      ForgetIfUnused(connection);
    }
  }
  if (closed) TellBroker(Packet::Of(0, host::Disconnect{*closed}));
  EndAtBroker(ended);
}

}  // namespace parley::host
