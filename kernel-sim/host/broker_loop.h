// The broker as a process: its sockets, deaths and signals, all waited for by io_uring.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_LOOP_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_LOOP_H_

#include <cstdint>

#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/fd.h"

namespace parley::host {

// Whom a broker is for. Private: until no launcher is left. `owner_pid`, if not 0: until that
// launcher is gone (broker.h). Either way SIGINT is not for it: a terminal sends that to the
// launcher too, which knows better.
struct BrokerUse {
  bool private_to_launcher = false;
  uint32_t owner_pid = 0;
  int64_t start_ns = 0;  // when the kernel started, CLOCK_MONOTONIC; 0: now
  uint32_t reign = 0;    // as of BrokerLife
  LedgerKey key = {};
};

// Serves `listener`, a listening Unix socket of type SOCK_SEQPACKET, until SIGTERM or SIGINT;
// returns what the process is to exit with. Takes the calling process over: priority, signals, and
// limit of open files are changed for good.
int RunBroker(UniqueFd listener, const BrokerUse& use = {});

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_LOOP_H_
