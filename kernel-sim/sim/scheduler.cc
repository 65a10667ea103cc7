// The scheduler: CPUs, the dispatch loop, and preemption. Policies are in policies.cc.
#include "kernel-sim/sim/scheduler.h"

#include <algorithm>

#include "kernel-sim/core/check.h"

namespace parley::sim {
namespace {
constexpr uint64_t kTimerKey = uint64_t{1}
                               << 63;  // choice keys of timers, apart from those of threads
}

ScheduledThread::ScheduledThread(ThreadId id, const Scheduling& scheduling)
    : Thread(id, scheduling.priority),
      scheduling_(scheduling),
      budget_left_ns_(scheduling.budget_ns) {}

Scheduler::Scheduler(int cpus, Chooser& chooser, Inheritance& inheritance, SchedulerClient& client)
    : chooser_(chooser),
      inheritance_(inheritance),
      client_(client),
      running_(static_cast<size_t>(cpus), nullptr) {}

void Scheduler::Run(int64_t limit_ns) {
  limit_ns_ = limit_ns;
  idle_ = limit_reached_ = stopped_ = false;
  Dispatch();
}

bool Scheduler::AnotherCpuComesFirst(int64_t until_ns) const {
  return std::any_of(running_.begin(), running_.end(), [&](const ScheduledThread* thread) {
    return thread != nullptr && thread != current_ && thread->resume_ns_ <= until_ns;
  });
}

void Scheduler::EnterCpu(ScheduledThread& thread, int cpu) {
  thread.cpu_ = cpu;
  running_[static_cast<size_t>(cpu)] = &thread;
  thread.resume_ns_ = now_ns_ + thread.remaining_ns_;
  thread.remaining_ns_ = 0;
  thread.running_since_ns_ = now_ns_;
  if (thread.scheduling_.policy != Policy::kFifo) StartPolicy(thread);
  SetState(thread, ThreadState::kRunning);
}

// The caller sets the state next.
void Scheduler::LeaveCpu(ScheduledThread& thread) {
  Account(thread);
  if (thread.scheduling_.policy != Policy::kFifo) {
    timers_.Disarm(thread.slice_timer_);
    timers_.Disarm(thread.budget_timer_);
  }
  running_[static_cast<size_t>(thread.cpu_)] = nullptr;
  thread.cpu_ = -1;
}

void Scheduler::BeginBlock(ScheduledThread& thread, ThreadState state) {
  LeaveCpu(thread);
  thread.remaining_ns_ = 0;
  if (thread.scheduling_.policy != Policy::kFifo) EndPolicyTurn(thread);
  SetState(thread, state);
}

// P7: a preempted thread goes to the head of its level; one whose turn has ended to the tail.
void Scheduler::Preempt(ScheduledThread& thread, bool to_head) {
  LeaveCpu(thread);
  thread.remaining_ns_ = std::max<int64_t>(0, thread.resume_ns_ - now_ns_);
  SetState(thread, ThreadState::kReady);
  if (to_head) {
    ready_.PushFront(thread.ready_node_, thread.effective());
  } else {
    ready_.PushBack(thread.ready_node_, thread.effective());
  }
}

// The CPU that the next ready thread should get: an idle one, else one that runs the lowest
// priority.
int Scheduler::CheapestOfSeveral() {
  auto cost = [&](size_t cpu) { return running_[cpu] == nullptr ? 0 : running_[cpu]->effective(); };
  int lowest = kPriorityLevels;
  for (size_t cpu = 0; cpu < running_.size(); ++cpu) lowest = std::min(lowest, cost(cpu));
  candidates_.clear();
  keys_.clear();
  for (size_t cpu = 0; cpu < running_.size(); ++cpu) {
    if (cost(cpu) != lowest) continue;
    candidates_.push_back(static_cast<int>(cpu));
    keys_.push_back(lowest == 0 ? cpu : Raw(running_[cpu]->id()));
  }
  // Idle CPUs are alike. Which of several equal threads is preempted is open, if one is at all.
  const bool open = lowest > 0 && lowest < ready_.HighestLevel() && candidates_.size() > 1;
  return candidates_[open ? chooser_.ChooseAmong(keys_) : 0];
}

void Scheduler::Balance() {
  while (!ready_.empty()) {
    const int cpu = CheapestCpu();
    ScheduledThread* victim = running_[static_cast<size_t>(cpu)];
    if (victim != nullptr) {
      if (ready_.HighestLevel() <= victim->effective()) return;
      Preempt(*victim, /*to_head=*/true);
    }
    LevelNode* next = ready_.Front();
    ready_.Remove(*next);
    EnterCpu(*static_cast<ScheduledThread::ReadyNode*>(next)->thread, cpu);
  }
}

void Scheduler::MoveChanged() {
  for (size_t i = 0; i < inheritance_.changed().size(); ++i) {
    auto& thread = static_cast<ScheduledThread&>(*inheritance_.changed()[i]);
    if (thread.ready_node_.queued() && thread.ready_node_.level != thread.effective()) {
      ready_.Remove(thread.ready_node_);
      ready_.PushBack(thread.ready_node_, thread.effective());
    }
    if (watched_) client_.OnPriorityChanged(thread);
  }
  inheritance_.ClearChanged();
}

void Scheduler::Yield() {
  ScheduledThread& thread = *current_;
  if (ready_.FrontOf(thread.effective()) != nullptr) {
    Preempt(thread, /*to_head=*/false);
  }
  SettleAndLetOthersRun();
}

void Scheduler::Retire(ScheduledThread& thread) {
  if (thread.state() == ThreadState::kRunning) LeaveCpu(thread);
  if (thread.ready_node_.queued()) ready_.Remove(thread.ready_node_);
  timers_.Disarm(thread.replenish_timer_);
  SetState(thread, ThreadState::kDead);
}

void Scheduler::LeaveForGood() {
  Fiber& mine = *active_fiber_;
  Fiber* to = run_to_end_return_;
  if (to != nullptr) {
    run_to_end_return_ = nullptr;
  } else {
    current_ = nullptr;
    current_ = PickNext();
    to = current_ == nullptr ? &host_fiber_ : &current_->fiber();
  }
  active_fiber_ = to;
  Fiber::Exit(mine, *to);
}

void Scheduler::RunToEnd(ScheduledThread& thread) {
  PARLEY_CHECK(thread.state() == ThreadState::kDead && run_to_end_return_ == nullptr);
  ScheduledThread* const mine = current_;
  run_to_end_return_ = active_fiber_;
  current_ = &thread;
  SwitchTo(thread.fiber());
  current_ = mine;
}

void Scheduler::WaitForTurn() { Dispatch(); }

// The next thread to execute, null to leave the run. Fires timers on the way.
ScheduledThread* Scheduler::PickAmongAll() {
  for (;;) {
    // A timer has killed the very thread on whose fiber we are: it has to unwind first.
    if (current_ != nullptr && current_->state() == ThreadState::kDead) return current_;
    if (stopped_) return nullptr;
    const int64_t timer_ns = timers_.NextDue();
    int64_t thread_ns = kNever;
    for (const ScheduledThread* thread : running_) {
      if (thread != nullptr) thread_ns = std::min(thread_ns, thread->resume_ns_);
    }
    const int64_t next_ns = std::min(timer_ns, thread_ns);
    if (next_ns == kNever) {
      idle_ = true;
      return nullptr;
    }
    if (next_ns > limit_ns_) {
      limit_reached_ = true;
      return nullptr;
    }
    now_ns_ = std::max(now_ns_, next_ns);
    if (running_.size() == 1 && timer_ns > now_ns_) return running_[0];
    if (ScheduledThread* thread = ChooseStep()) return thread;
  }
}

// Among all that happens at now(): timers first, then CPUs in order, unless chosen otherwise.
ScheduledThread* Scheduler::ChooseStep() {
  const size_t timers = timers_.CountDueAt(now_ns_);
  keys_.clear();
  for (size_t i = 0; i < timers; ++i) keys_.push_back(kTimerKey + i);
  candidates_.clear();
  for (size_t cpu = 0; cpu < running_.size(); ++cpu) {
    if (running_[cpu] == nullptr || running_[cpu]->resume_ns_ > now_ns_) continue;
    candidates_.push_back(static_cast<int>(cpu));
    keys_.push_back(Raw(running_[cpu]->id()));
  }
  const uint32_t choice = keys_.size() > 1 ? chooser_.ChooseAmong(keys_) : 0;
  if (choice >= timers) return running_[static_cast<size_t>(candidates_[choice - timers])];
  Fire(static_cast<Timer&>(timers_.PopDueAt(now_ns_, choice)));
  Settle();
  return nullptr;
}

void Scheduler::Fire(Timer& timer) {
  switch (timer.purpose) {
    case Timer::Purpose::kSlice:
      return EndSlice(*static_cast<ScheduledThread*>(timer.owner));
    case Timer::Purpose::kBudget:
      return EndBudget(*static_cast<ScheduledThread*>(timer.owner));
    case Timer::Purpose::kReplenish:
      return Replenish(*static_cast<ScheduledThread*>(timer.owner));
    default:
      return client_.OnTimer(timer);
  }
}

void Scheduler::CheckInvariants() const {
  ready_.CheckInvariants();
  for (const ScheduledThread* thread : running_) {
    PARLEY_CHECK(thread != nullptr || ready_.empty());                                // 1
    PARLEY_CHECK(thread == nullptr || ready_.HighestLevel() <= thread->effective());  // 2
    PARLEY_CHECK(thread == nullptr || thread->resume_ns_ >= now_ns_);                 // 3
  }
}

}  // namespace parley::sim
