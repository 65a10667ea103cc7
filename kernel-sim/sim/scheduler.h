// Virtual CPUs and virtual time: which thread runs, for how long, and what happens next (P7).
//
// Threads are fibers of one host thread. A running thread executes host code in no virtual time at
// all; time passes in Charge, which every kernel call and every Compute goes through. Whoever
// leaves the CPU picks the next thread itself and switches to it directly.
//
// Invariants, between two kernel calls:
//   1. Each CPU runs one thread, or the ready queue is empty.
//   2. No ready thread has a higher effective priority than a running one.
//   3. A running thread continues at `resume_ns`; now() is never past it.
//   4. Time moves only forward, to the earliest of all resume times and timers.
#ifndef PARLEY_KERNEL_SIM_SIM_SCHEDULER_H_
#define PARLEY_KERNEL_SIM_SIM_SCHEDULER_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "kernel-sim/core/priority.h"
#include "kernel-sim/core/timer.h"
#include "kernel-sim/kernel.h"
#include "kernel-sim/sim/chooser.h"
#include "kernel-sim/sim/fiber.h"

namespace parley::sim {

class ScheduledThread;

// A timer that says what it is for.
struct Timer : TimerNode {
  enum class Purpose : uint8_t {
    kDeadline,   // of a blocked thread, or the end of a sleep
    kGrace,      // D3
    kSlice,      // P7, RR
    kBudget,     // P7, SPORADIC: used up
    kReplenish,  // P7, SPORADIC: given back
    kUser,       // U5
    kStart,      // of an initial process
    kFault,      // a fault at a given time
    kLook,       // at descriptors that are watched
  };
  Timer(Purpose purpose, void* owner) : purpose(purpose), owner(owner) {}
  const Purpose purpose;
  void* const owner;
};

// What the scheduler leaves to the rest of the kernel, and tells the trace.
class SchedulerClient {
 public:
  virtual ~SchedulerClient() = default;
  virtual void OnTimer(Timer& timer) = 0;  // any but those of P7
  // Only while watched.
  virtual void OnStateChanged(ScheduledThread& thread) = 0;
  virtual void OnPriorityChanged(ScheduledThread& thread) = 0;
};

class ScheduledThread : public Thread {
 public:
  ScheduledThread(ThreadId id, const Scheduling& scheduling);

  int cpu() const { return cpu_; }
  int64_t cpu_ns() const { return cpu_ns_; }
  const Scheduling& scheduling() const { return scheduling_; }
  Fiber& fiber() { return *fiber_; }
  bool has_fiber() const { return fiber_ != nullptr; }
  void GiveFiber(std::unique_ptr<Fiber> fiber) { fiber_ = std::move(fiber); }

 private:
  friend class Scheduler;
  struct ReadyNode : LevelNode {
    explicit ReadyNode(ScheduledThread* thread) : thread(thread) {}
    ScheduledThread* const thread;
  };
  struct Replenishment {
    int64_t due_ns;
    int64_t amount_ns;
  };

  Scheduling scheduling_;
  std::unique_ptr<Fiber> fiber_;
  ReadyNode ready_node_{this};
  int cpu_ = -1;              // while RUNNING
  int64_t resume_ns_ = 0;     // while RUNNING: when it goes on
  int64_t remaining_ns_ = 0;  // while READY: CPU time still to pay before it goes on
  int64_t running_since_ns_ = 0;
  int64_t cpu_ns_ = 0;
  int64_t slice_left_ns_ = 0;   // RR
  int64_t budget_left_ns_ = 0;  // SPORADIC
  int64_t activated_ns_ = 0;    // SPORADIC: when it began to use its budget
  int64_t used_since_activation_ns_ = 0;
  std::deque<Replenishment> replenishments_;
  Timer slice_timer_{Timer::Purpose::kSlice, this};
  Timer budget_timer_{Timer::Purpose::kBudget, this};
  Timer replenish_timer_{Timer::Purpose::kReplenish, this};
};

class Scheduler {
 public:
  Scheduler(int cpus, Chooser& chooser, Inheritance& inheritance, SchedulerClient& client);

  int64_t now() const { return now_ns_; }
  TimerQueue& timers() { return timers_; }
  ScheduledThread* current() const { return current_; }
  uint64_t switches() const { return switches_; }
  Fiber& host_fiber() { return host_fiber_; }
  void SetWatched(bool watched) { watched_ = watched; }

  // From the host's stack: runs threads until Stop(), or until nothing can happen any more
  // (idle()), or until time would pass `limit_ns`.
  void Run(int64_t limit_ns);
  void Stop() { stopped_ = true; }
  bool idle() const { return idle_; }
  bool NobodyRuns() const {
    return std::all_of(running_.begin(), running_.end(),
                       [](auto* thread) { return thread == nullptr; });
  }
  bool limit_reached() const { return limit_reached_; }

