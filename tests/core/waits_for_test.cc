// Circles and deadlocked sets beside definitions tried one by one.
#include "kernel-sim/core/waits_for.h"

#include <doctest/doctest.h>

#include "tests/core/drive.h"

namespace parley {
namespace {

using tests::Choices;
using tests::Size;

ThreadId Id(uint32_t number) { return ThreadId{number}; }

// Random and all functional graphs: for each thread the only one that could free it, or none.
class CycleRig {
 public:
  CycleRig(Size size, Choices&) : threads_(size == Size::kSmall ? 4 : 12) {}

  void Step(Choices& choices) {
    std::vector<ThreadId> next(threads_ + 1, ThreadId::kNone);
    for (uint32_t i = 1; i <= threads_; ++i) next[i] = Id(choices.Below(threads_ + 1));
    const ThreadId waiter = Id(1);
    next[1] = ThreadId::kNone;  // it is not blocked yet
    const ThreadId target = Id(1 + choices.Below(threads_));
    const auto step = [&](ThreadId thread) { return next[Raw(thread)]; };
    REQUIRE(FindCycle(waiter, target, step) == Walk(waiter, target, next));
  }

 private:
  // At most as many steps as there are threads lead back, or none do.
  std::vector<ThreadId> Walk(ThreadId waiter, ThreadId target,
                             const std::vector<ThreadId>& next) const {
    std::vector<ThreadId> path = {waiter};
    ThreadId at = target;
    for (uint32_t i = 0; i <= threads_; ++i) {
      if (at == waiter) return path;
      if (at == ThreadId::kNone) return {};
      path.push_back(at);
      at = next[Raw(at)];
    }
    return {};
  }
  const uint32_t threads_;
};

// Any set of waiters is closed if each waits only for members; the deadlocked are their union.
class DeadlockRig {
 public:
  DeadlockRig(Size size, Choices&) : threads_(size == Size::kSmall ? 3 : 6) {}

  void Step(Choices& choices) {
    std::vector<WaitEdge> edges;
    std::vector<uint32_t> targets_of(threads_, 0);  // bit sets
    uint32_t waiters = 0;
    for (uint32_t i = 0; i < threads_; ++i) {
      if (choices.Below(4) == 0) continue;
      waiters |= uint32_t{1} << i;
      targets_of[i] = choices.Below(uint32_t{1} << threads_);
      // A sparse graph has more to tell.
      if (threads_ > 3) targets_of[i] &= choices.Below(uint32_t{1} << threads_);
      WaitEdge edge{Id(i + 1), {}};
      for (uint32_t j = 0; j < threads_; ++j) {
        if ((targets_of[i] >> j & 1) != 0) edge.targets.push_back(Id(j + 1));
      }
      edges.push_back(edge);
    }
    uint32_t stuck = 0;
    for (uint32_t set = 0; set < uint32_t{1} << threads_; ++set) {
      if ((set & ~waiters) == 0 && IsClosed(set, targets_of)) stuck |= set;
    }
    std::vector<ThreadId> expected;
    for (uint32_t i = 0; i < threads_; ++i) {
      if ((stuck >> i & 1) != 0) expected.push_back(Id(i + 1));
    }
    REQUIRE(FindDeadlocked(edges) == expected);
  }

 private:
  bool IsClosed(uint32_t set, const std::vector<uint32_t>& targets_of) const {
    for (uint32_t i = 0; i < threads_; ++i) {
      if ((set >> i & 1) != 0 && (targets_of[i] & ~set) != 0) return false;
    }
    return true;
  }
  const uint32_t threads_;
};

TEST_CASE("core: a circle is found exactly where walking leads back, in a million graphs") {
  tests::DriveAtRandom<CycleRig>();
}

TEST_CASE("core: a circle is found exactly where walking leads back, in every graph of four") {
  tests::DriveThroughAll<CycleRig>(1 + (PARLEY_TEST_SLOWDOWN > 1));
}

TEST_CASE("core: the deadlocked are the union of all closed sets, in a million graphs") {
  tests::DriveAtRandom<DeadlockRig>();
}

TEST_CASE("core: the deadlocked are the union of all closed sets, in every graph of three") {
  tests::DriveThroughAll<DeadlockRig>(1 + (PARLEY_TEST_SLOWDOWN > 1));
}

TEST_CASE("core: a thread that waits for itself is a circle of one") {
  const auto none = [](ThreadId) { return ThreadId::kNone; };
  CHECK(FindCycle(Id(4), Id(4), none) == std::vector<ThreadId>{Id(4)});
}

TEST_CASE("core: a circle is named from the waiter on, each before the one it waits for") {
  const auto next = [](ThreadId at) { return at == Id(2) ? Id(3) : Id(1); };
  CHECK(FindCycle(Id(1), Id(2), next) == std::vector<ThreadId>{Id(1), Id(2), Id(3)});
}

TEST_CASE("core: a long chain ends, and a circle beside the waiter is not its own") {
  constexpr uint32_t kLength = 100'000;
  const auto chain = [](ThreadId at) {
    return Raw(at) < kLength ? Id(Raw(at) + 1) : ThreadId::kNone;
  };
  CHECK(FindCycle(Id(kLength + 1), Id(1), chain).empty());
  const auto tail = [](ThreadId at) { return Raw(at) < kLength ? Id(Raw(at) + 1) : Id(7); };
  CHECK(FindCycle(Id(kLength + 1), Id(1), tail).empty());
}

TEST_CASE("core: a waiter that one free thread could free is not deadlocked, nor who waits on it") {
  const std::vector<WaitEdge> edges = {
      {Id(1), {Id(2), Id(9)}}, {Id(2), {Id(1)}}, {Id(3), {Id(4)}}, {Id(4), {Id(3)}}};
  CHECK(FindDeadlocked(edges) == std::vector<ThreadId>{Id(3), Id(4)});
}

}  // namespace
}  // namespace parley
