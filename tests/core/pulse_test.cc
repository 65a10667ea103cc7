// The table of queued pulses beside a plain list of them.
#include "kernel-sim/core/pulse.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "tests/core/death.h"
#include "tests/core/drive.h"

namespace parley {

class PulseTableTestAccess {
 public:
  static void Miscount(PulseTable& table, PulseSource source) { ++table.queued_by_[source]; }
  static void Leak(PulseTable& table) { table.pulses_.emplace_back(); }
};

namespace {

using Kind = PulseSource::Kind;
using Outcome = PulseTable::Outcome;
using tests::Choices;
using tests::Size;

struct Expected {
  size_t source;
  uint8_t code;
  uint64_t value;
  int priority;
  uint32_t count;
  const Pulse* pulse;
  bool SameAs(const Expected& other) const {
    return source == other.source && code == other.code && value == other.value &&
           priority == other.priority;
  }
};

struct SourceRow {
  PulseSource source;
  uint64_t badge;
  size_t quota;
};
constexpr std::array<SourceRow, 4> kSources = {{{{Kind::kConnection, 1}, 77, 2},
                                                {{Kind::kKernel, 1}, 0, PulseTable::kNoQuota},
                                                {{Kind::kConnection, 2}, 88, 3},
                                                {{Kind::kEvent, 1}, 0, 1}}};

class PulseRig {
 public:
  PulseRig(Size size, Choices&) : spread_(size == Size::kSmall ? 2 : 4) {}

  void Step(Choices& choices) {
    const uint32_t what = choices.Below(4);
    if (what < 2) {
      Offer(Draw(choices));
    } else if (what == 2 && !queued_.empty()) {
      Take(choices.Below(static_cast<uint32_t>(queued_.size())));
    } else {
      Withdraw(Draw(choices));
    }
    Compare();
  }

 private:
  Expected Draw(Choices& choices) const {
    const size_t source = choices.Below(spread_);
    const uint64_t value = choices.Below(2);
    if (spread_ == 2) return {source, 1, value, 10, 1, nullptr};
    const auto code = static_cast<uint8_t>(choices.Below(2) * 127);
    const int priority = choices.Below(2) == 0 ? kMinPriority : kMaxPriority;
    return {source, code, value, priority, 1, nullptr};
  }
  auto Find(const Expected& wanted) {
    return std::find_if(queued_.begin(), queued_.end(),
                        [&](const Expected& other) { return other.SameAs(wanted); });
  }
  size_t QueuedBy(size_t source) const {
    return std::count_if(queued_.begin(), queued_.end(),
                         [&](const Expected& other) { return other.source == source; });
  }

  void Offer(Expected wanted) {
    const SourceRow& row = kSources[wanted.source];
    const auto offered =
        table_.Offer(row.source, wanted.code, wanted.value, wanted.priority, row.badge, row.quota);
    const auto same = Find(wanted);
    if (same != queued_.end()) {
      REQUIRE(offered.outcome == Outcome::kCoalesced);
      REQUIRE(offered.pulse == same->pulse);
      ++same->count;
    } else if (QueuedBy(wanted.source) >= row.quota) {
      REQUIRE(offered.outcome == Outcome::kRefused);
      REQUIRE(offered.pulse == nullptr);
    } else {
      REQUIRE(offered.outcome == Outcome::kQueued);
      REQUIRE(offered.pulse->badge == row.badge);
      wanted.pulse = offered.pulse;
      queued_.push_back(wanted);
    }
  }

  void Take(size_t at) {
    const Expected taken = queued_[at];
    Pulse* found = FindInTable(taken);
    REQUIRE(found == taken.pulse);
    table_.Take(*found);
    queued_.erase(queued_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void Withdraw(const Expected& wanted) {
    Pulse* found = FindInTable(wanted);
    const auto same = Find(wanted);
    REQUIRE(found == (same == queued_.end() ? nullptr : same->pulse));
    if (found == nullptr) return;
    table_.Take(*found);
    queued_.erase(same);
  }

  Pulse* FindInTable(const Expected& pulse) const {
    return table_.Find(kSources[pulse.source].source, pulse.code, pulse.value, pulse.priority);
  }

  void Compare() const {
    table_.CheckInvariants();
    REQUIRE(table_.queued() == queued_.size());
    for (const Expected& expected : queued_) {
      const Pulse& pulse = *expected.pulse;
      REQUIRE(pulse.count == expected.count);
      REQUIRE(pulse.value == expected.value);
      REQUIRE(pulse.code == expected.code);
      REQUIRE(pulse.priority == expected.priority);
      REQUIRE(pulse.source == kSources[expected.source].source);
    }
    for (size_t i = 0; i < kSources.size(); ++i) {
      if (kSources[i].quota == PulseTable::kNoQuota) continue;
      REQUIRE(table_.queued_by(kSources[i].source) == QueuedBy(i));
    }
  }

  const uint32_t spread_;
  PulseTable table_;
  std::vector<Expected> queued_;
};

TEST_CASE("core: queued pulses behave as a plain list under a million random operations") {
  tests::DriveAtRandom<PulseRig>();
}

TEST_CASE("core: queued pulses behave as a plain list in every sequence of four operations") {
  tests::DriveThroughAll<PulseRig>(4);
}

TEST_CASE("core: identical pulses coalesce and take the quota once") {
  PulseTable table;
  const PulseSource source{Kind::kConnection, 5};
  Pulse* first = table.Offer(source, 3, 9, 20, 1, 1).pulse;
  REQUIRE(first != nullptr);
  for (int i = 0; i < 9; ++i) CHECK(table.Offer(source, 3, 9, 20, 1, 1).pulse == first);
  CHECK(first->count == 10);
  CHECK(table.Offer(source, 3, 9, 21, 1, 1).outcome == Outcome::kRefused);
  table.Take(*first);
  CHECK(table.Offer(source, 3, 9, 21, 1, 1).outcome == Outcome::kQueued);
}

TEST_CASE("core: the count of a pulse stops at the largest number instead of turning to zero") {
  PulseTable table;
  Pulse* pulse = table.Offer({}, 1, 1, 1, 0, PulseTable::kNoQuota).pulse;
  pulse->count = ~uint32_t{0};
  table.Offer({}, 1, 1, 1, 0, PulseTable::kNoQuota);
  CHECK(pulse->count == ~uint32_t{0});
}

TEST_CASE("core: the memory of a taken pulse is used again") {
  PulseTable table;
  Pulse* first = table.Offer({}, 1, 1, 1, 0, PulseTable::kNoQuota).pulse;
  table.Take(*first);
  CHECK(table.Offer({}, 2, 2, 2, 0, PulseTable::kNoQuota).pulse == first);
}

TEST_CASE("core: the checker of pulses sees each broken invariant, and a queued one is not taken") {
  PulseTable table;
  const PulseSource source{Kind::kConnection, 5};
  Pulse* pulse = table.Offer(source, 1, 1, 1, 0, 4).pulse;
  const auto breaks = [&](auto harm) {
    return tests::BreaksAnInvariant([&] {
      harm();
      table.CheckInvariants();
    });
  };
  CHECK_FALSE(breaks([] {}));
  CHECK(breaks([&] { pulse->value = 2; }));
  CHECK(breaks([&] { pulse->count = 0; }));
  CHECK(breaks([&] { PulseTableTestAccess::Miscount(table, source); }));
  CHECK(breaks([&] { PulseTableTestAccess::Leak(table); }));
  Channel channel(false);
  channel.Push(*pulse, 1);
  CHECK(tests::BreaksAnInvariant([&] { table.Take(*pulse); }));
}

}  // namespace
}  // namespace parley
