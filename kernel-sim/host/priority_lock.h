// The lock of a process: priority inheriting, and nearly free for the thread that takes it alone.
//
// Linux hands its holder the priority of its highest waiter: a thread of low priority that holds it
// cannot keep one of high priority waiting behind one of middle priority.
//
// A thread that has taken it often enough with nobody else in between is given the bias: `word_`
// stays its own, and it enters and leaves by plain stores to the `inside` of its own record.
// Whoever else wants the lock takes the bias away first. Invariants and why they hold:
//
//   1. While biased, nobody waits on `word_`. A contender counts itself in `contenders_`, then
//   takes `bias_`; who gives itself the bias does so crosswise, so one of the two sees the other.
//   Every contender passes `gate_` for that, so that none waits on a word that another is about to
//   take from the owner.
//   2. The bias is taken away by one thread at a time, which holds `gate_`: it clears `bias_`, and
//   makes all running threads of the process pass a memory barrier (membarrier). After that the
//   owner either finds the bias gone before it enters, or is seen inside. If it is inside, `word_`
//   stays its own until it leaves, and waiting for that boosts it.
//   3. An owner that finds the bias gone when it leaves cannot tell on which side of that barrier
//   it was: it asks at the gate.
#ifndef PARLEY_KERNEL_SIM_HOST_PRIORITY_LOCK_H_
#define PARLEY_KERNEL_SIM_HOST_PRIORITY_LOCK_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "kernel-sim/host/futex.h"

namespace parley::host {

// A bare priority-inheriting futex: 0 or the Linux id of its holder.
class PriorityFutex {
 public:
  bool TryLock() {
    uint32_t expected = 0;
    // Acquire, paired with the release in Unlock: what the last holder wrote is seen.
    return word_.compare_exchange_strong(expected, LinuxThreadId(), std::memory_order_acquire);
  }
  void Lock() {
    if (!TryLock()) LockSlowly();
  }
  void Unlock() {
    uint32_t expected = LinuxThreadId();
    if (!word_.compare_exchange_strong(expected, 0, std::memory_order_release)) UnlockSlowly();
  }
  // Without waiters, by another thread than its holder. REQUIRES: `holder` is it.
  void TakeFrom(uint32_t holder) {
    word_.compare_exchange_strong(holder, 0, std::memory_order_release);
  }
  bool IsHeldBy(uint32_t thread) const {
    return (word_.load(std::memory_order_relaxed) & FUTEX_TID_MASK) == thread;
  }

 private:
  void LockSlowly();
  void UnlockSlowly();
  std::atomic<uint32_t> word_{0};
};

class ABSL_LOCKABLE PriorityLock {
 public:
  // Before the process has other threads, or its first one takes long.
  PriorityLock();
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    if (Bias* own = OwnBias(); own != nullptr && EnterBiased(*own)) return;
    if (word_.TryLock()) {
      holder_ = nullptr;
    } else {
      LockSlowly();
    }
  }
  // False also for its holder.
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    if (Bias* own = OwnBias()) {
      if (own->inside.load(std::memory_order_relaxed) != 0) return false;
      if (EnterBiased(*own)) return true;
      LeaveAtGate();  // whoever has taken the bias may have seen this thread inside
      return false;
    }
    if (!word_.TryLock()) return false;
    holder_ = nullptr;
    return true;
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    if (holder_ != nullptr) {
      LeaveBiased(*holder_);
    } else if (!EarnsBias() || !GiveBias()) {
      word_.Unlock();
    }
  }

 private:
  // One for each thread that ever had the bias. One that has lost it long ago may still write into
  // its own on its way to find that out.
  struct Bias {
    explicit Bias(uint32_t thread) : thread(thread) {}
    const uint32_t thread;  // Linux id
    std::atomic<uint32_t> inside{0};
  };
  Bias* OwnBias() const {
    Bias* bias = bias_.load(std::memory_order_acquire);
    return bias != nullptr && bias->thread == LinuxThreadId() ? bias : nullptr;
  }
  bool EnterBiased(Bias& own) {
    own.inside.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // invariant 2: the rest is membarrier's
    if (bias_.load(std::memory_order_relaxed) == &own) return true;
    own.inside.store(0, std::memory_order_relaxed);
    return false;
  }
  void LeaveBiased(Bias& own) {
    own.inside.store(0, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // invariant 2: the rest is membarrier's
    if (bias_.load(std::memory_order_relaxed) != &own) LeaveAtGate();
  }
  bool EarnsBias() {
    const uint32_t self = LinuxThreadId();
    if (last_ == self) return ++streak_ >= patience_;
    last_ = self;
    streak_ = 0;
    return false;
  }
  void LockSlowly();
  void LeaveAtGate();
  bool TakeBias();
  bool GiveBias();

  PriorityFutex word_;
  std::atomic<Bias*> bias_{nullptr};  // of who has it
  std::atomic<uint32_t> contenders_{0};
  bool can_take_bias_ = false;  // Linux has the barrier that taking it needs
  PriorityFutex gate_;
  // Guarded by the lock.
  std::vector<std::unique_ptr<Bias>> biases_;
  Bias* holder_ = nullptr;  // how its holder came by it: null by `word_`
  uint32_t last_ = 0, streak_ = 0;
  uint32_t patience_ = kFirstPatience;  // locks in a row that earn the bias

  // Taking the bias away costs as much as some hundred locks; the more often that happens, the
  // longer it takes to earn it again.
  static constexpr uint32_t kFirstPatience = 64, kLastPatience = 1 << 16;
};

class ABSL_SCOPED_LOCKABLE Locked {
 public:
  explicit Locked(PriorityLock& lock) ABSL_EXCLUSIVE_LOCK_FUNCTION(lock) : lock_(lock) {
    lock_.Lock();
  }
  ~Locked() ABSL_UNLOCK_FUNCTION() { lock_.Unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  PriorityLock& lock_;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_PRIORITY_LOCK_H_
