// devices: /dev/null, /dev/zero, /dev/random, and named pipes below /dev/pipe. docs/servers.md says
// what each does.
#ifndef PARLEY_SERVERS_DEVICES_DEVICES_H_
#define PARLEY_SERVERS_DEVICES_DEVICES_H_

#include "ipc/process.h"

namespace devices {

// Arguments: [--seed=N]. With N the bytes of /dev/random are the same in each run.
int Main(ipc::Process& self);

}  // namespace devices

#endif  // PARLEY_SERVERS_DEVICES_DEVICES_H_
