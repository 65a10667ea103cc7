// Who waits for whom, and the circles in it (L4).
#ifndef PARLEY_KERNEL_SIM_CORE_WAITS_FOR_H_
#define PARLEY_KERNEL_SIM_CORE_WAITS_FOR_H_

#include <bit>
#include <cstddef>
#include <vector>

#include "kernel-sim/core/ids.h"

namespace parley {

// Whether `waiter`, if it now waited for `target`, would close a circle in which each thread waits
// for exactly one other. A Node names a thread and Node{} none; `next(thread)` is the only thread
// that could free a blocked one, none where it is not blocked or several could. Returns the circle
// from `waiter` on, each followed by the one it waits for; empty without one. O(length); allocates
// only for a circle.
//
// A circle that does not pass through `waiter` (a pool of servers that has shrunk can leave one) is
// not reported: the walk notices that it comes by a marked thread again.
template <typename Node, typename Next>
std::vector<Node> FindCycle(Node waiter, Node target, Next next) {
  size_t length = 1;
  Node marked{};
  for (Node at = target; at != waiter; at = next(at)) {
    if (at == Node{} || at == marked) return {};
    if (std::has_single_bit(++length)) marked = at;  // at lengths 2, 4, 8, ...
  }
  std::vector<Node> cycle = {waiter};
  cycle.reserve(length);
  for (Node at = target; at != waiter; at = next(at)) cycle.push_back(at);
  return cycle;
}

// One wait, for reports: `waiter` can be freed by any of `targets`.
struct WaitEdge {
  ThreadId waiter = ThreadId::kNone;
  std::vector<ThreadId> targets;
};

// All threads that nobody outside their number could free: the largest set of waiters whose targets
// all lie in the set. Sorted by id. A waiter without targets (nobody could ever free it) belongs to
// it. O(edges) times its depth.
std::vector<ThreadId> FindDeadlocked(const std::vector<WaitEdge>& edges);

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_WAITS_FOR_H_
