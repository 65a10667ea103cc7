// Timers: what is due when (D1, U5), earliest first, first armed first among equals.
//
// Intrusive: the owner embeds a TimerNode, keeps it in place while it is armed, and disarms it
// before it dies. A 4-ary heap: Arm, Disarm and PopDueAt are O(log n), NextDue is O(1). Not
// thread-safe; knows no clock.
//
// Invariants:
//   1. A node is armed exactly when it is in the heap, and knows its place there.
//   2. No node is before its parent in (due, order of arming).
#ifndef PARLEY_KERNEL_SIM_CORE_TIMER_H_
#define PARLEY_KERNEL_SIM_CORE_TIMER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel-sim/core/bounds.h"

namespace parley {

class TimerNode {
 public:
  TimerNode() = default;
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;

  bool armed() const { return position_ != kNotArmed; }
  int64_t due_ns() const { return due_ns_; }  // while armed

 private:
  friend class TimerQueue;
  static constexpr size_t kNotArmed = ~size_t{0};
  int64_t due_ns_ = 0;
  uint64_t order_ = 0;
  size_t position_ = kNotArmed;
};

class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  size_t size() const { return heap_.size(); }
  // When the earliest is due, kNever without one.
  int64_t NextDue() const { return heap_.empty() ? kNever : heap_[0]->due_ns_; }

  // Arms for `due_ns`; an armed node is re-armed, and is the last among its new equals.
  void Arm(TimerNode& node, int64_t due_ns);
  // Does nothing on a node that is not armed.
  void Disarm(TimerNode& node);
  // How many are due at `now_ns` or before.
  size_t CountDueAt(int64_t now_ns) const;
  // Takes out the index-th of those, in their order. REQUIRES: index < CountDueAt(now_ns).
  TimerNode& PopDueAt(int64_t now_ns, size_t index);

  void CheckInvariants() const;

 private:
  friend class TimerQueueTestAccess;
  static constexpr size_t kFanOut = 4;
  static bool Before(const TimerNode& a, const TimerNode& b) {
    return a.due_ns_ != b.due_ns_ ? a.due_ns_ < b.due_ns_ : a.order_ < b.order_;
  }
  void Place(TimerNode* node, size_t position) {
    heap_[position] = node;
    node->position_ = position;
  }
  void SiftUp(size_t position);
  void SiftDown(size_t position);
  // Those due at `now_ns`, in no order: they are a connected top part of the heap.
  void CollectDue(int64_t now_ns, std::vector<TimerNode*>& due) const;

  std::vector<TimerNode*> heap_;
  uint64_t next_order_ = 0;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_TIMER_H_
