// Objects found by the capability that they rest on, to end with it (R7).
//
// Invariant: an object is listed under one capability at most, and never under a dead one after
// Take.
#ifndef PARLEY_KERNEL_SIM_SIM_CAPABILITY_INDEX_H_
#define PARLEY_KERNEL_SIM_SIM_CAPABILITY_INDEX_H_

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "kernel-sim/core/ids.h"

namespace parley::sim {

template <typename Object>
class CapabilityIndex {
 public:
  using Objects = absl::InlinedVector<Object*, 1>;  // most capabilities carry one

  void Add(CapabilityId capability, Object& object) { objects_[capability].push_back(&object); }

  // Does nothing when it is not listed there (any more).
  void Remove(CapabilityId capability, Object& object) {
    auto found = objects_.find(capability);
    if (found == objects_.end()) return;
    Objects& objects = found->second;
    objects.erase(std::remove(objects.begin(), objects.end(), &object), objects.end());
    if (objects.empty()) objects_.erase(found);
  }

  // All that rest on it, oldest first; they are listed no longer.
  Objects Take(CapabilityId capability) {
    auto node = objects_.extract(capability);
    return node.empty() ? Objects() : std::move(node.mapped());
  }

 private:
  absl::flat_hash_map<CapabilityId, Objects> objects_;
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_CAPABILITY_INDEX_H_
