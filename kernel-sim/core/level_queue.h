// A queue of 256 priority levels, first in first out within a level, every operation O(1).
//
// Intrusive: the owner of a node embeds it, keeps it alive and in place while it is queued, and
// removes it before it dies. Not thread-safe.
//
// Invariants:
//   1. A node is in at most one queue; `queued()` tells whether it is in one.
//   2. `levels_` holds exactly the levels that hold a node.
//   3. Each level is a circular list: the head's `prev` is its tail.
//   4. size() is the number of nodes over all levels.
#ifndef PARLEY_KERNEL_SIM_CORE_LEVEL_QUEUE_H_
#define PARLEY_KERNEL_SIM_CORE_LEVEL_QUEUE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernel-sim/core/bounds.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/core/level_set.h"

namespace parley {

struct LevelNode {
  LevelNode* next = nullptr;
  LevelNode* prev = nullptr;
  uint8_t level = 0;

  LevelNode() = default;
  LevelNode(const LevelNode&) = delete;
  LevelNode& operator=(const LevelNode&) = delete;
  bool queued() const { return next != nullptr; }
};

class LevelQueue {
 public:
  LevelQueue() = default;
  LevelQueue(const LevelQueue&) = delete;
  LevelQueue& operator=(const LevelQueue&) = delete;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  // The highest level that holds a node, -1 when empty.
  int HighestLevel() const { return levels_.Highest(); }

  // The longest queued node of the highest level, null when empty.
  LevelNode* Front() const {
    const int level = HighestLevel();
    return level < 0 ? nullptr : heads_[level];
  }

  // The longest queued node of `level`, null when it holds none.
  LevelNode* FrontOf(int level) const { return heads_[level]; }

  void PushBack(LevelNode& node, int level) {
    PARLEY_CHECK(!node.queued());
    node.level = static_cast<uint8_t>(level);
    LevelNode* head = heads_[level];
    if (head == nullptr) {
      node.next = node.prev = &node;
      heads_[level] = &node;
      levels_.Add(level);
    } else {
      LinkBefore(*head, node);
    }
    ++size_;
  }

  void PushFront(LevelNode& node, int level) {
    PushBack(node, level);
    heads_[level] =
        &node;  // the list is circular: the tail, taken as head, is in front of the old head
  }

  // Puts `node` before the first node of its level for which `goes_after` holds, at the tail
  // without one.
  template <typename GoesAfter>
  void PushOrdered(LevelNode& node, int level, GoesAfter goes_after) {
    LevelNode* head = heads_[level];
    if (head == nullptr) return PushBack(node, level);
    if (goes_after(*head)) return PushFront(node, level);
    for (LevelNode* other = head->next; other != head; other = other->next) {
      if (!goes_after(*other)) continue;
      PARLEY_CHECK(!node.queued());
      node.level = static_cast<uint8_t>(level);
      LinkBefore(*other, node);
      ++size_;
      return;
    }
    PushBack(node, level);
  }

  void Remove(LevelNode& node) {
    PARLEY_CHECK(node.queued());
    const int level = node.level;
    if (node.next == &node) {
      heads_[level] = nullptr;
      levels_.Remove(level);
    } else {
      node.prev->next = node.next;
      node.next->prev = node.prev;
      if (heads_[level] == &node) heads_[level] = node.next;
    }
    node.next = node.prev = nullptr;
    --size_;
  }

  // Calls visit(node) for each node, highest level first, FIFO within a level. The visitor must not
  // change the queue.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (int level = kPriorityLevels - 1; level >= 0; --level) {
      LevelNode* head = heads_[level];
      if (head == nullptr) continue;
      LevelNode* node = head;
      do {
        visit(*node);
        node = node->next;
      } while (node != head);
    }
  }

  void CheckInvariants() const {
    size_t count = 0;
    int highest = -1;
    for (int level = 0; level < kPriorityLevels; ++level) {
      PARLEY_CHECK(levels_.Contains(level) == (heads_[level] != nullptr));
      if (heads_[level] == nullptr) continue;
      highest = level;
      const LevelNode* node = heads_[level];
      do {
        PARLEY_CHECK(node->level == level && node->next->prev == node);
        ++count;
        node = node->next;
      } while (node != heads_[level]);
    }
    PARLEY_CHECK(count == size_ && highest == levels_.Highest());
  }

 private:
  friend class LevelQueueTestAccess;
  static void LinkBefore(LevelNode& other, LevelNode& node) {
    node.next = &other;
    node.prev = other.prev;
    other.prev->next = &node;
    other.prev = &node;
  }

  LevelSet levels_;
  std::array<LevelNode*, kPriorityLevels> heads_ = {};
  size_t size_ = 0;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_LEVEL_QUEUE_H_
