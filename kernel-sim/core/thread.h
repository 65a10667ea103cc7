// A thread as the kernel schedules it: its state, and the terms that make its effective priority
// (P3).
//
// The owner (a kernel) derives from it, keeps it in place, and takes it out of every queue before
// it dies. The terms are changed by Inheritance (priority.h) only. Not thread-safe.
//
// Invariants:
//   1. A state changes only along MayBecome().
//   2. SEND: `entry` is queued on `channel`. RECEIVE: `receiver` is queued on `channel`. MUTEX:
//   `mutex_entry` is queued
//      on `mutex`. In no other state is any of them queued.
//   3. `client` and `boosts` mirror each other: a.client == &b exactly when b.boosts == &a.
//   4. 1 <= base, effective <= 255.
#ifndef PARLEY_KERNEL_SIM_CORE_THREAD_H_
#define PARLEY_KERNEL_SIM_CORE_THREAD_H_

#include <cstdint>
#include <vector>

#include "kernel-sim/core/channel.h"
#include "kernel-sim/core/ids.h"
#include "kernel-sim/core/thread_state.h"

namespace parley {

class Thread;

// A mutex with priority inheritance: its owner runs at least at the level of its highest waiter.
// Invariant: waiters only while owned.
struct Mutex {
  Thread* owner = nullptr;
  LevelQueue waiters;
  bool abandoned = false;  // its owner ended without unlocking: it cannot be locked any more
};

class Thread {
 public:
  Thread(ThreadId id, int base_priority);
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  ThreadId id() const { return id_; }
  ThreadState state() const { return state_; }
  void SetState(ThreadState next) {
    PARLEY_CHECK(MayBecome(state_, next));
    state_ = next;
  }
  int base() const { return base_; }
  int effective() const { return effective_; }
  // The level of its send in flight: clamped to what the sender may ask for (P6).
  int sent_level() const { return effective_ < send_ceiling_ ? effective_ : send_ceiling_; }

  // The channel of a SEND, RECEIVE or REPLY, null once it is gone.
  Channel* channel() const { return channel_; }
  Mutex* mutex() const { return mutex_; }
  // Whose message is `current(t)` of P3, null when there is none.
  Thread* client() const { return client_; }
  // Whose current message is this REPLY-blocked thread's, null when none.
  Thread* boosts() const { return boosts_; }
  // Whether the level of another may rest on this one's.
  bool has_dependents() const {
    return boosts_ != nullptr || entry_.queued() || mutex_entry_.queued();
  }
  const std::vector<Channel*>& serves() const { return serves_; }
  QueueEntry& entry() { return entry_; }

  static Thread& FromEntry(QueueEntry& entry) { return *static_cast<OfEntry&>(entry).thread; }
  static Thread& FromReceiver(ReceiverEntry& entry) {
    return *static_cast<OfReceiver&>(entry).thread;
  }
  static Thread& FromMutexEntry(LevelNode& entry) { return *static_cast<OfMutex&>(entry).thread; }

  void CheckInvariants() const;

 private:
  friend class Inheritance;
  // Nodes that know their thread.
  struct OfEntry : QueueEntry {
    explicit OfEntry(Thread* thread) : QueueEntry(Kind::kMessage), thread(thread) {}
    Thread* const thread;
  };
  struct OfReceiver : ReceiverEntry {
    explicit OfReceiver(Thread* thread) : thread(thread) {}
    Thread* const thread;
  };
  struct OfMutex : LevelNode {
    explicit OfMutex(Thread* thread) : thread(thread) {}
    Thread* const thread;
  };

  const ThreadId id_;
  ThreadState state_ = ThreadState::kStopped;
  uint8_t base_;
  uint8_t effective_;
  uint8_t send_ceiling_ = kMaxPriority;
  uint8_t pulse_level_ = 0;  // of the pulse received last, 0 when none counts
  Thread* client_ = nullptr;
  Thread* boosts_ = nullptr;
  Channel* channel_ = nullptr;
  Mutex* mutex_ = nullptr;
  OfEntry entry_{this};
  OfReceiver receiver_{this};
  OfMutex mutex_entry_{this};
  std::vector<Channel*> serves_;
  std::vector<Mutex*> owns_;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_THREAD_H_
