// Regions, grants and leases as the simulated kernel keeps them (R1 to R9).
//
// What becomes of a mapping when the right to it ends depends on whose doing that is. The process's
// own (it replied, it closed): a later touch is its bug and faults. Somebody else's (revoked,
// reclaimed, the client left): `live` changes, and the memory itself stays harmless to touch,
// because no server faults for what a client does (R9).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/simulation.h"

namespace parley::sim {
namespace {

uint64_t PagesDown(uint64_t bytes) { return bytes / kPageBytes * kPageBytes; }
uint64_t PagesUp(uint64_t bytes) { return PagesDown(bytes + kPageBytes - 1); }

bool IsOut(const Lease& lease) { return lease.direction != Direction::kIn; }

}  // namespace

absl::StatusOr<RegionMapping*> Simulation::CreateRegion(Process& owner, uint64_t bytes,
                                                        bool others_may_write) {
  if (bytes == 0 || bytes > kMaxRegionBytes) {
    return MakeError(Error::kInvalidArgument, absl::StrCat("a region of ", bytes, " bytes; 1 to ",
                                                           kMaxRegionBytes, " are possible"));
  }
  const uint64_t size = PagesUp(bytes);
  const uint64_t quota = owner.options.region_quota_bytes;
  if (size > quota - std::min(owner.memory.quota_used, quota)) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat("regions of ", owner.memory.quota_used, " bytes are held, ", size,
                                  " more would pass the quota of ", quota));
  }
  auto offset = arena_.Allocate(size);
  if (!offset.ok()) return offset.status();
  auto region = std::make_unique<Region>();
  region->id = RegionId{static_cast<uint32_t>(NextNumber())};
  region->owner = &owner;
  region->bytes = size;
  region->arena_offset = *offset;
  region->others_may_write = others_may_write;
  auto mapping = memory_.Map(arena_, owner, owner.memory, RegionMapping::Kind::kOwner, *region, 0,
                             size, Rights::kRead | Rights::kWrite);
  if (!mapping.ok()) {
    arena_.Release(*offset, size);
    return mapping.status();
  }
  owner.memory.quota_used += size;
  (*mapping)->capability = MakeRegionRoot(*region, owner);
  TellRegion(RegionEvent::kCreated, owner, region->id);
  regions_[region->id] = std::move(region);
  return mapping;
}

CapabilityId Simulation::MakeRegionRoot(const Region& region, const Process& owner) {
  return capabilities_
      .CreateRoot({ObjectKind::kRegion, Raw(region.id)}, owner.id,
                  {.rights = Rights::kRead | Rights::kWrite | Rights::kGrant,
                   .offset = 0,
                   .length = region.bytes})
      .id;
}

Region* Simulation::FindRegion(uint64_t id) {
  auto found = regions_.find(RegionId{static_cast<uint32_t>(id)});
  return found == regions_.end() ? nullptr : found->second.get();
}

absl::StatusOr<RegionMapping*> Simulation::RedeemRegion(Process& holder,
                                                        const Capability& capability) {
  Region& region = *FindRegion(capability.object.id);
  Rights rights = capability.extent.rights & (Rights::kRead | Rights::kWrite);
  if (region.frozen) rights = rights & Rights::kRead;
  auto mapping = memory_.Map(arena_, holder, holder.memory, RegionMapping::Kind::kGrant, region,
                             capability.extent.offset, capability.extent.length, rights);
  if (mapping.ok()) {
    (*mapping)->capability = capability.id;
    grants_by_capability_.Add(capability.id, **mapping);
    TellRegion(RegionEvent::kRedeemed, holder, region.id);
  }
  return mapping;
}

absl::StatusOr<RegionMapping*> Simulation::MapLease(Process& server, Lease& lease) {
  if (lease.region == nullptr || !capabilities_.IsLive(lease.capability)) {
    return MakeError(Error::kLeaseEnded, "the region was revoked or reclaimed");
  }
  if (lease.mapping != nullptr) return lease.mapping;
  const uint64_t first = PagesDown(lease.offset);
  const Rights rights = (IsOut(lease) ? Rights::kWrite : Rights::kNone) | Rights::kRead;
  auto mapping = memory_.MapLease(arena_, server, server.memory, *lease.region, first,
                                  PagesUp(lease.offset + lease.length) - first, rights);
  if (!mapping.ok()) return mapping;
  lease.mapping = *mapping;
  TellRegion(RegionEvent::kLeased, server, lease.region->id);
  return mapping;
}

