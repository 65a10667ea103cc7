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

HostThread& Process::current() {
  PARLEY_CHECK(t_current_ != nullptr);
  return *t_current_;
}

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
  if (!thread.sending) return;
  Slot& slot = thread.out.slot();
  const uint32_t before = slot.answer.fetch_or(kNudged);
  if ((before & kClientSleeps) != 0) FutexWake(slot.answer, 1, Sharing::kShared);
}

// -- Priorities

void Process::ApplyChanges() {
  for (size_t i = 0; i < inheritance_.changed().size(); ++i) {
    Thread* changed = inheritance_.changed()[i];
    if (changed->id() == ThreadId::kNone) continue;  // an Inbound: its client knows
    ApplyPriority(static_cast<HostThread&>(*changed));
  }
  inheritance_.ClearChanged();
}

void Process::ApplyPriority(HostThread& thread) {
  const int effective = thread.effective();
  if (thread.entry != nullptr) {
    thread.entry->effective.store(static_cast<uint8_t>(effective), std::memory_order_relaxed);
  }
  if (real_time_ && thread.tid != 0) {
    const int linux_priority = LinuxPriority(effective);
    if (linux_priority != thread.linux_priority) {
      thread.linux_priority = linux_priority;
      SetLinuxPriority(static_cast<pid_t>(thread.tid), thread.scheduling.policy, linux_priority);
    }
  }
  for (Channel* channel : thread.serves()) UpdateServedLevel(static_cast<HostChannel&>(*channel));
  if (!thread.sending) return;
  const int level = std::min<int>(effective, thread.out.ceiling);
  thread.out.slot().priority.store(static_cast<uint16_t>(level));
  thread.out.slot().sent_at.store(Ticks());  // P2: to the tail
  RingOut(*thread.out.link->bell, thread.out.bit(), level);
}

void Process::UpdateServedLevel(HostChannel& channel) {
  int level = kMaxPriority;
  if (!channel.fixed_priority()) {
    for (const Thread* server : channel.servers()) level = std::min(level, server->effective());
  }
  for (const auto& bell : channel.bells) {
    std::atomic<uint32_t>& shown = bell->bell().served_level;
    if (shown.load() != static_cast<uint32_t>(level)) shown.store(static_cast<uint32_t>(level));
  }
}

}  // namespace parley::host
