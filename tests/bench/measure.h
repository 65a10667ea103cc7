// Measuring a peer: its server's and clients' processes, the trips, the samples.
#ifndef PARLEY_TESTS_BENCH_MEASURE_H_
#define PARLEY_TESTS_BENCH_MEASURE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/peer.h"

namespace parley_bench {

// Nanoseconds. One client: for a trip, each the mean of a short batch. Fan-in: for each call that
// the server answered, whoever's, each over a slice of time.
absl::StatusOr<std::vector<double>> Measure(Peer& peer, const Setup& setup);

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_MEASURE_H_
