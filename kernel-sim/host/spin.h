// Waiting without sleeping, for as long as experience says that it pays.
//
// The bound of a spin is learned: it grows while what was waited for comes in time, and shrinks to
// nothing while it does not; now and then it is tried again. So a thread that talks to a busy peer
// on another CPU never sleeps, and one that idles spins no more.
#ifndef PARLEY_KERNEL_SIM_HOST_SPIN_H_
#define PARLEY_KERNEL_SIM_HOST_SPIN_H_

#include <time.h>

#include <algorithm>
#include <cstdint>

namespace parley::host {

inline void RelaxCpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Spinner {
 public:
  static constexpr int64_t kMaxNs = 50'000;
  static constexpr int64_t kMinNs = 1'000;
  static constexpr uint32_t kRetry = 64;  // of so many waits without a spin, one spins

  // Looks at done() until it holds or the time is up; returns whether it held.
  template <typename Done>
  bool Spin(Done done) {
    if (budget_ns_ < kMinNs && ++skipped_ % kRetry != 0) return done();
    const int64_t until = NowNs() + std::max(budget_ns_, kMinNs);
    for (;;) {
      for (int i = 0; i < 64; ++i) {
        if (done()) {
          budget_ns_ = std::min(kMaxNs, std::max(budget_ns_, kMinNs) * 2);
          return true;
        }
        RelaxCpu();
      }
      if (NowNs() >= until) break;
    }
    budget_ns_ /= 2;
    return false;
  }

 private:
  static int64_t NowNs() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  }

  int64_t budget_ns_ = kMaxNs;
  uint32_t skipped_ = 0;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_SPIN_H_
