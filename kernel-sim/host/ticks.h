// The clock that orders what clients have sent (layout.h): cheap, and the same on every CPU.
#ifndef PARLEY_KERNEL_SIM_HOST_TICKS_H_
#define PARLEY_KERNEL_SIM_HOST_TICKS_H_

#include <cstdint>

#include "kernel-sim/host/futex.h"

namespace parley::host {

inline uint64_t Ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<uint64_t>(MonotonicNs());
#endif
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_TICKS_H_