void Simulation::EndLeases(SimThread& client, bool client_left) {
  SendInFlight& send = client.send;
  for (Lease& lease : send.leases) {
    if (lease.mapping == nullptr || !client_left) {
      if (lease.mapping != nullptr) IdleLease(lease);
      ReleaseLease(lease);
      continue;
    }
    if (lease.mapping->state == RegionMapping::State::kOpen) {
      memory_.SetState(*lease.mapping, RegionMapping::State::kOrphaned);
    }
    if (IsOut(lease) && lease.region != nullptr) ++lease.region->orphans;
    send.receiver->abandoned[send.serial].push_back(lease);
  }
  send.leases.clear();
  client.lease_hook.unlink();
}

// The server's own reply or drop: from now on a touch is its bug.
void Simulation::IdleLease(Lease& lease) {
  TellRegion(RegionEvent::kLeaseEnded, *lease.mapping->process, lease.mapping->region_id);
  memory_.SetState(*lease.mapping, RegionMapping::State::kIdle);
}

void Simulation::ReleaseLease(Lease& lease) {
  if (lease.region == nullptr) return;
  --lease.region->leases;
  EndRegionIfUnused(*lease.region);
}

void Simulation::LetGo(Process& server, uint64_t serial) {
  auto node = server.abandoned.extract(serial);
  if (node.empty()) return;
  for (Lease& lease : node.mapped()) {
    IdleLease(lease);
    if (IsOut(lease) && lease.region != nullptr) --lease.region->orphans;
    ReleaseLease(lease);
  }
}

absl::Status Simulation::FreezeRegion(RegionMapping& mapping) {
  Region& region = *mapping.region;
  bool writing = region.orphans > 0;
  ForEachLease([&](Lease& lease) { writing |= lease.region == &region && IsOut(lease); });
  if (writing) return MakeError(Error::kContested, "a server may still be writing into the region");
  region.frozen = true;
  for (RegionMapping* other : region.mappings) {
    other->rights = other->rights & Rights::kRead;
    if (other->state == RegionMapping::State::kOpen) {
      Arena::Protect(other->address, other->bytes, other->rights);
    }
  }
  TellRegion(RegionEvent::kFrozen, *mapping.process, region.id);
  return absl::OkStatus();
}

// R7: whoever else has it mapped keeps the old memory, which is nobody's any more.
absl::Status Simulation::ReclaimRegion(RegionMapping& mapping) {
  Region& region = *mapping.region;
  auto offset = arena_.Allocate(region.bytes);
  if (!offset.ok()) return offset.status();
  std::vector<std::byte> contents(region.bytes);
  arena_.Read(region.arena_offset, contents.data(), region.bytes);
  const Rights all = Rights::kRead | Rights::kWrite;
  if (absl::Status mapped = arena_.Remap(mapping.address, *offset, region.bytes, all);
      !mapped.ok()) {
    arena_.Release(*offset, region.bytes);
    return mapped;
  }
  std::copy(contents.begin(), contents.end(), mapping.address);
  if (region.frozen) Arena::Protect(mapping.address, region.bytes, Rights::kRead);
  const uint64_t old_offset = region.arena_offset;
  const std::vector<CapabilityId> killed = capabilities_.Kill(mapping.capability);
  mapping.capability = MakeRegionRoot(region, *mapping.process);
  region.arena_offset = mapping.arena_offset = *offset;
  EndCapabilities(killed);
  auto forget = [&](Lease& lease) {
    if (lease.region != &region) return;
    --region.leases;
    if (lease.mapping != nullptr && lease.mapping->state == RegionMapping::State::kOpen) {
      memory_.SetState(*lease.mapping, RegionMapping::State::kOrphaned);
    }
    lease.region = nullptr;
  };
  ForEachLease(forget);
  for (auto& process : processes_) {
    for (auto& [serial, leases] : process->abandoned)
      std::for_each(leases.begin(), leases.end(), forget);
  }
  region.orphans = 0;
  for (RegionMapping* other : region.mappings) {
    if (other != &mapping) other->region = nullptr;
  }
  region.mappings = {&mapping};
  arena_.Release(old_offset, region.bytes);
  TellRegion(RegionEvent::kReclaimed, *mapping.process, region.id);
  return absl::OkStatus();
}

void Simulation::CloseRegion(RegionMapping& mapping) {
  Region* region = mapping.region;
  const bool owner = mapping.kind == RegionMapping::Kind::kOwner;
  grants_by_capability_.Remove(mapping.capability, mapping);
  memory_.Unmap(mapping);
  if (!owner) return;
  mapping.process->memory.quota_used -= region->bytes;
  region->owner = nullptr;
  EndRegionIfUnused(*region);
}

