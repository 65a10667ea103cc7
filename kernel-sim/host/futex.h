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

// Stores `value` (at most 4095) and wakes one who sleeps on the word, with no instant between.
inline void FutexSetAndWake(std::atomic<uint32_t>& word, uint32_t value, Sharing sharing) {
  const uint32_t set = FUTEX_OP(FUTEX_OP_SET, value, FUTEX_OP_CMP_EQ, 0);
  syscall(SYS_futex, &word, FUTEX_WAKE_OP | static_cast<int>(sharing), 1, /*by the compare:*/ 0,
          &word, set);
}

// The Linux id of the calling thread. A process that is forked to run a program forgets what its
// maker's thread was.
inline constinit thread_local uint32_t t_linux_thread_id
    __attribute__((tls_model("initial-exec"))) = 0;
inline uint32_t LinuxThreadId() {
  if (t_linux_thread_id == 0) t_linux_thread_id = static_cast<uint32_t>(syscall(SYS_gettid));
  return t_linux_thread_id;
}
inline void ForgetLinuxThreadId() { t_linux_thread_id = 0; }

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_FUTEX_H_
