// What the processes of one row share, and how trips become samples.
#ifndef PARLEY_TESTS_BENCH_BOARD_H_
#define PARLEY_TESTS_BENCH_BOARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"

namespace parley_bench {

// One trip; `number` counts from 1, and is what comes back.
using Call = std::function<uint64_t(uint64_t number)>;

struct Board {
  static constexpr size_t kMaxSamples = 50'000;
  static constexpr int kMaxClients = 1'000;

  std::atomic<bool> server_ready = false;
  std::atomic<bool> go = false;  // for clients that count
  std::atomic<bool> stop = false;
  std::atomic<bool> finished = false;  // by the client that samples
  size_t sample_count = 0;
  struct alignas(128) Counter {
    std::atomic<uint64_t> calls = 0;
  } counters[kMaxClients];
  double samples[kMaxSamples];
};

double NowNs();

// By the only client: warms up, then fills the board's samples: nanoseconds a trip, each the mean
// of a short batch.
void Sample(const Call& call, Board& board);

// By one of several clients: makes one call, then, from when all have, counts more until the board
// says stop.
void Count(const Call& call, Board& board, int client);

// By whoever watches those: nanoseconds for each call that the server answered, whoever's, each
// over a slice of time. `wait` returns when its condition holds, which it asks for every so many
// milliseconds, or says why that will not come.
using Wait = std::function<absl::Status(const std::function<bool()>& done, int tick_ms)>;
absl::StatusOr<std::vector<double>> TakeSlices(Board& board, int clients, const Wait& wait);

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_BOARD_H_
