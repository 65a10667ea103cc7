// Sleeping on a word until somebody changes it.
#ifndef PARLEY_KERNEL_SIM_HOST_FUTEX_H_
#define PARLEY_KERNEL_SIM_HOST_FUTEX_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>

#include "kernel-sim/core/bounds.h"

namespace parley::host {

inline timespec ToTimespec(int64_t ns) { return {ns / 1'000'000'000, ns % 1'000'000'000}; }
inline int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// Whether the word may be in memory that other processes map.
enum class Sharing : int { kShared = 0, kPrivate = FUTEX_PRIVATE_FLAG };

// Sleeps while `word` holds `value`, until `until_ns` of CLOCK_MONOTONIC (kNever: for ever). May
// return early; false only for the time that has passed.
inline bool FutexWait(std::atomic<uint32_t>& word, uint32_t value, int64_t until_ns,
                      Sharing sharing) {
  const timespec until = ToTimespec(until_ns);
  const long result =
      syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | static_cast<int>(sharing), value,
              until_ns == kNever ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != ETIMEDOUT;
}

inline void FutexWake(std::atomic<uint32_t>& word, int count, Sharing sharing) {
  syscall(SYS_futex, &word, FUTEX_WAKE | static_cast<int>(sharing), count, nullptr, nullptr, 0);
}

// The Linux id of the calling thread.
inline uint32_t LinuxThreadId() {
  static thread_local const auto id = static_cast<uint32_t>(syscall(SYS_gettid));
  return id;
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_FUTEX_H_
