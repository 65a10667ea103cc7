// Where a freshly forked child of the launcher becomes a process of the kernel.
#ifndef PARLEY_KERNEL_SIM_HOST_PROCESS_MAIN_H_
#define PARLEY_KERNEL_SIM_HOST_PROCESS_MAIN_H_

#include <sys/socket.h>

#include <string>

#include "kernel-sim/boot.h"
#include "kernel-sim/host/farewell.h"
#include "kernel-sim/host/fd.h"
#include "kernel-sim/host/trace_ring.h"

namespace parley::host {

struct ProcessStart {
  std::string broker_address;  // where the broker listens, whichever it is at the time,
  ucred broker_listener = {};  // and whose socket that is
  uint64_t ticket = 0;         // from Launch
  const Program* program = nullptr;
  Farewell* farewell = nullptr;
  TraceArea* trace = nullptr;          // null: the run is not traced
  int64_t response_limit_ns = kNever;  // InitialProcess
  bool low_latency = false;            // HostOptions
  bool copies_through_link = false;    // HostOptions
};

// Joins with the ticket, runs the program, says farewell and leaves by _exit(0). Called in a child
// that has one thread and its final user and group.
using ProcessMain = void (*)(ProcessStart start);
[[noreturn]] void RunProcess(ProcessStart start);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_PROCESS_MAIN_H_
