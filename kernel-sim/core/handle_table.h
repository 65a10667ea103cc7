// The handles of one kind that one process holds: small numbers that stand for kernel objects.
//
// A handle is an index and a generation, so that one that was closed does not come back as another
// object soon. Invariant: an index is in the free list exactly when its object is null.
#ifndef PARLEY_KERNEL_SIM_CORE_HANDLE_TABLE_H_
#define PARLEY_KERNEL_SIM_CORE_HANDLE_TABLE_H_

#include <cstdint>
#include <vector>

#include "kernel-sim/core/bounds.h"
#include "kernel-sim/core/ids.h"

namespace parley {

template <typename Handle, typename Object>
class HandleTable {
 public:
  bool full() const { return free_.empty() && entries_.size() == kMaxHandlesPerProcess; }

  // REQUIRES: !full().
  Handle Add(Object* object) {
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(entries_.size()));
      entries_.push_back({});
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    entries_[index].object = object;
    return Handle{entries_[index].generation << kIndexBits | index};
  }

  // Null for a handle that this table never gave out or that has been closed.
  Object* Find(Handle handle) const {
    const uint32_t index = Raw(handle) & kIndexMask;
    if (index >= entries_.size() || entries_[index].generation != Raw(handle) >> kIndexBits) {
      return nullptr;
    }
    return entries_[index].object;
  }

  // Takes the object out; null as Find.
  Object* Remove(Handle handle) {
    Object* object = Find(handle);
    if (object == nullptr) return nullptr;
    const uint32_t index = Raw(handle) & kIndexMask;
    entries_[index].object = nullptr;
    entries_[index].generation = entries_[index].generation % kMaxGeneration + 1;
    free_.push_back(index);
    return object;
  }

  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Entry& entry : entries_) {
      if (entry.object != nullptr) visit(*entry.object);
    }
  }

 private:
  static constexpr uint32_t kIndexBits = 20;
  static constexpr uint32_t kIndexMask = (1u << kIndexBits) - 1;
  static constexpr uint32_t kMaxGeneration = (1u << (32 - kIndexBits)) - 1;
  static_assert(kMaxHandlesPerProcess == 1u << kIndexBits);

  struct Entry {
    Object* object = nullptr;
    uint32_t generation = 1;  // never 0, so that no handle is 0
  };
  std::vector<Entry> entries_;
  std::vector<uint32_t> free_;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_HANDLE_TABLE_H_
