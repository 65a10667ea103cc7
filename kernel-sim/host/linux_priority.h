// Parley's priorities on Linux: 1 to 255 become SCHED_FIFO or SCHED_RR 1 to 95, in order. Above
// them run launchers, the agents of processes, and the broker.
#ifndef PARLEY_KERNEL_SIM_HOST_LINUX_PRIORITY_H_
#define PARLEY_KERNEL_SIM_HOST_LINUX_PRIORITY_H_

#include <sched.h>
#include <sys/types.h>

#include "kernel-sim/kernel.h"

namespace parley::host {

inline constexpr int kHighestLinuxPriority = 95;
inline constexpr int kLauncherLinuxPriority = 96;
inline constexpr int kAgentLinuxPriority = 97;

constexpr int LinuxPriority(int priority) {
  return 1 +
         (priority - kMinPriority) * (kHighestLinuxPriority - 1) / (kMaxPriority - kMinPriority);
}
static_assert(LinuxPriority(kMinPriority) == 1 && LinuxPriority(kMaxPriority) == 95);

// The sanitizers' own locks wait by sched_yield, which at SCHED_FIFO lets nobody of a lower
// priority run: who waits for one that such a thread holds may keep it from the CPU for ever.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kCanBeRealTime = false;
#else
inline constexpr bool kCanBeRealTime = true;
#endif

// False where it is not permitted. A sporadic thread's budget is its process's to keep.
inline bool SetLinuxPriority(pid_t thread, Policy policy, int linux_priority) {
  if (!kCanBeRealTime) return false;
  const sched_param parameter = {linux_priority};
  const int scheduler = policy == Policy::kRoundRobin ? SCHED_RR : SCHED_FIFO;
  return sched_setscheduler(thread, scheduler | SCHED_RESET_ON_FORK, &parameter) == 0;
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_LINUX_PRIORITY_H_
