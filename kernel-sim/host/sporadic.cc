// SPORADIC threads (P7): Linux has no such policy, so the agent keeps their budgets.
//
// A thread's budget counts from when it begins to use it. When its CPU clock says that the budget
// is used, its base priority falls to the low one, and rises again a period after it had begun. All
// that was used comes back at once: one replenishment is pending at most, which is never more than
// what was asked for.
#include <time.h>

#include <algorithm>

#include "kernel-sim/host/process.h"

namespace parley::host {
namespace {

// What is left of a budget is looked at no sooner than this: on one CPU the looks themselves would
// keep the thread from using it.
constexpr int64_t kShortestLookNs = 200'000;

int64_t CpuNs(const HostThread& thread) {
  clockid_t clock;
  timespec used = {};
  if (pthread_getcpuclockid(thread.pthread, &clock) == 0) clock_gettime(clock, &used);
  return used.tv_sec * 1'000'000'000 + used.tv_nsec;
}

}  // namespace

void Process::BeginBudget(HostThread& thread) {
  thread.exhausted = false;
  thread.active_ns = Now();
  thread.cpu_ns = CpuNs(thread);
  timers_.Arm(thread.budget, thread.active_ns + thread.scheduling.budget_ns);
  RearmTimerFd();
}

void Process::OnBudget(HostThread& thread) {
  const Scheduling& scheduling = thread.scheduling;
  if (thread.exhausted) {
    inheritance_.SetBase(thread, scheduling.priority);
    BeginBudget(thread);
    return ApplyChanges();
  }
  const int64_t used = CpuNs(thread) - thread.cpu_ns;
  if (used == 0) return BeginBudget(thread);
  if (used < scheduling.budget_ns) {
    timers_.Arm(thread.budget, Now() + std::max(scheduling.budget_ns - used, kShortestLookNs));
    return RearmTimerFd();
  }
  thread.exhausted = true;
  inheritance_.SetBase(thread, scheduling.low_priority);
  ApplyChanges();
  timers_.Arm(thread.budget, std::max(thread.active_ns + scheduling.period_ns, Now()));
  RearmTimerFd();
}

}  // namespace parley::host
