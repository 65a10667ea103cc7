// The state machine of a thread, and its invariants.
#include "kernel-sim/core/thread.h"

namespace parley {
namespace {

constexpr uint32_t Set(std::initializer_list<ThreadState> states) {
  uint32_t set = 0;
  for (ThreadState state : states) set |= uint32_t{1} << static_cast<int>(state);
  return set;
}

constexpr uint32_t kReadyOrDead = Set({ThreadState::kReady, ThreadState::kDead});

// By the state a thread is in: the states it may go to. Blocked states lead to READY; only a
// running thread blocks.
constexpr uint32_t NextStates(ThreadState from) {
  switch (from) {
    case ThreadState::kStopped:
      return kReadyOrDead;
    case ThreadState::kReady:
      return Set({ThreadState::kRunning, ThreadState::kDead});
    case ThreadState::kRunning:
      return Set({ThreadState::kReady, ThreadState::kSend, ThreadState::kReceive,
                  ThreadState::kReply, ThreadState::kSleep, ThreadState::kJoin, ThreadState::kMutex,
                  ThreadState::kCondVar, ThreadState::kDead});
    case ThreadState::kSend:  // received, or its send has failed
      return kReadyOrDead | Set({ThreadState::kReply});
    case ThreadState::kCondVar:  // woken, or woken while the mutex is taken
      return kReadyOrDead | Set({ThreadState::kMutex});
    case ThreadState::kReceive:
    case ThreadState::kReply:
    case ThreadState::kSleep:
    case ThreadState::kJoin:
    case ThreadState::kMutex:
      return kReadyOrDead;
    case ThreadState::kDead:
      return 0;
  }
  return 0;
}

}  // namespace

bool MayBecome(ThreadState from, ThreadState to) {
  return (NextStates(from) >> static_cast<int>(to) & 1) != 0;
}

Thread::Thread(ThreadId id, int base_priority)
    : id_(id),
      base_(static_cast<uint8_t>(base_priority)),
      effective_(static_cast<uint8_t>(base_priority)) {
  PARLEY_CHECK(base_priority >= kMinPriority && base_priority <= kMaxPriority);
}

void Thread::CheckInvariants() const {
  PARLEY_CHECK(entry_.queued() == (state_ == ThreadState::kSend));
  PARLEY_CHECK(receiver_.queued() == (state_ == ThreadState::kReceive));
  PARLEY_CHECK(mutex_entry_.queued() == (state_ == ThreadState::kMutex));
  PARLEY_CHECK(client_ == nullptr || client_->boosts_ == this);
  PARLEY_CHECK(boosts_ == nullptr || (boosts_->client_ == this && state_ == ThreadState::kReply));
  PARLEY_CHECK(base_ >= kMinPriority && effective_ >= kMinPriority);
}

}  // namespace parley
