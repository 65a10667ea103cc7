// Who waits for whom, and the circles in it (L4).
#ifndef PARLEY_KERNEL_SIM_CORE_WAITS_FOR_H_
#define PARLEY_KERNEL_SIM_CORE_WAITS_FOR_H_

#include <vector>

#include "kernel-sim/core/ids.h"

namespace parley {

// Whether `waiter`, if it now waited for `target`, would close a circle in which each thread waits
// for exactly one other. `next(thread)` is the only thread that could free a blocked one, kNone
// where it is not blocked or several could. Returns the circle from `waiter` on, each followed by
// the one it waits for; empty without one. O(length).
//
// A circle that does not pass through `waiter` (a pool of servers that has shrunk can leave one) is
// not reported: the walk notices that it comes by a marked thread again.
template <typename Next>
std::vector<ThreadId> FindCycle(ThreadId waiter, ThreadId target, Next next) {
  std::vector<ThreadId> cycle = {waiter};
  ThreadId marked = ThreadId::kNone;
  for (ThreadId at = target; at != waiter; at = next(at)) {
    if (at == ThreadId::kNone || at == marked) return {};
    cycle.push_back(at);
    if ((cycle.size() & (cycle.size() - 1)) == 0) marked = at;  // at lengths 2, 4, 8, ...
  }
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
