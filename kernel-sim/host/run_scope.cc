// Signals, priority and limits of the launcher's process.
#include "kernel-sim/host/run_scope.h"

#include <sys/signalfd.h>

#include "kernel-sim/host/linux_priority.h"

namespace parley::host {

RunScope::RunScope() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, &mask_before_);
  interrupts_ = UniqueFd(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
  // Where it is ignored, which a process may have from its maker, Linux keeps no exit status.
  struct sigaction told = {};
  told.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &told, &child_before_);
  // Above the programs, where that is permitted: it must see them end. Children begin as high, and
  // come down when they join.
  policy_before_ = sched_getscheduler(0);
  sched_getparam(0, &priority_before_);
  const sched_param priority = {kLauncherLinuxPriority};
  sched_setscheduler(0, SCHED_FIFO, &priority);
  // One for each process.
  getrlimit(RLIMIT_NOFILE, &files_before_);
  const rlimit files = {files_before_.rlim_max, files_before_.rlim_max};
  setrlimit(RLIMIT_NOFILE, &files);
}

RunScope::~RunScope() {
  setrlimit(RLIMIT_NOFILE, &files_before_);
  sched_setscheduler(0, policy_before_, &priority_before_);
  sigaction(SIGCHLD, &child_before_, nullptr);
  interrupts_.Reset();
  sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

bool RunScope::TakeInterrupt() {
  bool came = false;
  signalfd_siginfo signal;
  while (read(interrupts_.get(), &signal, sizeof(signal)) > 0) came = true;
  return came;
}

}  // namespace parley::host
