// A thread is made, and its invariants.
#include "kernel-sim/core/thread.h"

namespace parley {

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