  // The current thread works for `ns`, if it is plain that nothing happens meanwhile: then true.
  bool TryCharge(int64_t ns) {
    const int64_t until_ns = now_ns_ + ns;
    if (running_.size() > 1 || timers_.NextDue() <= until_ns) return false;
    current_->resume_ns_ = now_ns_ = until_ns;
    return true;
  }
  // The current thread works for `ns`; others may run meanwhile, or first.
  void Charge(int64_t ns) {
    ScheduledThread& thread = *current_;
    thread.resume_ns_ = now_ns_ + ns;
    if (SomethingComesFirst(thread.resume_ns_)) return WaitForTurn();
    now_ns_ = thread.resume_ns_;
  }
  // The current thread, RUNNING, leaves its CPU for a blocked state. Whom this wakes is made ready
  // before FinishBlock, which returns when the thread runs again.
  void BeginBlock(ScheduledThread& thread, ThreadState state);
  void FinishBlock() {
    Settle();
    Dispatch();
  }
  // A blocked or stopped thread may run: to the tail of its level. Takes effect with the next
  // Settle.
  void MakeReady(ScheduledThread& thread) {
    SetState(thread, ThreadState::kReady);
    ready_.PushBack(thread.ready_node_, thread.effective());
  }
  // A thread that is blocked goes on waiting for something else (SEND -> REPLY, CONDVAR -> MUTEX).
  void ChangeWait(ScheduledThread& thread, ThreadState state) { SetState(thread, state); }
  // To the tail of its level, if others are ready there.
  void Yield();
  // Makes the invariants true again after threads became ready or Inheritance changed priorities.
  void Settle() {
    if (!inheritance_.changed().empty()) MoveChanged();
    if (!ready_.empty()) Balance();
  }
  // Settles, and before a kernel call returns lets whoever has preempted the caller go first.
  void SettleAndLetOthersRun() {
    Settle();
    if (current_->state() != ThreadState::kRunning) Dispatch();
  }
  // Takes a thread off whatever it runs or waits to run on, for ever.
  void Retire(ScheduledThread& thread);
  // From the fiber of the current thread, which is over: switches away for good.
  [[noreturn]] void LeaveForGood();
  // Runs the fiber of `thread`, which is DEAD, until it leaves for good; then goes on here.
  void RunToEnd(ScheduledThread& thread);
  bool running_to_end() const { return run_to_end_return_ != nullptr; }
  // A signal handler has moved the host thread off the current thread's fiber, which is lost, onto
  // `rescue`. To be left by LeaveForGood.
  void ArriveOnRescue(Fiber& rescue) { active_fiber_ = &rescue; }

  // P7. Changes base priority as well.
  void SetScheduling(ScheduledThread& thread, const Scheduling& scheduling);

  void CheckInvariants() const;

 private:
  void WaitForTurn();  // Dispatch, out of line: seldom needed, and large
  bool SomethingComesFirst(int64_t until_ns) const {
    if (timers_.NextDue() <= until_ns) return true;
    return running_.size() > 1 && AnotherCpuComesFirst(until_ns);
  }
  bool AnotherCpuComesFirst(int64_t until_ns) const;
  void SetState(ScheduledThread& thread, ThreadState state) {
    thread.SetState(state);
    if (watched_) client_.OnStateChanged(thread);
  }
  void MoveChanged();
  void Balance();
  int CheapestCpu() { return running_.size() == 1 ? 0 : CheapestOfSeveral(); }
  int CheapestOfSeveral();
  void EnterCpu(ScheduledThread& thread, int cpu);
  void LeaveCpu(ScheduledThread& thread);
  void Preempt(ScheduledThread& thread, bool to_head);
  // Leaves the CPU to the next thread; returns when this one is next. Inline as Fiber::Switch is.
  void Dispatch() {
    ScheduledThread* const mine = current_;
    ScheduledThread* const next = PickNext();
    if (next == mine) return;
    current_ = next;
    SwitchTo(next == nullptr ? host_fiber_ : next->fiber());
  }
  ScheduledThread* PickNext() {
    // The usual case on one CPU: nothing comes before its thread, which goes on.
    ScheduledThread* const only = running_.size() == 1 ? running_[0] : nullptr;
    if (only != nullptr && only->resume_ns_ <= now_ns_ && timers_.NextDue() > now_ns_ &&
        !stopped_ && (current_ == nullptr || current_->state() != ThreadState::kDead)) {
      return only;
    }
    return PickAmongAll();
  }
  ScheduledThread* PickAmongAll();
  ScheduledThread* ChooseStep();
  void SwitchTo(Fiber& to) {
    Fiber& from = *active_fiber_;
    active_fiber_ = &to;
    ++switches_;
    Fiber::Switch(from, to);
  }
  void Fire(Timer& timer);

  void Account(ScheduledThread& thread);
  void StartPolicy(ScheduledThread& thread);
  void EndPolicyTurn(ScheduledThread& thread);
  void EndSlice(ScheduledThread& thread);
  void EndBudget(ScheduledThread& thread);
  void ScheduleReplenishment(ScheduledThread& thread);
  void Replenish(ScheduledThread& thread);
  void ApplySporadicBase(ScheduledThread& thread);

  Chooser& chooser_;
  Inheritance& inheritance_;
  SchedulerClient& client_;
  Fiber host_fiber_;
  TimerQueue timers_;
  LevelQueue ready_;
  std::vector<ScheduledThread*> running_;  // by CPU, null when idle
  ScheduledThread* current_ =
      nullptr;  // whose fiber the host thread is on; null on the host's own stack
  Fiber* active_fiber_ = &host_fiber_;  // the fiber that the host thread is on
  Fiber* run_to_end_return_ = nullptr;  // where a fiber that is being run to its end goes back to
  int64_t now_ns_ = 0;
  int64_t limit_ns_ = kNever;
  uint64_t switches_ = 0;
  bool watched_ = false;
  bool stopped_ = false;
  bool idle_ = false;
  bool limit_reached_ = false;
  std::vector<uint64_t> keys_;  // scratch of PickNext
  std::vector<int> candidates_;
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_SCHEDULER_H_
