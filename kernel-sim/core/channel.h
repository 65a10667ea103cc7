// A channel: what is queued to be received, and who waits to receive (S1, S7, P1, P2).
//
// Messages (SEND-blocked clients) and pulses share one queue; each is a QueueEntry that its owner
// embeds. The threads that serve the channel (P3) are listed here, so that a queued sender can
// boost each of them (P4).
//
// Invariants:
//   1. Entries leave in the order: higher level first, FIFO within a level (P1).
//   2. Receivers leave in the order: higher level first, longest waiting within a level (S7).
//   3. Not both an entry and a receiver are queued, seen between two calls of a kernel.
//   4. message_count(L) is the number of queued messages of level L; HighestMessageLevel() is the
//   highest L with one.
//   5. A thread is listed once among the servers.
#ifndef PARLEY_KERNEL_SIM_CORE_CHANNEL_H_
#define PARLEY_KERNEL_SIM_CORE_CHANNEL_H_

#include <array>
#include <cstdint>
#include <vector>

#include "kernel-sim/core/level_queue.h"

namespace parley {

class Thread;

// Something that can be received.
struct QueueEntry : LevelNode {
  enum class Kind : uint8_t { kMessage, kPulse };
  explicit QueueEntry(Kind kind) : kind(kind) {}
  const Kind kind;
};

// A thread that waits in Receive. `since` orders those of one level.
struct ReceiverEntry : LevelNode {
  uint64_t since = 0;
};

class Channel {
 public:
  explicit Channel(bool fixed_priority) : fixed_priority_(fixed_priority) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  bool fixed_priority() const { return fixed_priority_; }  // P5

  void Push(QueueEntry& entry, int level) {
    queue_.PushBack(entry, level);
    Count(entry, +1);
  }
  // The entry to receive next, null when none is queued.
  QueueEntry* Front() const { return static_cast<QueueEntry*>(queue_.Front()); }
  void Remove(QueueEntry& entry) {
    Count(entry, -1);
    queue_.Remove(entry);
  }
  // P2: to the tail of its new level.
  void Relevel(QueueEntry& entry, int level) {
    Remove(entry);
    Push(entry, level);
  }
  size_t queued() const { return queue_.size(); }
  // The level of the highest SEND-blocked client, 0 without one. Pulses do not count (P3).
  int HighestMessageLevel() const {
    const int level = message_levels_.Highest();
    return level < 0 ? 0 : level;
  }
  template <typename Visit>
  void ForEachQueued(Visit visit) const {
    queue_.ForEach([&](LevelNode& node) { visit(static_cast<QueueEntry&>(node)); });
  }

  void AddReceiver(ReceiverEntry& receiver, int level) {
    receiver.since = next_since_++;
    receivers_.PushBack(receiver, level);
  }
  void RemoveReceiver(ReceiverEntry& receiver) { receivers_.Remove(receiver); }
  // Keeps its place in waiting time: S7 orders by level, then by how long.
  void RelevelReceiver(ReceiverEntry& receiver, int level);
  ReceiverEntry* FrontReceiver() const { return static_cast<ReceiverEntry*>(receivers_.Front()); }

  // P3: from a thread's first receive until it, or the channel, ends.
  void AddServer(Thread& thread);
  void RemoveServer(Thread& thread);
  const std::vector<Thread*>& servers() const { return servers_; }

  void CheckInvariants() const;

 private:
  friend class ChannelTestAccess;
  void Count(const QueueEntry& entry, int delta) {
    if (entry.kind != QueueEntry::Kind::kMessage) return;
    uint32_t& count = message_counts_[entry.level];
    count += delta;
    if (count == 0) {
      message_levels_.Remove(entry.level);
    } else {
      message_levels_.Add(entry.level);
    }
  }

  const bool fixed_priority_;
  LevelQueue queue_;
  LevelQueue receivers_;
  LevelSet message_levels_;
  std::array<uint32_t, kPriorityLevels> message_counts_ = {};
  std::vector<Thread*> servers_;
  uint64_t next_since_ = 1;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_CHANNEL_H_
