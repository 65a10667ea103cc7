// A channel beside two sorted lists.
#include "kernel-sim/core/channel.h"

#include <doctest/doctest.h>

#include <deque>

#include "kernel-sim/core/thread.h"
#include "tests/core/death.h"
#include "tests/core/drive.h"
#include "tests/core/order_model.h"

namespace parley {

class ChannelTestAccess {
 public:
  static void MiscountMessages(Channel& channel, int level) { ++channel.message_counts_[level]; }
  static void HideMessages(Channel& channel, int level) { channel.message_levels_.Remove(level); }
  static void ListTwice(Channel& channel) { channel.servers_.push_back(channel.servers_.front()); }
};

namespace {

using tests::Choices;
using tests::Ranked;
using tests::Size;

class ChannelRig {
 public:
  ChannelRig(Size size, Choices&)
      : size_(size),
        levels_(size == Size::kSmall ? std::vector<int>{10, 20}
                                     : std::vector<int>{1, 2, 63, 64, 65, 127, 128, 254, 255}) {
    const size_t count = size == Size::kSmall ? 3 : 16;
    for (size_t i = 0; i < count; ++i) {
      entries_.emplace_back(i % 3 == 2 ? QueueEntry::Kind::kPulse : QueueEntry::Kind::kMessage);
    }
    receivers_.resize(size == Size::kSmall ? 2 : 8);
    since_.resize(receivers_.size());
    const uint32_t threads = size == Size::kSmall ? 1 : 3;
    for (uint32_t i = 1; i <= threads; ++i) threads_.emplace_back(ThreadId{i}, 10);
  }
  ~ChannelRig() {
    for (QueueEntry& entry : entries_) {
      if (entry.queued()) channel_.Remove(entry);
    }
    for (ReceiverEntry& receiver : receivers_) {
      if (receiver.queued()) channel_.RemoveReceiver(receiver);
    }
  }

  void Step(Choices& choices) {
    if (size_ == Size::kLarge && choices.Below(50) == 0) return Drain();
    const uint32_t what = choices.Below(3);
    if (what == 0) {
      StepServers(choices);
    } else if (queued_.empty() && (what == 1 || !waiting_.empty())) {
      StepReceivers(choices);
    } else {
      StepEntries(choices);
    }
    Compare();
  }

 private:
  // Receives all, in order.
  void Drain() {
    for (; channel_.Front() != nullptr; Compare()) {
      queued_.Remove(queued_.order()[0].member);
      channel_.Remove(*channel_.Front());
    }
    for (; channel_.FrontReceiver() != nullptr; Compare()) {
      waiting_.Remove(waiting_.order()[0].member);
      channel_.RemoveReceiver(*channel_.FrontReceiver());
    }
  }

  void StepEntries(Choices& choices) {
    const size_t at = choices.Below(static_cast<uint32_t>(entries_.size()));
    const int level = choices.OneOf(levels_);
    if (!entries_[at].queued()) {
      channel_.Push(entries_[at], level);
      queued_.PushBack(at, level);
      return;
    }
    queued_.Remove(at);
    if (choices.Below(2) == 0) {
      channel_.Remove(entries_[at]);
    } else {
      channel_.Relevel(entries_[at], level);
      queued_.PushBack(at, level);
    }
  }

  void StepReceivers(Choices& choices) {
    const size_t at = choices.Below(static_cast<uint32_t>(receivers_.size()));
    const int level = choices.OneOf(levels_);
    if (!receivers_[at].queued()) {
      channel_.AddReceiver(receivers_[at], level);
      waiting_.PushBack(at, level);
      since_[at] = ++now_;
      return;
    }
    waiting_.Remove(at);
    if (choices.Below(2) == 0) {
      channel_.RemoveReceiver(receivers_[at]);
    } else {
      channel_.RelevelReceiver(receivers_[at], level);
      waiting_.PushOrdered(at, level, [&](size_t other) { return since_[other] > since_[at]; });
    }
  }

  void StepServers(Choices& choices) {
    Thread& thread = choices.OneOf(threads_);
    if (choices.Below(2) == 0) {
      channel_.AddServer(thread);
      if (std::count(servers_.begin(), servers_.end(), &thread) == 0) servers_.push_back(&thread);
    } else {
      channel_.RemoveServer(thread);
      std::erase(servers_, &thread);
    }
  }

