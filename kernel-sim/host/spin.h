// Waiting without sleeping, for as long as experience says that it pays.
//
// A sleep and its wake cost some microseconds, so as long a wait is worth a try every time. Beyond
// that the bound is learned: it grows while what was waited for comes in time, or so soon after it
// that a longer wait would have done, and shrinks while it does not. So a thread that talks to a
// busy peer never sleeps, and one that idles burns no more than a sleep would have cost it.
//
// Who waits for a peer on another CPU looks again and again; who shares a CPU with it lets it run.
#ifndef PARLEY_KERNEL_SIM_HOST_SPIN_H_
#define PARLEY_KERNEL_SIM_HOST_SPIN_H_

#include <sched.h>

#include <algorithm>
#include <cstdint>

#include "kernel-sim/host/futex.h"

namespace parley::host {

inline void RelaxCpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// How long a wait without sleep is at least tried, and at most.
struct SpinBounds {
  int64_t least_ns = 2'000;
  int64_t most_ns = 200'000;
};
inline constexpr SpinBounds kLowLatency = {100'000, 2'000'000};

class Spinner {
 public:
  explicit Spinner(const SpinBounds& bounds) : bounds_(bounds), budget_ns_(bounds.most_ns) {}

  // Looks at done() until it holds or the time is up; returns whether it held. `relax`: what is
  // done between two looks.
  template <typename Done, typename Relax>
  bool Spin(Done done, Relax relax) {
    return Wait(done, [&] {
      for (int i = 0; i < kLooks; ++i) {
        if (done()) return true;
        relax();
      }
      return false;
    });
  }
  template <typename Done>
  bool Spin(Done done) {
    return Spin(done, RelaxCpu);
  }
  // The same, with others running on this CPU meanwhile.
  template <typename Done>
  bool Yield(Done done) {
    return Wait(done, [&] {
      sched_yield();
      return done();
    });
  }
  // The same without burning anything: whoever else may run here runs once.
  template <typename Done>
  static bool YieldOnce(Done done) {
    if (done()) return true;
    sched_yield();
    return done();
  }

  // How long the sleep was that followed a wait. One that a longer wait would have saved gives back
  // the half that the wait in vain took, and doubles the bound.
  void LearnFrom(int64_t slept_ns) {
    if (slept_ns < bounds_.most_ns) budget_ns_ = std::min(bounds_.most_ns, budget_ns_ * 4);
  }

 private:
  static constexpr int kLooks = 64;  // before a look at the clock

  template <typename Done, typename Look>
  bool Wait(Done done, Look look) {
    if (done() || look()) return true;  // the usual case needs no clock
    const int64_t until = MonotonicNs() + budget_ns_;
    do {
      if (look()) {
        budget_ns_ = std::min(bounds_.most_ns, budget_ns_ * 2);
        return true;
      }
    } while (MonotonicNs() < until);
    budget_ns_ = std::max(bounds_.least_ns, budget_ns_ / 2);
    return false;
  }

  const SpinBounds bounds_;
  int64_t budget_ns_;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_SPIN_H_
