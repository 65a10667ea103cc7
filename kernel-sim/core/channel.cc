// The rarer operations of a channel, and its invariants.
#include "kernel-sim/core/channel.h"

#include <algorithm>

namespace parley {

void Channel::RelevelReceiver(ReceiverEntry& receiver, int level) {
  receivers_.Remove(receiver);
  receivers_.PushOrdered(receiver, level, [&](const LevelNode& other) {
    return static_cast<const ReceiverEntry&>(other).since > receiver.since;
  });
}

void Channel::AddServer(Thread& thread) {
  if (std::find(servers_.begin(), servers_.end(), &thread) == servers_.end()) {
    servers_.push_back(&thread);
  }
}

void Channel::RemoveServer(Thread& thread) { std::erase(servers_, &thread); }

void Channel::CheckInvariants() const {
  queue_.CheckInvariants();
  receivers_.CheckInvariants();
  PARLEY_CHECK(queue_.empty() || receivers_.empty());  // 3
  std::array<uint32_t, kPriorityLevels> counts = {};
  int highest = 0;
  queue_.ForEach([&](const LevelNode& node) {
    if (static_cast<const QueueEntry&>(node).kind != QueueEntry::Kind::kMessage) return;
    ++counts[node.level];
    highest = std::max<int>(highest, node.level);
  });
  PARLEY_CHECK(counts == message_counts_ && highest == HighestMessageLevel());  // 4
  uint64_t last_since = 0;
  int last_level = -1;
  receivers_.ForEach([&](const LevelNode& node) {
    const auto& receiver = static_cast<const ReceiverEntry&>(node);
    PARLEY_CHECK(receiver.level != last_level || receiver.since > last_since);  // 2
    last_level = receiver.level;
    last_since = receiver.since;
  });
  for (size_t i = 0; i < servers_.size(); ++i) {
    PARLEY_CHECK(std::count(servers_.begin(), servers_.end(), servers_[i]) == 1);  // 5
  }
}

}  // namespace parley
