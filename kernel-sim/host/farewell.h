// What a process leaves behind for its launcher, in memory that the two share: how it ended, and
// what its report says.
//
// The process writes, its numbers as they grow, so that one that is killed leaves them, too; the
// launcher reads once Linux has reaped it, so nothing changes under its eyes. It believes the
// lengths as far as the arrays go.
#ifndef PARLEY_KERNEL_SIM_HOST_FAREWELL_H_
#define PARLEY_KERNEL_SIM_HOST_FAREWELL_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace parley::host {

struct Farewell {
  static constexpr size_t kMaxCounters = 64;
  static constexpr size_t kMaxCounterName = 55;
  struct Counter {
    std::array<char, kMaxCounterName + 1> name;  // ends with a zero byte
    int64_t total;
  };

  uint32_t said;  // 0: the process ended without a word, so Linux's exit status tells how
  uint32_t kind;  // an ExitKind
  int32_t code;
  uint32_t counters_used;
  std::array<char, 512> reason;  // ends with a zero byte
  uint64_t messages_sent, messages_received, bytes_copied, bytes_leased;
  uint64_t late_responses;
  int64_t worst_response_ns;
  std::array<Counter, kMaxCounters> counters;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_FAREWELL_H_
