// What a run of the launcher changes of the process it is in, and gives back at its end: signals,
// priority, and the limit of open files.
#ifndef PARLEY_KERNEL_SIM_HOST_RUN_SCOPE_H_
#define PARLEY_KERNEL_SIM_HOST_RUN_SCOPE_H_

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "kernel-sim/host/fd.h"

namespace parley::host {

class RunScope {
 public:
  RunScope();
  ~RunScope();
  RunScope(const RunScope&) = delete;
  RunScope& operator=(const RunScope&) = delete;

  // Readable once SIGINT or SIGTERM has come.
  const UniqueFd& interrupts() const { return interrupts_; }
  // Whether one has come since it was asked last. What nobody asks for takes its usual effect once
  // the scope ends.
  bool TakeInterrupt();

 private:
  UniqueFd interrupts_;
  sigset_t mask_before_;
  struct sigaction child_before_;
  int policy_before_;
  sched_param priority_before_ = {};
  rlimit files_before_ = {};
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_RUN_SCOPE_H_
