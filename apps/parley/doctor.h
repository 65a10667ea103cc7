// What a machine has that the host kernel needs, and what is to be thought of it.
#ifndef PARLEY_APPS_PARLEY_DOCTOR_H_
#define PARLEY_APPS_PARLEY_DOCTOR_H_

#include <cstdint>
#include <string>
#include <vector>

namespace parley_tool {

// Of this process and its machine. An errno of 0: it can be done.
struct MachineFacts {
  uint32_t uid = 0;
  std::string user;
  uint64_t rtprio_limit = 0;
  bool may_nice = false;      // CAP_SYS_NICE
  int real_time_errno = 0;    // of taking SCHED_FIFO
  int64_t rt_runtime_us = 0;  // kernel.sched_rt_runtime_us; -1: all of the CPU
  int64_t ptrace_scope = 0;   // kernel.yama.ptrace_scope; 0 where there is no Yama
  bool may_trace = false;     // CAP_SYS_PTRACE
  uint64_t memlock_bytes = 0;
  int dma_latency_errno = 0;  // of opening /dev/cpu_dma_latency for writing
  int io_uring_errno = 0;
  int64_t io_uring_disabled = 0;  // kernel.io_uring_disabled; 0 where there is no such switch
  int cpus = 0;                   // that this process may run on
};
MachineFacts ReadFacts();

struct Finding {
  enum class Grade { kOk, kSlower, kMissing };  // kMissing: a guarantee does not hold
  std::string what;                             // a word or two
  Grade grade = Grade::kOk;
  std::string tells;  // what was found; what that costs unless kOk
  std::string mend;   // a command, or what else to do; empty for kOk
};
// One for each thing, in a fixed order. Pure.
std::vector<Finding> Examine(const MachineFacts& facts);

std::string FindingsText(const std::vector<Finding>& findings);
std::string FindingsJson(const std::vector<Finding>& findings);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_DOCTOR_H_
