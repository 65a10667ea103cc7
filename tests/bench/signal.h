// A signal from one process to another through shared memory: a count that one side raises and the
// other waits for, by spinning, yielding or sleeping.
#ifndef PARLEY_TESTS_BENCH_SIGNAL_H_
#define PARLEY_TESTS_BENCH_SIGNAL_H_

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "tests/bench/peer.h"

namespace parley_bench {

enum class Waiting { kSpin, kYield, kSleep };

// The best for large data: nobody sleeps where each side has a CPU of its own.
inline Waiting BestWaiting(Placement placement) {
  return placement == Placement::kTwoCores ? Waiting::kSpin : Waiting::kSleep;
}

// Lives in shared memory, on cache lines that no other signal is on. One raises, one waits.
class alignas(128) Signal {
 public:
  void Raise(uint32_t count, Waiting waiting) {
    if (waiting != Waiting::kSleep) {
      count_.store(count, std::memory_order_release);
      return;
    }
    // (1) the count, then (2) whether anybody sleeps. The far end does the same crosswise, so that
    // one of the two sees the other.
    count_.store(count, std::memory_order_seq_cst);
    if (sleeping_.load(std::memory_order_seq_cst) != 0) Futex(FUTEX_WAKE, 1);
  }

  // Returns once the other side has raised it to `count`, which is one more than before.
  void Await(uint32_t count, Waiting waiting) {
    if (waiting == Waiting::kSleep) {
      sleeping_.store(1, std::memory_order_seq_cst);             // (2)
      while (count_.load(std::memory_order_seq_cst) != count) {  // (1)
        Futex(FUTEX_WAIT, count - 1);
      }
      sleeping_.store(0, std::memory_order_relaxed);
      return;
    }
    while (count_.load(std::memory_order_acquire) != count) {
      if (waiting == Waiting::kYield) sched_yield();
    }
  }

 private:
  void Futex(int operation, uint32_t value) {
    syscall(SYS_futex, &count_, operation, value, nullptr, nullptr, 0);
  }

  std::atomic<uint32_t> count_ = 0;
  std::atomic<uint32_t> sleeping_ = 0;
};

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_SIGNAL_H_
