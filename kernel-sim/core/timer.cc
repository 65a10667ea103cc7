// The heap of timers.
#include "kernel-sim/core/timer.h"

#include <algorithm>

#include "kernel-sim/core/check.h"

namespace parley {

void TimerQueue::SiftUp(size_t position) {
  TimerNode* node = heap_[position];
  while (position > 0) {
    const size_t parent = (position - 1) / kFanOut;
    if (!Before(*node, *heap_[parent])) break;
    Place(heap_[parent], position);
    position = parent;
  }
  Place(node, position);
}

void TimerQueue::SiftDown(size_t position) {
  TimerNode* node = heap_[position];
  for (;;) {
    const size_t first = position * kFanOut + 1;
    if (first >= heap_.size()) break;
    size_t best = first;
    const size_t end = std::min(first + kFanOut, heap_.size());
    for (size_t child = first + 1; child < end; ++child) {
      if (Before(*heap_[child], *heap_[best])) best = child;
    }
    if (!Before(*heap_[best], *node)) break;
    Place(heap_[best], position);
    position = best;
  }
  Place(node, position);
}

void TimerQueue::Arm(TimerNode& node, int64_t due_ns) {
  Disarm(node);
  node.due_ns_ = due_ns;
  node.order_ = next_order_++;
  heap_.push_back(&node);
  node.position_ = heap_.size() - 1;
  SiftUp(heap_.size() - 1);
}

void TimerQueue::Disarm(TimerNode& node) {
  if (!node.armed()) return;
  const size_t position = node.position_;
  PARLEY_CHECK(position < heap_.size() && heap_[position] == &node);
  TimerNode* last = heap_.back();
  heap_.pop_back();
  node.position_ = TimerNode::kNotArmed;
  if (last == &node) return;
  Place(last, position);
  SiftUp(position);
  SiftDown(last->position_);
}

void TimerQueue::CollectDue(int64_t now_ns, std::vector<TimerNode*>& due) const {
  std::vector<size_t> open = {0};
  while (!open.empty()) {
    const size_t position = open.back();
    open.pop_back();
    if (position >= heap_.size() || heap_[position]->due_ns_ > now_ns) continue;
    due.push_back(heap_[position]);
    for (size_t i = 1; i <= kFanOut; ++i) open.push_back(position * kFanOut + i);
  }
}

size_t TimerQueue::CountDueAt(int64_t now_ns) const {
  if (NextDue() > now_ns) return 0;
  std::vector<TimerNode*> due;
  CollectDue(now_ns, due);
  return due.size();
}

TimerNode& TimerQueue::PopDueAt(int64_t now_ns, size_t index) {
  PARLEY_CHECK(NextDue() <= now_ns);
  TimerNode* chosen = heap_[0];
  if (index > 0) {
    std::vector<TimerNode*> due;
    CollectDue(now_ns, due);
    PARLEY_CHECK(index < due.size());
    std::sort(due.begin(), due.end(),
              [](const TimerNode* a, const TimerNode* b) { return Before(*a, *b); });
    chosen = due[index];
  }
  Disarm(*chosen);
  return *chosen;
}

void TimerQueue::CheckInvariants() const {
  for (size_t i = 0; i < heap_.size(); ++i) {
    PARLEY_CHECK(heap_[i]->position_ == i);
    PARLEY_CHECK(i == 0 || !Before(*heap_[i], *heap_[(i - 1) / kFanOut]));
  }
}

}  // namespace parley
