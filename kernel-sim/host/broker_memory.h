// Memory and descriptors as the broker makes them for others.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_MEMORY_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_MEMORY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernel-sim/host/fd.h"

namespace parley::host {

// All of them: kQuotaExhausted when Linux has no memory or descriptor left.

// As MakeSharedMemory, and no other user can open it again through a descriptor that it holds.
// kSealed: nobody adds a seal to it either. Regions stay open to seals: theirs come later.
enum class FurtherSeals : bool { kNone, kPossible };
absl::StatusOr<UniqueFd> MakeBrokerMemory(const char* name, uint64_t bytes, FurtherSeals seals);
absl::StatusOr<UniqueFd> MakeKnocker();
absl::StatusOr<UniqueFd> Duplicate(const UniqueFd& fd);
// The same memory through a descriptor that cannot be mapped for writing.
absl::StatusOr<UniqueFd> ReopenReadOnly(const UniqueFd& memory);
// For writing, what the process holds that was made by a broker of this user.
absl::StatusOr<UniqueFd> ReopenForWriting(const UniqueFd& memory);

// R4: no mapping for writing can be made from now on; those that are there stay. kNotPermitted: its
// owner has sealed it against seals.
absl::Status ForbidNewWriters(const UniqueFd& memory);
// R4: no write can ever happen from now on. kContested: somebody maps it for writing still.
// kNotPermitted: as above.
absl::Status ForbidWrites(const UniqueFd& memory);
// R7: whoever still maps it sees zeros. Does nothing to memory that is sealed against writes: that
// only its owner could change, and Linux keeps such pages for their readers.
void Empty(const UniqueFd& memory, uint64_t bytes);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_MEMORY_H_
