// The broker as a process: its sockets, deaths and signals, all waited for by io_uring.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_LOOP_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_LOOP_H_

#include "kernel-sim/host/fd.h"

namespace parley::host {

// Serves `listener`, a listening Unix socket of type SOCK_SEQPACKET, until SIGTERM or SIGINT;
// returns what the process is to exit with. `private_to_launcher`: until the one launcher is gone,
// and whatever SIGINT says: a terminal sends that to the launcher too, which knows better. Takes
// the calling process over: priority, signals, and limit of open files are changed for good.
int RunBroker(UniqueFd listener, bool private_to_launcher);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_LOOP_H_
