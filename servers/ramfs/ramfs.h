// ramfs, a file server in memory: files, directories, symbolic and hard links, gone with the
// process.
#ifndef PARLEY_SERVERS_RAMFS_RAMFS_H_
#define PARLEY_SERVERS_RAMFS_RAMFS_H_

#include "ipc/process.h"

namespace ramfs {

// Arguments: NAME [--mib=N]. Serves NAME; what its files take up, each with 512 bytes for itself,
// is N MiB at most (default 256), then ENOSPC.
int Main(ipc::Process& self);

}  // namespace ramfs

#endif  // PARLEY_SERVERS_RAMFS_RAMFS_H_
