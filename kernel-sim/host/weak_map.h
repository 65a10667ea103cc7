// What is shared while somebody uses it, found by its key. Entries whose objects have gone are
// dropped now and then, so that the map is never much larger than what lives; adding is O(1), over
// time.
#ifndef PARLEY_KERNEL_SIM_HOST_WEAK_MAP_H_
#define PARLEY_KERNEL_SIM_HOST_WEAK_MAP_H_

#include <algorithm>
#include <cstddef>
#include <memory>

#include "absl/container/flat_hash_map.h"

namespace parley::host {

template <typename Key, typename T>
class WeakMap {
 public:
  // Null without one that lives.
  std::shared_ptr<T> Find(const Key& key) const {
    auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : found->second.lock();
  }
  void Add(const Key& key, const std::shared_ptr<T>& object) {
    entries_[key] = object;
    if (entries_.size() < sweep_at_) return;
    absl::erase_if(entries_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max(kFirstSweep, 2 * entries_.size());
  }
  void Remove(const Key& key) { entries_.erase(key); }
  size_t size() const { return entries_.size(); }  // those that have gone included

 private:
  static constexpr size_t kFirstSweep = 64;
  absl::flat_hash_map<Key, std::weak_ptr<T>> entries_;
  size_t sweep_at_ = kFirstSweep;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_WEAK_MAP_H_
