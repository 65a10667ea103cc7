// The folder at which the name space is shown: whether it will do, and how it is given back.
//
// Threads: any; it is the host's state.
#ifndef PARLEY_SERVERS_FUSED_MOUNT_POINT_H_
#define PARLEY_SERVERS_FUSED_MOUNT_POINT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace fused {

// Its absolute path. What a mount left there whose process has died is unmounted first. Errors are
// one line: what is wrong with which folder, and what to do.
absl::StatusOr<std::string> CheckMountPoint(const std::string& folder);
// That this user may mount: /dev/fuse can be had, directly or by fusermount3.
absl::Status CheckMayMount(bool shared);
// Whether fusermount3 is installed.
bool HasFusermount();
// Unmounts what a process that has died left mounted at `folder`; nothing, if there is no such
// thing.
void MendMountPoint(const std::string& folder);

// Has Linux read so far ahead of whoever reads a file below `folder` from its beginning to its end,
// instead of the 128 KiB that it takes for any file system; where this user may not, nothing. It
// asks nothing of the file system; to be called once that has answered its first request.
void ReadFurtherAhead(const std::string& folder, uint64_t bytes);

}  // namespace fused

#endif  // PARLEY_SERVERS_FUSED_MOUNT_POINT_H_
