// What a lock does when it is not alone.
#include "kernel-sim/host/priority_lock.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "kernel-sim/core/check.h"

namespace parley::host {
namespace {

int Membarrier(int command) {
  return static_cast<int>(syscall(SYS_membarrier, command, /*flags=*/0, /*cpu=*/0));
}

}  // namespace

// In a process that has more threads already, the first of these calls takes Linux some 10 ms, in
// which a thread cannot even be killed.
PriorityLock::PriorityLock() {
#if !defined(__SANITIZE_THREAD__)  // it does not know what a barrier from outside orders
  can_take_bias_ = Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
#endif
}

void PriorityFutex::LockSlowly() {
  while (syscall(SYS_futex, &word_, FUTEX_LOCK_PI_PRIVATE, 0, nullptr, nullptr, 0) != 0) {
    PARLEY_CHECK(errno == EINTR || errno == EAGAIN);
  }
  // Linux hands the lock over with all that the last holder wrote; this tells the thread
  // sanitizer, which does not see Linux write the word.
  word_.load(std::memory_order_acquire);
}

void PriorityFutex::UnlockSlowly() {
  word_.fetch_or(0, std::memory_order_release);  // changes nothing; pairs with the load above
  syscall(SYS_futex, &word_, FUTEX_UNLOCK_PI_PRIVATE, 0, nullptr, nullptr, 0);
}

void PriorityLock::LockSlowly() {
  contenders_.fetch_add(1);
  const bool taken = TakeBias();
  // A thread whose bias was taken while it looked whether it had it was seen inside: then the lock
  // is its own, and others may already wait for it.
  if (!word_.IsHeldBy(LinuxThreadId())) word_.Lock();
  contenders_.fetch_sub(1);
  holder_ = nullptr;
  if (taken) patience_ = std::min(patience_ * 2, kLastPatience);
}

// Whoever's it is. False: nobody's.
bool PriorityLock::TakeBias() {
  gate_.Lock();
  Bias* const owner = bias_.exchange(nullptr);
  if (owner != nullptr) {
    PARLEY_CHECK(Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0);
    // Acquire, paired with the release in LeaveBiased.
    if (owner->inside.load(std::memory_order_acquire) == 0) word_.TakeFrom(owner->thread);
  }
  gate_.Unlock();
  return owner != nullptr;
}

// Invariant 3: who took the bias has left the gate. If it saw this thread inside, `word_` is still
// this thread's to let go of.
void PriorityLock::LeaveAtGate() {
  gate_.Lock();
  if (word_.IsHeldBy(LinuxThreadId())) word_.Unlock();
  gate_.Unlock();
}

// Instead of an unlock. False: somebody else is on its way, and the lock still held.
bool PriorityLock::GiveBias() {
  streak_ = 0;
  if (!can_take_bias_) return false;
  const uint32_t self = LinuxThreadId();
  auto found = std::find_if(biases_.begin(), biases_.end(),
                            [&](const auto& bias) { return bias->thread == self; });
  if (found == biases_.end()) {
    found = biases_.insert(found, std::make_unique<Bias>(self));
  }
  Bias& own = **found;
  holder_ = &own;
  own.inside.store(1);
  bias_.store(&own);
  if (contenders_.load() == 0) {
    LeaveBiased(own);
    return true;
  }
  gate_.Lock();  // whoever has taken it meanwhile has seen this thread inside
  bias_.store(nullptr);
  own.inside.store(0);
  holder_ = nullptr;
  gate_.Unlock();
  return false;
}

}  // namespace parley::host