// R8: without an owner, a region lives as long as the leases in flight.
void Simulation::EndRegionIfUnused(Region& region) {
  if (region.owner != nullptr || region.leases > 0) return;
  EndCapabilities(capabilities_.KillObject({ObjectKind::kRegion, Raw(region.id)}));
  // Nobody leases it: what is left are mappings of grants, revoked now, and idle ones of leases.
  for (RegionMapping* mapping : std::exchange(region.mappings, {})) {
    mapping->region = nullptr;
    if (mapping->kind == RegionMapping::Kind::kLease) memory_.Unmap(*mapping);
  }
  arena_.Release(region.arena_offset, region.bytes);
  regions_.erase(region.id);
}

void Simulation::RevokeGrant(RegionMapping& mapping) {
  if (mapping.state != RegionMapping::State::kOpen) return;
  memory_.SetState(mapping, RegionMapping::State::kRevoked);
  TellRegion(RegionEvent::kRevoked, *mapping.process, mapping.region_id);
}

// Those whose senders lent what they hold by capabilities that are dead now.
void Simulation::EndLeasesOf(const absl::flat_hash_set<CapabilityId>& dead) {
  ForEachLease([&](Lease& lease) {
    if (lease.mapping != nullptr && dead.contains(lease.capability) &&
        lease.mapping->state == RegionMapping::State::kOpen) {
      memory_.SetState(*lease.mapping, RegionMapping::State::kOrphaned);
    }
  });
}

template <typename Visit>
void Simulation::ForEachLease(Visit visit) {
  for (SimThread& lessor : lessors_) {
    for (Lease& lease : lessor.send.leases) visit(lease);
  }
}

// Its process has ended in the kernel's eyes: what it holds of others is let go, what it owns ends.
// The memory itself stays until its last fiber has unwound.
void Simulation::EndMemory(Process& process) {
  while (!process.abandoned.empty()) LetGo(process, process.abandoned.begin()->first);
  for (auto& mapping : process.memory.mappings) {
    if (mapping->kind != RegionMapping::Kind::kOwner || mapping->region == nullptr) continue;
    Region& region = *mapping->region;
    mapping->End();
    region.owner = nullptr;
    EndRegionIfUnused(region);
  }
}

void Simulation::ReleaseMemory(Process& process) {
  for (auto& mapping : process.memory.mappings) memory_.Unmap(*mapping);
}

TrapHandler::Answer Simulation::OnFault(void* address, bool write) {
  if (scheduler_.current() == nullptr) return Answer::kNotMine;
  SimThread& thread = current();
  const std::string who = NameOf(thread);
  RegionMapping* mapping = memory_.Find(address);
  if (mapping != nullptr && mapping->process == &thread.process &&
      mapping->state == RegionMapping::State::kRevoked) {
    Problem(absl::StrCat(who, ": touched region ", Raw(mapping->region_id),
                         " after its grant was revoked (R7); it sees a private copy"));
    if (arena_.Detach(mapping->address, mapping->arena_offset, mapping->bytes)) {
      mapping->state = RegionMapping::State::kDetached;
      return Answer::kRetry;
    }
  }
  const char* deed = write ? "wrote to" : "read from";
  offence_ = {ExitKind::kFault, 128, ""};
  if (thread.stack.GuardContains(address)) {
    offence_.kind = ExitKind::kStackOverflow;
    offence_.reason = absl::StrCat("stack overflow in thread ", thread.name, ": more than ",
                                   thread.stack.size, " bytes; give its simulation larger stacks");
  } else if (mapping == nullptr) {
    offence_.reason =
        absl::StrCat("thread ", thread.name, " ", deed, " address 0x",
                     absl::Hex(reinterpret_cast<uintptr_t>(address)), ", which is not its own");
  } else if (mapping->process != &thread.process) {
    offence_.reason = absl::StrCat("thread ", thread.name, " ", deed, " region ",
                                   Raw(mapping->region_id), " as mapped by another process (R3)");
  } else if (mapping->state == RegionMapping::State::kIdle) {
    offence_.reason =
        absl::StrCat("thread ", thread.name, " ", deed, " region ", Raw(mapping->region_id),
                     " after the reply that ended its lease (R5)");
  } else {
    offence_.reason =
        absl::StrCat("thread ", thread.name, " ", deed, " region ", Raw(mapping->region_id),
                     " beyond the rights it was granted (R4)");
  }
  return Answer::kRescue;
}

void Simulation::Rescued() {
  scheduler_.ArriveOnRescue(trap_->rescue());
  SimThread& thread = current();
  EndProcess(thread.process, std::move(offence_));
  thread.abandoned = true;
  LeaveFiber(thread);
}

}  // namespace parley::sim
