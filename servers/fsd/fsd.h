// fsd, the file server: files below one folder of the host, at /fs. See protocol.h for what it
// understands.
#ifndef PARLEY_SERVERS_FSD_FSD_H_
#define PARLEY_SERVERS_FSD_FSD_H_

#include "ipc/process.h"

namespace fsd {

// Arguments: FOLDER [--device-mbps=N]. With N the folder lies on a device that transfers N million
// bytes a second, one request at a time, the highest priority first; without, on one that takes no
// time.
int Main(ipc::Process& self);

}  // namespace fsd

#endif  // PARLEY_SERVERS_FSD_FSD_H_
