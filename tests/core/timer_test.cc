// The heap of timers beside a sorted list.
#include "kernel-sim/core/timer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <limits>

#include "tests/core/death.h"
#include "tests/core/drive.h"

namespace parley {

class TimerQueueTestAccess {
 public:
  static void Misplace(TimerQueue& queue) { std::swap(queue.heap_[0], queue.heap_[1]); }
  static void Disorder(TimerQueue& queue) {
    TimerNode* first = queue.heap_[0];
    queue.Place(queue.heap_[1], 0);
    queue.Place(first, 1);
  }
};

namespace {

using tests::Choices;
using tests::Size;

class TimerRig {
 public:
  TimerRig(Size size, Choices&)
      : nodes_(size == Size::kSmall ? 3 : 40), instants_(size == Size::kSmall ? 2 : 16) {}

  void Step(Choices& choices) {
    const uint32_t what = choices.Below(4);
    const size_t at = choices.Below(static_cast<uint32_t>(nodes_.size()));
    if (what < 2) {
      Arm(at, choices.Below(instants_));
    } else if (what == 2) {
      queue_.Disarm(nodes_[at]);
      Forget(at);
    } else {
      Pop(choices);
    }
    Compare();
  }

 private:
  struct Armed {
    size_t node;
    int64_t due_ns;
  };

  void Forget(size_t at) {
    std::erase_if(armed_, [&](const Armed& armed) { return armed.node == at; });
  }
  void Arm(size_t at, int64_t due_ns) {
    queue_.Arm(nodes_[at], due_ns);
    Forget(at);
    armed_.insert(std::find_if(armed_.begin(), armed_.end(),
                               [&](const Armed& armed) { return armed.due_ns > due_ns; }),
                  {at, due_ns});
  }
  void Pop(Choices& choices) {
    const int64_t now_ns = choices.Below(instants_);
    const size_t due = std::count_if(armed_.begin(), armed_.end(),
                                     [&](const Armed& armed) { return armed.due_ns <= now_ns; });
    REQUIRE(queue_.CountDueAt(now_ns) == due);
    if (due == 0) return;
    const size_t index = choices.Below(static_cast<uint32_t>(due));
    REQUIRE(&queue_.PopDueAt(now_ns, index) == &nodes_[armed_[index].node]);
    Forget(armed_[index].node);
  }
  void Compare() const {
    queue_.CheckInvariants();
    REQUIRE(queue_.size() == armed_.size());
    REQUIRE(queue_.NextDue() == (armed_.empty() ? kNever : armed_[0].due_ns));
    size_t armed = 0;
    for (const TimerNode& node : nodes_) armed += node.armed() ? 1 : 0;
    REQUIRE(armed == armed_.size());
    for (const Armed& expected : armed_) {
      REQUIRE(nodes_[expected.node].armed());
      REQUIRE(nodes_[expected.node].due_ns() == expected.due_ns);
    }
  }

  std::deque<TimerNode> nodes_;
  const uint32_t instants_;
  TimerQueue queue_;
  std::vector<Armed> armed_;  // earliest first, first armed first among equals
};

TEST_CASE("core: timers behave as a sorted list under a million random operations") {
  tests::DriveAtRandom<TimerRig>();
}

TEST_CASE("core: timers behave as a sorted list in every sequence of four operations") {
  tests::DriveThroughAll<TimerRig>(4);
}

TEST_CASE("core: a timer that is armed again is the last among its new equals") {
  TimerQueue queue;
  TimerNode first, second;
  queue.Arm(first, 5);
  queue.Arm(second, 5);
  queue.Arm(first, 5);
  CHECK(queue.size() == 2);
  CHECK(&queue.PopDueAt(5, 0) == &second);
  CHECK(&queue.PopDueAt(5, 0) == &first);
}

TEST_CASE("core: timers take the earliest and the latest instants there are") {
  TimerQueue queue;
  TimerNode never, past;
  queue.Arm(never, kNever);
  queue.Arm(past, std::numeric_limits<int64_t>::min());
  CHECK(queue.NextDue() == std::numeric_limits<int64_t>::min());
  CHECK(queue.CountDueAt(kNever - 1) == 1);
  CHECK(&queue.PopDueAt(0, 0) == &past);
  CHECK(queue.NextDue() == kNever);
}

TEST_CASE("core: the checker of timers sees a wrong order and a wrong place") {
  TimerQueue queue;
  TimerNode first, second;
  queue.Arm(first, 1);
  queue.Arm(second, 2);
  CHECK_FALSE(tests::BreaksAnInvariant([&] { queue.CheckInvariants(); }));
  CHECK(tests::BreaksAnInvariant([&] {
    TimerQueueTestAccess::Misplace(queue);
    queue.CheckInvariants();
  }));
  CHECK(tests::BreaksAnInvariant([&] {
    TimerQueueTestAccess::Disorder(queue);
    queue.CheckInvariants();
  }));
  CHECK(tests::BreaksAnInvariant([&] { queue.PopDueAt(0, 0); }));
}

}  // namespace
}  // namespace parley
