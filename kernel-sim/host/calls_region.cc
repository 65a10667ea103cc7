// Kernel calls: regions.
#include "kernel-sim/host/process.h"

namespace parley::host {
absl::StatusOr<Mapping> Process::RegionCreate(uint64_t, const RegionOptions&) { return Refuse(Error::kQuotaExhausted); }
absl::StatusOr<Token> Process::RegionGrant(RegionHandle, ProcessId, uint64_t, uint64_t, Rights) { return Refuse(Error::kBadHandle); }
absl::StatusOr<Mapping> Process::RegionRedeem(const Token&) { return Refuse(Error::kBadHandle); }
absl::Status Process::RegionFreeze(RegionHandle) { return Refuse(Error::kBadHandle); }
absl::StatusOr<Mapping> Process::RegionReclaim(RegionHandle) { return Refuse(Error::kBadHandle); }
absl::Status Process::RegionCheck(RegionHandle) { return Refuse(Error::kBadHandle); }
void Process::RegionClose(RegionHandle) noexcept {}
absl::StatusOr<Mapping> Process::MessageLease(MessageHandle, uint32_t) { return Refuse(Error::kBadHandle); }
absl::StatusOr<Direction> Process::MessageLeaseDirection(MessageHandle, uint32_t) { return Refuse(Error::kBadHandle); }
}  // namespace parley::host
