// The level queue beside a sorted list.
#include "kernel-sim/core/level_queue.h"

#include <doctest/doctest.h>

#include <deque>

#include "tests/core/death.h"
#include "tests/core/drive.h"
#include "tests/core/order_model.h"

namespace parley {

class LevelQueueTestAccess {
 public:
  static void ForgetLevel(LevelQueue& queue, int level) { queue.heads_[level] = nullptr; }
  static void Miscount(LevelQueue& queue) { ++queue.size_; }
};

namespace {

using tests::Choices;
using tests::Size;

struct Numbered : LevelNode {
  explicit Numbered(size_t number) : number(number) {}
  const size_t number;
};

class LevelQueueRig {
 public:
  LevelQueueRig(Size size, Choices&)
      : levels_(size == Size::kSmall
                    ? std::vector<int>{63, 64}
                    : std::vector<int>{0, 1, 62, 63, 64, 127, 128, 191, 254, 255}) {
    for (size_t i = 0; i < (size == Size::kSmall ? 3 : 24); ++i) nodes_.emplace_back(i);
  }
  ~LevelQueueRig() {
    for (Numbered& node : nodes_) {
      if (node.queued()) queue_.Remove(node);
    }
  }

  void Step(Choices& choices) {
    Numbered& node = choices.OneOf(nodes_);
    if (node.queued()) {
      queue_.Remove(node);
      model_.Remove(node.number);
    } else {
      Push(node, choices.OneOf(levels_), choices.Below(3));
    }
    Compare();
  }

 private:
  void Push(Numbered& node, int level, uint32_t how) {
    const size_t number = node.number;
    if (how == 0) {
      queue_.PushBack(node, level);
      model_.PushBack(number, level);
    } else if (how == 1) {
      queue_.PushFront(node, level);
      model_.PushFront(number, level);
    } else {
      queue_.PushOrdered(node, level, [&](const LevelNode& other) {
        return static_cast<const Numbered&>(other).number > number;
      });
      model_.PushOrdered(number, level, [&](size_t other) { return other > number; });
    }
  }

  void Compare() const {
    queue_.CheckInvariants();
    const auto& order = model_.order();
    REQUIRE(queue_.size() == order.size());
    REQUIRE(queue_.HighestLevel() == (order.empty() ? -1 : order[0].level));
    if (order.empty()) {
      REQUIRE(queue_.Front() == nullptr);
    } else {
      REQUIRE(queue_.Front() == &nodes_[order[0].member]);
      REQUIRE(queue_.FrontOf(order[0].level) == queue_.Front());
    }
    size_t at = 0;
    bool same = true;
    queue_.ForEach([&](const LevelNode& node) {
      same = same && &node == &nodes_[order[at].member] && node.level == order[at].level;
      ++at;
    });
    REQUIRE(same);
    REQUIRE(at == order.size());
  }

  const std::vector<int> levels_;
  std::deque<Numbered> nodes_;
  LevelQueue queue_;
  tests::OrderModel model_;
};

TEST_CASE("core: a level queue behaves as a sorted list under a million random operations") {
  tests::DriveAtRandom<LevelQueueRig>();
}

TEST_CASE("core: a level queue behaves as a sorted list in every sequence of five operations") {
  tests::DriveThroughAll<LevelQueueRig>(5);
}

TEST_CASE("core: the checker of a level queue sees a lost level, a miscount and a broken link") {
  Numbered first(1), second(2);
  LevelQueue queue;
  queue.PushBack(first, 7);
  queue.PushBack(second, 7);
  CHECK_FALSE(tests::BreaksAnInvariant([&] { queue.CheckInvariants(); }));
  CHECK(tests::BreaksAnInvariant([&] {
    LevelQueueTestAccess::ForgetLevel(queue, 7);
    queue.CheckInvariants();
  }));
  CHECK(tests::BreaksAnInvariant([&] {
    LevelQueueTestAccess::Miscount(queue);
    queue.CheckInvariants();
  }));
  CHECK(tests::BreaksAnInvariant([&] {
    first.prev = &first;
    queue.CheckInvariants();
  }));
  CHECK(tests::BreaksAnInvariant([&] {
    second.level = 8;
    queue.CheckInvariants();
  }));
}

TEST_CASE("core: a node that is queued cannot be queued again, nor a free one removed") {
  Numbered node(0);
  LevelQueue queue, other;
  queue.PushBack(node, 1);
  CHECK(tests::BreaksAnInvariant([&] { other.PushBack(node, 1); }));
  queue.Remove(node);
  CHECK(tests::BreaksAnInvariant([&] { queue.Remove(node); }));
}

}  // namespace
}  // namespace parley
