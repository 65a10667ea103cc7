// Entering and leaving a call, waiting for something inside the process, and what a change of
// priority has to reach: Linux, the sends in flight, the bells.
#include "kernel-sim/host/process.h"

#include <sched.h>

#include <algorithm>
#include <exception>

#include "kernel-sim/host/bell.h"
#include "kernel-sim/host/linux_priority.h"
#include "kernel-sim/host/ticks.h"

namespace parley::host {

thread_local HostThread* Process::t_current_ = nullptr;

absl::Status Process::Enter() {
  if (IsForked()) return Refuse(Error::kForked);
  return IsOver(current()) ? Leave({}) : absl::OkStatus();
}

bool Process::EnterQuietly() noexcept { return !IsForked() && !IsOver(current()); }

absl::Status Process::EnterFromDestructor() noexcept {
  if (IsForked()) return Refuse(Error::kForked);
  return EnterQuietly() ? absl::OkStatus() : Refuse(Error::kProcessEnded);
}

absl::Status Process::Leave(absl::Status status) {
  if (!IsOver(current())) return status;
  if (std::uncaught_exceptions() > 0) return Refuse(Error::kProcessEnded);
  throw ProcessEnded{};
}

int64_t Process::ToMonotonic(int64_t deadline_ns) const {
  if (deadline_ns >= kNever - start_ns_) return kNever;
  return std::max<int64_t>(deadline_ns, 0) + start_ns_;
}

void Process::ShowState(HostThread& thread, ThreadState state, uint32_t blocked_on) {
  if (thread.entry == nullptr) return;
  // Relaxed: readers of a thread page take it for a hint.
  if (state == ThreadState::kRunning) {
    return thread.entry->state.store(static_cast<uint8_t>(state), std::memory_order_relaxed);
  }
  if (thread.entry->state.load(std::memory_order_relaxed) ==
      static_cast<uint8_t>(ThreadState::kRunning)) {
    thread.entry->since.store(Ticks(), std::memory_order_relaxed);
  }
  thread.entry->blocked_on.store(blocked_on, std::memory_order_relaxed);
  thread.entry->state.store(static_cast<uint8_t>(state), std::memory_order_relaxed);
}

// -- Waiting

absl::Status Process::Block(HostThread& thread, ThreadState state, uint32_t blocked_on,
                            int64_t deadline_ns) {
  const int64_t until = ToMonotonic(deadline_ns);
  thread.granted = false;
  ShowState(thread, state, blocked_on);
  Tracer::State(thread, state);
  absl::Status result;
  for (;;) {
    if (thread.granted) {
      result = std::move(thread.grant_status);
      break;
    }
    if (IsOver(thread)) {
      result = Refuse(Error::kProcessEnded);
      break;
    }
    if (TakeCancel(thread)) {
      result = Refuse(Error::kCancelled);
      break;
    }
    if (until != kNever && until <= MonotonicNs()) {
      result = Refuse(Error::kDeadline);
      break;
    }
    thread.wake.store(0);
    lock_.Unlock();
    FutexWait(thread.wake, 0, until, Sharing::kPrivate);
    lock_.Lock();
  }
  ShowState(thread, ThreadState::kRunning);
  Tracer::State(thread, ThreadState::kRunning);
  return result;
}

void Process::Grant(HostThread& thread, absl::Status status) {
  thread.granted = true;
  thread.grant_status = std::move(status);
  Nudge(thread);
}

// It looks up from whatever it sleeps on.
void Process::Nudge(HostThread& thread) {
  thread.wake.store(1);
  FutexWake(thread.wake, 1, Sharing::kPrivate);
  if (thread.asleep_at != nullptr) {
    // Others may sleep there, too: all of them look up, since nobody chooses whom Linux wakes.
    thread.asleep_at->door.store(static_cast<uint32_t>(Door::kAwake));
    FutexWake(thread.asleep_at->door, INT_MAX, Sharing::kShared);
  }
  if (!thread.sending) return;
  Slot& slot = thread.out.slot();
  const uint32_t before = slot.answer.fetch_or(kNudged);
  if ((before & kClientSleeps) != 0) FutexWake(slot.answer, 1, Sharing::kShared);
}

// -- Priorities

// P4: what clients compare themselves with (UpdateServedLevel) and what Linux knows change in an
// order that leaves no client behind. Raised: (1) Linux first, so that nobody trusts in a level
// that a thread does not run at yet. Lowered: (2) the level is shown, (3) the bells are looked at,
// since whoever rang before (2) did not knock, and only then (4) is Linux told; once it is,
// somebody else may have the CPU for as long as he likes.
void Process::ApplyWhatChanged() {
  if (gathering_) return;  // whoever gathers does it next
  // Whoever rings and withdraws without end gets this much attention.
  for (int looks = 0; looks < 4; ++looks) {
    absl::InlinedVector<HostChannel*, 4> lowered;
    for (Thread* changed : inheritance_.changed()) {
      if (changed->id() == ThreadId::kNone) continue;  // an Inbound: its client knows
      auto& thread = static_cast<HostThread&>(*changed);
      if (LinuxPriority(thread.effective()) > thread.linux_priority) TellLinux(thread);  // (1)
      ShowLevels(thread, lowered);                                                       // (2)
    }
    if (lowered.empty()) break;
    for (HostChannel* channel : lowered) Gather(*channel);  // (3)
  }
  for (Thread* changed : inheritance_.changed()) {
    if (changed->id() != ThreadId::kNone) ApplyPriority(static_cast<HostThread&>(*changed));  // (4)
  }
  inheritance_.ClearChanged();
}

void Process::TellLinux(HostThread& thread) {
  const int linux_priority = LinuxPriority(thread.effective());
  if (!real_time_ || thread.tid == 0 || linux_priority == thread.linux_priority) return;
  thread.linux_priority = linux_priority;
  SetLinuxPriority(static_cast<pid_t>(thread.tid), thread.scheduling.policy, linux_priority);
}

// Appends the channels that are served at less than before.
void Process::ShowLevels(HostThread& thread, absl::InlinedVector<HostChannel*, 4>& lowered) {
  Tracer::Priority(thread);
  if (thread.entry != nullptr) {
    thread.entry->effective.store(static_cast<uint8_t>(thread.effective()),
                                  std::memory_order_relaxed);
  }
  for (Channel* channel : thread.serves()) {
    auto& served = static_cast<HostChannel&>(*channel);
    if (UpdateServedLevel(served) && !served.destroyed) lowered.push_back(&served);
  }
}

void Process::ApplyPriority(HostThread& thread) {
  absl::InlinedVector<HostChannel*, 4> lowered;
  ShowLevels(thread, lowered);
  TellLinux(thread);
  if (thread.sending) ShowSendLevel(thread);
}

// P2: of a thread whose request is on its way.
void Process::ShowSendLevel(HostThread& thread) {
  const int level = std::min<int>(thread.effective(), thread.out.ceiling);
  thread.send_level.store(static_cast<uint16_t>(level));  // first: see Submit
  thread.out.slot().priority.store(static_cast<uint16_t>(level));
  thread.out.slot().sent_at.store(Ticks());  // to the tail
  RingOut(*thread.out.link->bell, thread.out.bit(), level);
}

// Whether it is lower than before.
bool Process::UpdateServedLevel(HostChannel& channel) {
  int level = kMaxPriority;
  if (!channel.fixed_priority()) {
    for (const Thread* server : channel.servers()) level = std::min(level, server->effective());
  }
  for (const auto& bell : channel.bells) {
    std::atomic<uint32_t>& shown = bell->bell().served_level;
    if (shown.load() != static_cast<uint32_t>(level)) shown.store(static_cast<uint32_t>(level));
  }
  return level < std::exchange(channel.served_level, level);
}

}  // namespace parley::host
