// logd, the log of a running system: /dev/log. docs/servers.md says how it is used, protocol.h what
// it understands besides lines.
#ifndef PARLEY_SERVERS_LOGD_LOGD_H_
#define PARLEY_SERVERS_LOGD_LOGD_H_

#include "ipc/process.h"

namespace logd {

// Arguments: [--bytes=N], how much of the log is kept (default: 1 MiB).
int Main(ipc::Process& self);

}  // namespace logd

#endif  // PARLEY_SERVERS_LOGD_LOGD_H_
