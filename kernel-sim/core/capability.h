// Capabilities and the tree of grants (R2, R3, R7, R8; S8 for channels, U4 for events).
//
// A capability is a right of one process over one object: a range of a region, the way into a
// channel, an event. It is made from another one, and never exceeds it; the first of an object is
// its owner's. Revoking one kills all that was made from it, at once. A token names one capability
// to its holder and to nobody else. The caller draws the tokens: chance is not ours. Not
// thread-safe.
//
// Invariants:
//   1. A live capability's parent is live; a root has none. Children are within their parent
//   (Within).
//   2. Each live capability that has a token is found by it, and only by its holder.
//   3. A dead capability is gone from every list and index; its id is never used again.
//   4. A process has granted at most kMaxGrantsPerProcess that live. They are counted where they
//   come from, for nobody is asked before it is granted something.
#ifndef PARLEY_KERNEL_SIM_CORE_CAPABILITY_H_
#define PARLEY_KERNEL_SIM_CORE_CAPABILITY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "kernel-sim/core/bounds.h"
#include "kernel-sim/core/ids.h"
#include "kernel-sim/core/rights.h"

namespace parley {

enum class ObjectKind : uint8_t { kRegion, kChannel, kEvent };

// The object of a capability: a RegionId, a ChannelId, or an event's number.
struct ObjectRef {
  ObjectKind kind = ObjectKind::kRegion;
  uint64_t id = 0;
  friend bool operator==(const ObjectRef&, const ObjectRef&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const ObjectRef& object) {
    return H::combine(std::move(state), object.kind, object.id);
  }
};

// How much of an object a capability covers.
struct Extent {
  Rights rights = Rights::kNone;
  uint64_t offset = 0;  // regions: bytes
  uint64_t length = 0;
  uint64_t badge = 0;          // channels (S8): fixed by the first grant
  int ceiling = kMaxPriority;  // channels (P6)
};

struct Capability {
  CapabilityId id = CapabilityId::kNone;
  ObjectRef object;
  ProcessId holder = ProcessId::kNone;
  Extent extent;
  Token token;  // {0, 0} for a root
  Capability* parent = nullptr;
  ProcessId granter = ProcessId::kNone;  // the parent's holder
  std::vector<Capability*> children;     // in no order
  size_t place = 0;                      // among its parent's children
};

class CapabilityTable {
 public:
  static constexpr size_t kMaxGrantsPerProcess = 1 << 16;

  // Ids begin after `last_id`.
  explicit CapabilityTable(uint64_t last_id = 0) : next_id_(last_id + 1) {}
  CapabilityTable(const CapabilityTable&) = delete;
  CapabilityTable& operator=(const CapabilityTable&) = delete;

  // The owner's capability over a new object. REQUIRES: none of `object` is there. `id`: of one
  // that another table has had, whose ids this one never gives; none: a new one. So for Grant.
  const Capability& CreateRoot(ObjectRef object, ProcessId owner, const Extent& extent,
                               CapabilityId id = CapabilityId::kNone);

  // Whether `granter` may grant `extent` out of its live capability. kLeaseEnded: it is dead.
  // kNotPermitted: not the granter's, without kGrant, or beyond it. kInvalidArgument: an empty or
  // overflowing range.
  absl::Status CheckGrant(CapabilityId from, ProcessId granter, const Extent& extent) const;
  // As CheckGrant; also kQuotaExhausted: the granter has granted kMaxGrantsPerProcess. The new
  // one's badge is its parent's unless the parent is a root.
  absl::StatusOr<const Capability*> Grant(CapabilityId from, ProcessId granter, ProcessId holder,
                                          const Extent& extent, const Token& token,
                                          CapabilityId id = CapabilityId::kNone);

  // R3. kNotPermitted: no capability of this holder has the token, whether it exists or not.
  absl::StatusOr<const Capability*> FindByToken(const Token& token, ProcessId holder) const;
  // As FindByToken, for the holder or for who granted it (the holder of its parent): who may revoke
  // it.
  absl::StatusOr<const Capability*> FindRevocable(const Token& token, ProcessId by) const;
  // The owner's capability, null when the object is not there.
  const Capability* FindRoot(ObjectRef object) const;
  // Null for one that never was or is dead.
  const Capability* Find(CapabilityId id) const;
  bool IsLive(CapabilityId id) const { return by_id_.contains(id); }

  // Kills it and all made from it; returns their ids, parents first. Empty on one that is dead.
  std::vector<CapabilityId> Kill(CapabilityId id);
  // R8: kills all of a process, and so all that it granted.
  std::vector<CapabilityId> KillHolder(ProcessId holder);
  // Kills what others granted to a process; what it owns stays.
  std::vector<CapabilityId> KillGrantsTo(ProcessId holder);
  // Kills all over an object that has ended.
  std::vector<CapabilityId> KillObject(ObjectRef object);

  size_t live_count() const { return by_id_.size(); }
  void CheckInvariants() const;

 private:
  friend class CapabilityTableTestAccess;
  Capability& Add(CapabilityId id, ObjectRef object, ProcessId holder, const Extent& extent);
  std::vector<CapabilityId> HeldBy(ProcessId holder) const;  // by id
  void Detach(Capability& child);                            // from its parent, in O(1)

  absl::flat_hash_map<CapabilityId, std::unique_ptr<Capability>> by_id_;
  absl::flat_hash_map<Token, Capability*> by_token_;
  absl::flat_hash_map<ObjectRef, Capability*> roots_;
  absl::flat_hash_map<ProcessId, absl::flat_hash_set<CapabilityId>> by_holder_;
  absl::flat_hash_map<ProcessId, size_t> granted_by_;  // how many live, none of them 0
  uint64_t next_id_;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_CAPABILITY_H_
