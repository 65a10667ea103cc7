// Mappings and their protection.
#include "kernel-sim/sim/memory.h"

#include "kernel-sim/core/check.h"

namespace parley::sim {

absl::StatusOr<RegionMapping*> MemoryMap::Map(Arena& arena, Process& process, ProcessMemory& memory,
                                              RegionMapping::Kind kind, Region& region,
                                              uint64_t offset, uint64_t bytes, Rights rights) {
  const uint64_t arena_offset = region.arena_offset + offset;
  auto address = arena.Map(arena_offset, bytes, rights);
  if (!address.ok()) return address.status();
  if (memory.unmapped.empty()) {
    memory.mappings.push_back(std::make_unique<RegionMapping>());
    memory.unmapped.push_back(memory.mappings.back().get());
  }
  RegionMapping& mapping = *memory.unmapped.back();
  memory.unmapped.pop_back();
  mapping.kind = kind;
  mapping.state = RegionMapping::State::kOpen;
  mapping.handle = RegionHandle::kNone;
  mapping.capability = CapabilityId::kNone;
  mapping.process = &process;
  mapping.memory = &memory;
  mapping.region = &region;
  mapping.region_id = region.id;
  mapping.offset = offset;
  mapping.bytes = bytes;
  mapping.arena_offset = arena_offset;
  mapping.address = *address;
  mapping.rights = rights;
  by_address_[mapping.address] = &mapping;
  region.mappings.push_back(&mapping);
  return &mapping;
}

absl::StatusOr<RegionMapping*> MemoryMap::MapLease(Arena& arena, Process& process,
                                                   ProcessMemory& memory, Region& region,
                                                   uint64_t offset, uint64_t bytes, Rights rights) {
  for (RegionMapping* mapping : region.mappings) {
    if (mapping->state == RegionMapping::State::kIdle && mapping->memory == &memory &&
        mapping->offset == offset && mapping->bytes == bytes && mapping->rights == rights) {
      SetState(*mapping, RegionMapping::State::kOpen);
      return mapping;
    }
  }
  return Map(arena, process, memory, RegionMapping::Kind::kLease, region, offset, bytes, rights);
}

void MemoryMap::SetState(RegionMapping& mapping, RegionMapping::State state) {
  using State = RegionMapping::State;
  PARLEY_CHECK(mapping.state != State::kUnmapped);
  if (mapping.state == State::kOpen && state != State::kOpen) mapping.End();
  mapping.state = state;
  if (state == State::kOpen) Arena::Protect(mapping.address, mapping.bytes, mapping.rights);
  if (state == State::kIdle || state == State::kRevoked) {
    Arena::Protect(mapping.address, mapping.bytes, Rights::kNone);
  }
}

void MemoryMap::Unmap(RegionMapping& mapping) {
  if (mapping.state == RegionMapping::State::kUnmapped) return;
  if (mapping.state == RegionMapping::State::kOpen) mapping.End();
  by_address_.erase(mapping.address);
  Arena::Unmap(mapping.address, mapping.bytes);
  mapping.state = RegionMapping::State::kUnmapped;
  if (mapping.region != nullptr) std::erase(mapping.region->mappings, &mapping);
  mapping.region = nullptr;
  mapping.memory->unmapped.push_back(&mapping);
}

RegionMapping* MemoryMap::Find(const void* address) const {
  const auto* byte = static_cast<const std::byte*>(address);
  auto after = by_address_.upper_bound(byte);
  if (after == by_address_.begin()) return nullptr;
  RegionMapping* mapping = std::prev(after)->second;
  return byte < mapping->address + mapping->bytes ? mapping : nullptr;
}

}  // namespace parley::sim
