// Kernel calls: regions.
#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/calls.h"

namespace parley::sim {

Mapping Calls::MappingOf(const RegionMapping& mapping, uint64_t offset, uint64_t length) {
  return {.region = mapping.handle,
          .id = mapping.region_id,
          .address = mapping.address + offset,
          .length = length,
          .rights = mapping.rights,
          .live = &mapping.live,
          .live_value = mapping.live.load(std::memory_order_relaxed)};
}

absl::StatusOr<Mapping> Calls::RegionCreate(uint64_t bytes, const RegionOptions& options) {
  PARLEY_ENTER();
  if (process_.memory.handles.full()) return Refuse(Error::kQuotaExhausted);
  auto mapping = sim_.CreateRegion(process_, bytes, options.others_may_write);
  if (!mapping.ok()) return mapping.status();
  (*mapping)->handle = process_.memory.handles.Add(*mapping);
  return MappingOf(**mapping, 0, (*mapping)->bytes);
}

absl::StatusOr<Token> Calls::RegionGrant(RegionHandle handle, ProcessId holder, uint64_t offset,
                                         uint64_t length, Rights rights) {
  PARLEY_ENTER();
  RegionMapping* mapping = process_.memory.handles.Find(handle);
  if (mapping == nullptr) return Refuse(Error::kBadHandle);
  if (mapping->region == nullptr) return Refuse(Error::kLeaseEnded);
  if (sim_.FindProcess(holder) == nullptr) {
    return MakeError(Error::kNoSuchName, "the holder is no living process");
  }
  if (offset % kPageBytes != 0 || length % kPageBytes != 0 || length == 0 ||
      offset > mapping->bytes || length > mapping->bytes - offset) {
    return MakeError(Error::kInvalidArgument, absl::StrCat("a grant is of whole pages of ",
                                                           kPageBytes, " bytes within the region"));
  }
  const Rights all = Rights::kRead | Rights::kWrite | Rights::kGrant;
  if (!Includes(all, rights) || !Includes(rights, Rights::kRead)) {
    return MakeError(Error::kInvalidArgument, "rights over a region are read, and write and grant");
  }
  const bool write = Includes(rights, Rights::kWrite);
  if (write && (!mapping->region->others_may_write || mapping->region->frozen)) {
    return MakeError(Error::kNotPermitted, "nobody else may write into this region");
  }
  auto granted = sim_.capabilities().Grant(
      mapping->capability, process_.id, holder,
      {.rights = rights, .offset = mapping->offset + offset, .length = length}, sim_.NextToken());
  if (!granted.ok()) return granted.status();
  return (*granted)->token;
}

absl::StatusOr<Mapping> Calls::RegionRedeem(const Token& token) {
  PARLEY_ENTER();
  auto capability = sim_.capabilities().FindByToken(token, process_.id);
  if (!capability.ok()) return capability.status();
  if ((*capability)->object.kind != ObjectKind::kRegion) {
    return MakeError(Error::kNotPermitted, "the token is no region's");
  }
  if (process_.memory.handles.full()) return Refuse(Error::kQuotaExhausted);
  auto mapping = sim_.RedeemRegion(process_, **capability);
  if (!mapping.ok()) return mapping.status();
  (*mapping)->handle = process_.memory.handles.Add(*mapping);
  return MappingOf(**mapping, 0, (*mapping)->bytes);
}

absl::StatusOr<RegionMapping*> Calls::DecodeOwnRegion(RegionHandle handle) {
  RegionMapping* mapping = process_.memory.handles.Find(handle);
  if (mapping == nullptr) return Refuse(Error::kBadHandle);
  if (mapping->kind != RegionMapping::Kind::kOwner) {
    return MakeError(Error::kNotPermitted, "only the region's owner may");
  }
  return mapping;
}

absl::Status Calls::RegionFreeze(RegionHandle handle) {
  PARLEY_ENTER();
  auto mapping = DecodeOwnRegion(handle);
  if (!mapping.ok()) return mapping.status();
  return sim_.FreezeRegion(**mapping);
}

absl::StatusOr<Mapping> Calls::RegionReclaim(RegionHandle handle) {
  PARLEY_ENTER();
  auto mapping = DecodeOwnRegion(handle);
  if (!mapping.ok()) return mapping.status();
  if (absl::Status reclaimed = sim_.ReclaimRegion(**mapping); !reclaimed.ok()) return reclaimed;
  return MappingOf(**mapping, 0, (*mapping)->bytes);
}

absl::Status Calls::RegionCheck(RegionHandle handle) {
  PARLEY_ENTER();
  RegionMapping* mapping = process_.memory.handles.Find(handle);
  if (mapping == nullptr) return Refuse(Error::kBadHandle);
  if (mapping->region == nullptr || mapping->state != RegionMapping::State::kOpen) {
    return Refuse(Error::kLeaseEnded);
  }
  if (mapping->region->orphans > 0) return Refuse(Error::kContested);
  return absl::OkStatus();
}

void Calls::RegionClose(RegionHandle handle) noexcept {
  if (!EnterQuietly()) return;
  RegionMapping* mapping = process_.memory.handles.Remove(handle);
  if (mapping != nullptr) sim_.CloseRegion(*mapping);
}

}  // namespace parley::sim
