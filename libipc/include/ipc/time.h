// Deadlines: every blocking call takes one (D1).
//
// The clock is the kernel's monotonic one: Process::Now() is an absl::Time that counts from the
// Unix epoch as the kernel's start. Only differences between two of its values mean anything.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_TIME_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_TIME_H_

#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace ipc {

// When to stop waiting: at a time, after a duration from the call on, or never. A value; implicit
// from both, so that calls read `Receive(absl::Seconds(1))` and `Receive(self.Now() +
// absl::Seconds(1))`. A time in the past, and a duration of zero or less, mean "only if it need not
// block" (D1).
class Deadline {
 public:
  constexpr Deadline() = default;  // never
  Deadline(absl::Time at)          // NOLINT: implicit
      : ns_(at == absl::InfiniteFuture() ? kNeverNs : absl::ToUnixNanos(at)) {}
  Deadline(absl::Duration from_now)  // NOLINT: implicit
      : ns_(from_now == absl::InfiniteDuration() ? kNeverNs : absl::ToInt64Nanoseconds(from_now)),
        relative_(from_now != absl::InfiniteDuration()) {}

  static Deadline Never() { return {}; }
  static Deadline Poll() { return absl::ZeroDuration(); }

  // Nanoseconds on the kernel's clock; `now_ns` is asked only for a duration.
  template <typename NowNs>
  int64_t Resolve(NowNs now_ns) const {
    if (!relative_) return ns_;
    const int64_t now = now_ns();
    return ns_ > kNeverNs - now ? kNeverNs : now + ns_;
  }

 private:
  static constexpr int64_t kNeverNs = std::numeric_limits<int64_t>::max();
  int64_t ns_ = kNeverNs;
  bool relative_ = false;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_TIME_H_
