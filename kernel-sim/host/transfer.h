// One copy between this process's memory and another's, for what is longer than a slot holds.
#ifndef PARLEY_KERNEL_SIM_HOST_TRANSFER_H_
#define PARLEY_KERNEL_SIM_HOST_TRANSFER_H_

#include "absl/status/statusor.h"
#include "kernel-sim/core/bytes.h"
#include "kernel-sim/host/objects.h"

namespace parley::host {

// Copies from, or to, what `parts` says of the far process's memory, skipping its first `offset` of
// `bytes`. Returns the bytes moved, short past the end. kBadAddress: the far process offered what
// it does not have. kMessageGone: it has died. kNotPermitted: Linux does not let this process near
// that one.
absl::StatusOr<uint64_t> ReadRemote(const FarProcess& far, const RemoteParts& parts, uint64_t bytes,
                                    uint64_t offset, MutableParts destination);
absl::StatusOr<uint64_t> WriteRemote(const FarProcess& far, const RemoteParts& parts,
                                     uint64_t bytes, uint64_t offset, ConstParts source);

// Whether the process is still there, by its pidfd.
bool IsAlive(const FarProcess& far);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_TRANSFER_H_
