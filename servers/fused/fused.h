// fused shows the name space as a file system of Linux, by FUSE: every resource manager can then be
// used with ls, cat, cp, editors and whatever else knows files. docs/mount.md says what for.
#ifndef PARLEY_SERVERS_FUSED_FUSED_H_
#define PARLEY_SERVERS_FUSED_FUSED_H_

#include "ipc/process.h"

namespace fused {

// Arguments: DIR [--allow-other]. Mounts it at DIR, an empty folder, and says so; serves until it
// is unmounted, or SIGTERM. With --allow-other for all users, else for its own. Needs the host
// kernel.
int Main(ipc::Process& self);

}  // namespace fused

#endif  // PARLEY_SERVERS_FUSED_FUSED_H_
