// The naive model of a priority queue: a list in the order in which its members leave.
#ifndef PARLEY_TESTS_CORE_ORDER_MODEL_H_
#define PARLEY_TESTS_CORE_ORDER_MODEL_H_

#include <algorithm>
#include <cstddef>
#include <vector>

namespace tests {

struct Ranked {
  size_t member;
  int level;
};

class OrderModel {
 public:
  const std::vector<Ranked>& order() const { return order_; }
  bool empty() const { return order_.empty(); }
  bool Has(size_t member) const { return Find(member) != order_.end(); }
  int LevelOf(size_t member) const { return Find(member)->level; }

  void PushBack(size_t member, int level) {
    order_.insert(std::find_if(order_.begin(), order_.end(),
                               [&](const Ranked& other) { return other.level < level; }),
                  {member, level});
  }
  void PushFront(size_t member, int level) {
    order_.insert(std::find_if(order_.begin(), order_.end(),
                               [&](const Ranked& other) { return other.level <= level; }),
                  {member, level});
  }
  // Before the first of its level for which goes_after(member) holds.
  template <typename GoesAfter>
  void PushOrdered(size_t member, int level, GoesAfter goes_after) {
    order_.insert(std::find_if(order_.begin(), order_.end(),
                               [&](const Ranked& other) {
                                 return other.level < level ||
                                        (other.level == level && goes_after(other.member));
                               }),
                  {member, level});
  }
  void Remove(size_t member) { order_.erase(Find(member)); }

 private:
  std::vector<Ranked>::const_iterator Find(size_t member) const {
    return std::find_if(order_.begin(), order_.end(),
                        [&](const Ranked& other) { return other.member == member; });
  }
  std::vector<Ranked> order_;
};

}  // namespace tests

#endif  // PARLEY_TESTS_CORE_ORDER_MODEL_H_
