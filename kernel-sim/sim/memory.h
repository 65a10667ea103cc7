// Regions as mapped memory: what each simulated process has mapped where, and with which
// protection.
//
// A mapping is either a process's own region, a grant it redeemed, or a lease that came with a
// message. Its protection is real: what the rights do not allow faults. `live` is the word that
// libipc checks before it hands out an address (R6).
//
// Invariants:
//   1. `live` changes whenever the right to touch the mapping ends, and never changes back.
//   2. A mapping's memory is accessible exactly in the states kOpen and kDetached, and in
//   kOrphaned.
//   3. A lease mapping serves one lease at a time; a free one stays mapped without access, for the
//   next lease of the same
//      range (R6).
#ifndef PARLEY_KERNEL_SIM_SIM_MEMORY_H_
#define PARLEY_KERNEL_SIM_SIM_MEMORY_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernel-sim/core/handle_table.h"
#include "kernel-sim/kernel.h"
#include "kernel-sim/sim/arena.h"

namespace parley::sim {

struct Process;
struct ProcessMemory;
struct RegionMapping;

struct Region {
  RegionId id = RegionId::kNone;
  Process* owner = nullptr;  // null once it has closed it or died
  uint64_t bytes = 0;
  uint64_t arena_offset = 0;
  bool others_may_write = true;
  bool frozen = false;
  std::vector<RegionMapping*> mappings;  // all that show it, the owner's first
  int leases = 0;                        // in flight, or orphaned (R5)
  int orphans = 0;  // out leases whose client has gone and whose server has not let go
};

struct RegionMapping {
  enum class Kind : uint8_t { kOwner, kGrant, kLease };
  enum class State : uint8_t {
    kOpen,      // may be touched, within its rights
    kOrphaned,  // a lease that died under its server: still accessible, `live` says no (R5, R9)
    kIdle,      // a lease mapping between leases: no access
    kRevoked,   // R7: no access; the first touch is reported and detaches it
    kDetached,  // private memory with the contents of that moment: nobody faults, nobody sees (R9)
    kUnmapped,
  };
  Kind kind = Kind::kOwner;
  State state = State::kOpen;
  Process* process = nullptr;
  ProcessMemory* memory = nullptr;  // of the process
  Region* region = nullptr;         // null once the region is gone
  RegionId region_id = RegionId::kNone;
  RegionHandle handle = RegionHandle::kNone;  // none for a lease
  CapabilityId capability = CapabilityId::kNone;
  uint64_t offset = 0;        // in the region, page aligned
  uint64_t bytes = 0;         // pages
  uint64_t arena_offset = 0;  // of `address`, when mapped
  std::byte* address = nullptr;
  Rights rights = Rights::kNone;
  std::atomic<uint64_t> live{1};

  // Ends the right to touch it. Relaxed would do between fibers; release pairs with libipc's
  // acquire load on every kernel, so that nothing written before the end is seen as after it.
  void End() { live.store(live.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
};

// R5: one region reference of a message in flight.
struct Lease {
  Region* region = nullptr;
  uint64_t offset = 0;  // in the region
  uint64_t length = 0;
  Direction direction = Direction::kIn;
  CapabilityId capability = CapabilityId::kNone;  // the sender's
  RegionMapping* mapping = nullptr;               // in the server, once asked for
};

// What one process has mapped.
struct ProcessMemory {
  HandleTable<RegionHandle, RegionMapping> handles;
  // Records stay, for their `live` words to be read; one that is unmapped is used again.
  std::vector<std::unique_ptr<RegionMapping>> mappings;
  std::vector<RegionMapping*> unmapped;
  uint64_t quota_used = 0;
};

// Every mapping of a simulation, by address.
class MemoryMap {
 public:
  // Maps [offset, offset + bytes) of the region for `process`.
  absl::StatusOr<RegionMapping*> Map(Arena& arena, Process& process, ProcessMemory& memory,
                                     RegionMapping::Kind kind, Region& region, uint64_t offset,
                                     uint64_t bytes, Rights rights);
  // An idle lease mapping of exactly this range and these rights, opened again; else a new one.
  absl::StatusOr<RegionMapping*> MapLease(Arena& arena, Process& process, ProcessMemory& memory,
                                          Region& region, uint64_t offset, uint64_t bytes,
                                          Rights rights);
  void SetState(RegionMapping& mapping, RegionMapping::State state);
  void Unmap(RegionMapping& mapping);
  // The mapping that contains `address`, null when none does. May be called in signal context.
  RegionMapping* Find(const void* address) const;

 private:
  std::map<const std::byte*, RegionMapping*> by_address_;  // by first byte
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_MEMORY_H_
