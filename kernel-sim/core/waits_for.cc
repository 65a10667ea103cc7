// The set of threads that only each other could free.
#include "kernel-sim/core/waits_for.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"

namespace parley {

std::vector<ThreadId> FindDeadlocked(const std::vector<WaitEdge>& edges) {
  absl::flat_hash_set<ThreadId> stuck;
  for (const WaitEdge& edge : edges) stuck.insert(edge.waiter);
  for (bool again = true; again;) {
    again = false;
    for (const WaitEdge& edge : edges) {
      const bool freed = std::any_of(edge.targets.begin(), edge.targets.end(),
                                     [&](ThreadId target) { return !stuck.contains(target); });
      if (freed && stuck.erase(edge.waiter) > 0) again = true;
    }
  }
  std::vector<ThreadId> sorted(stuck.begin(), stuck.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace parley
