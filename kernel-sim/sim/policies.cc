// Scheduling policies (P7): round-robin slices and the sporadic server. FIFO needs no code.
//
// SPORADIC: a thread runs at its priority while it has budget. What it used since it was activated
// (began to run with budget) comes back one period after the activation. Without budget it runs at
// its low priority. When more replenishments are pending than allowed, the newest amount joins the
// last one and comes back with it, later.
#include <algorithm>

#include "kernel-sim/core/check.h"
#include "kernel-sim/sim/scheduler.h"

namespace parley::sim {

// Books the CPU time since the thread got its CPU, or since it was booked last.
void Scheduler::Account(ScheduledThread& thread) {
  const int64_t used_ns = now_ns_ - thread.running_since_ns_;
  thread.running_since_ns_ = now_ns_;
  thread.cpu_ns_ += used_ns;
  if (thread.scheduling_.policy == Policy::kRoundRobin) {
    thread.slice_left_ns_ -= used_ns;
  } else if (thread.scheduling_.policy == Policy::kSporadic) {
    const int64_t budgeted_ns = std::min(used_ns, thread.budget_left_ns_);
    thread.budget_left_ns_ -= budgeted_ns;
    thread.used_since_activation_ns_ += budgeted_ns;
  }
}

// The thread has got a CPU.
void Scheduler::StartPolicy(ScheduledThread& thread) {
  if (thread.scheduling_.policy == Policy::kRoundRobin) {
    if (thread.slice_left_ns_ <= 0) thread.slice_left_ns_ = thread.scheduling_.slice_ns;
    timers_.Arm(thread.slice_timer_, now_ns_ + thread.slice_left_ns_);
  } else if (thread.budget_left_ns_ > 0) {
    if (thread.used_since_activation_ns_ == 0) thread.activated_ns_ = now_ns_;
    timers_.Arm(thread.budget_timer_, now_ns_ + thread.budget_left_ns_);
  }
}

// The thread blocks: its next slice is a full one, and what it used of its budget is on its way
// back.
void Scheduler::EndPolicyTurn(ScheduledThread& thread) {
  if (thread.scheduling_.policy == Policy::kRoundRobin) {
    thread.slice_left_ns_ = 0;
  } else {
    ScheduleReplenishment(thread);
  }
}

void Scheduler::EndSlice(ScheduledThread& thread) {
  Account(thread);
  thread.slice_left_ns_ = thread.scheduling_.slice_ns;
  if (ready_.FrontOf(thread.effective()) == nullptr) {
    timers_.Arm(thread.slice_timer_, now_ns_ + thread.slice_left_ns_);
    return;
  }
  Preempt(thread, /*to_head=*/false);
}

void Scheduler::EndBudget(ScheduledThread& thread) {
  Account(thread);
  PARLEY_CHECK(thread.budget_left_ns_ == 0);
  ScheduleReplenishment(thread);
  ApplySporadicBase(thread);
}

void Scheduler::ScheduleReplenishment(ScheduledThread& thread) {
  if (thread.used_since_activation_ns_ == 0) return;
  const int64_t due_ns = thread.activated_ns_ + thread.scheduling_.period_ns;
  auto& pending = thread.replenishments_;
  if (pending.size() < static_cast<size_t>(thread.scheduling_.max_replenishments)) {
    pending.push_back({due_ns, 0});
  }
  pending.back().due_ns = std::max(due_ns, now_ns_);
  pending.back().amount_ns += thread.used_since_activation_ns_;
  thread.used_since_activation_ns_ = 0;
  timers_.Disarm(thread.replenish_timer_);
  timers_.Arm(thread.replenish_timer_, pending.front().due_ns);
}

void Scheduler::Replenish(ScheduledThread& thread) {
  if (thread.state() == ThreadState::kRunning) Account(thread);
  auto& pending = thread.replenishments_;
  thread.budget_left_ns_ =
      std::min(thread.budget_left_ns_ + pending.front().amount_ns, thread.scheduling_.budget_ns);
  pending.pop_front();
  if (!pending.empty()) timers_.Arm(thread.replenish_timer_, pending.front().due_ns);
  if (thread.state() == ThreadState::kRunning) {
    timers_.Disarm(thread.budget_timer_);
    StartPolicy(thread);
  }
  ApplySporadicBase(thread);
}

void Scheduler::ApplySporadicBase(ScheduledThread& thread) {
  const int base =
      thread.budget_left_ns_ > 0 ? thread.scheduling_.priority : thread.scheduling_.low_priority;
  if (thread.base() == base) return;
  inheritance_.SetBase(thread, base);
}

void Scheduler::SetScheduling(ScheduledThread& thread, const Scheduling& scheduling) {
  const bool running = thread.state() == ThreadState::kRunning;
  if (running) Account(thread);
  timers_.Disarm(thread.slice_timer_);
  timers_.Disarm(thread.budget_timer_);
  timers_.Disarm(thread.replenish_timer_);
  thread.replenishments_.clear();
  thread.scheduling_ = scheduling;
  thread.slice_left_ns_ = 0;
  thread.budget_left_ns_ = scheduling.budget_ns;
  thread.used_since_activation_ns_ = 0;
  if (running && scheduling.policy != Policy::kFifo) StartPolicy(thread);
  inheritance_.SetBase(thread, scheduling.priority);
}

}  // namespace parley::sim