  void Compare() const {
    channel_.CheckInvariants();
    const auto& order = queued_.order();
    REQUIRE(channel_.queued() == order.size());
    REQUIRE(channel_.Front() == (order.empty() ? nullptr : &entries_[order[0].member]));
    const auto& waiting = waiting_.order();
    REQUIRE(channel_.FrontReceiver() ==
            (waiting.empty() ? nullptr : &receivers_[waiting[0].member]));
    int highest = 0;
    for (const Ranked& ranked : order) {
      if (entries_[ranked.member].kind == QueueEntry::Kind::kPulse) continue;
      highest = std::max(highest, ranked.level);
    }
    REQUIRE(channel_.HighestMessageLevel() == highest);
    size_t at = 0;
    bool same = true;
    channel_.ForEachQueued([&](const QueueEntry& entry) {
      same = same && &entry == &entries_[order[at].member] && entry.level == order[at].level;
      ++at;
    });
    REQUIRE(same);
    REQUIRE(channel_.servers() == servers_);
  }

  const Size size_;
  const std::vector<int> levels_;
  std::deque<QueueEntry> entries_;
  std::deque<ReceiverEntry> receivers_;
  std::deque<Thread> threads_;
  Channel channel_{false};
  tests::OrderModel queued_, waiting_;
  std::vector<uint64_t> since_;
  std::vector<Thread*> servers_;
  uint64_t now_ = 0;
};

TEST_CASE("core: a channel behaves as two sorted lists under a million random operations") {
  tests::DriveAtRandom<ChannelRig>();
}

TEST_CASE("core: a channel behaves as two sorted lists in every sequence of four operations") {
  tests::DriveThroughAll<ChannelRig>(4);
}

TEST_CASE("core: a queued sender that is raised goes to the tail of its new level") {
  Channel channel(false);
  QueueEntry low(QueueEntry::Kind::kMessage), first(QueueEntry::Kind::kMessage);
  channel.Push(low, 10);
  channel.Push(first, 20);
  channel.Relevel(low, 20);
  CHECK(channel.Front() == &first);
  channel.Remove(first);
  CHECK(channel.Front() == &low);
  CHECK(channel.HighestMessageLevel() == 20);
}

TEST_CASE("core: a waiting receiver that is raised keeps the time it has waited") {
  Channel channel(false);
  ReceiverEntry longest, shortest;
  channel.AddReceiver(longest, 10);
  channel.AddReceiver(shortest, 20);
  CHECK(channel.FrontReceiver() == &shortest);
  channel.RelevelReceiver(longest, 20);
  CHECK(channel.FrontReceiver() == &longest);
}

TEST_CASE("core: a queued pulse is received by its level but boosts nobody") {
  Channel channel(false);
  QueueEntry pulse(QueueEntry::Kind::kPulse), message(QueueEntry::Kind::kMessage);
  channel.Push(message, 5);
  channel.Push(pulse, 200);
  CHECK(channel.Front() == &pulse);
  CHECK(channel.HighestMessageLevel() == 5);
}

TEST_CASE("core: the checker of a channel sees each broken invariant") {
  Channel channel(false);
  Thread server(ThreadId{1}, 10);
  QueueEntry message(QueueEntry::Kind::kMessage);
  ReceiverEntry receiver, later;
  channel.Push(message, 70);
  channel.AddServer(server);
  const auto breaks = [&](auto harm) {
    return tests::BreaksAnInvariant([&] {
      harm();
      channel.CheckInvariants();
    });
  };
  CHECK_FALSE(breaks([] {}));
  CHECK(breaks([&] { channel.AddReceiver(receiver, 1); }));
  CHECK(breaks([&] { ChannelTestAccess::MiscountMessages(channel, 70); }));
  CHECK(breaks([&] { ChannelTestAccess::HideMessages(channel, 70); }));
  CHECK(breaks([&] { ChannelTestAccess::ListTwice(channel); }));
  CHECK(breaks([&] {
    channel.Remove(message);
    channel.AddReceiver(receiver, 1);
    channel.AddReceiver(later, 1);
    std::swap(receiver.since, later.since);
  }));
}

}  // namespace
}  // namespace parley
