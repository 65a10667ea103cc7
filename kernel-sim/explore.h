// Exploration: many runs of one world under different choices, until one fails; then the shortest
// way to that failure.
//
// Knows no kernel: it is given a function that makes a run out of a ChoiceSpec.
#ifndef PARLEY_KERNEL_SIM_EXPLORE_H_
#define PARLEY_KERNEL_SIM_EXPLORE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel-sim/boot.h"

namespace parley {

struct ExploreOptions {
  ChoiceSpec::Strategy strategy = ChoiceSpec::Strategy::kRandom;  // kRandom, kPct or kExhaustive
  int64_t runs = 1000;                                            // at most
  uint64_t seed = 1;  // of the first run; each further one takes the next
  int depth = 3;      // kPct
  int max_shrink_runs = 500;
};

struct ExploreResult {
  int64_t runs = 0;
  bool exhausted = false;  // kExhaustive: every choice has been tried
  bool failed = false;
  std::vector<uint32_t> choices;  // of the failure, shrunk; a script for kReplay
  RunReport report;               // of the failing run with those choices
  int shrink_runs = 0;
};

using RunWith = std::function<RunReport(const ChoiceSpec&)>;
using Failed = std::function<bool(const RunReport&)>;
using Progress = std::function<void(int64_t runs_done)>;

// Stops at the first failure. `progress` is called after every run.
ExploreResult Explore(const ExploreOptions& options, const RunWith& run, const Failed& failed,
                      const Progress& progress);

// A choice list as one word for a command line, with a checksum over it and `world`, which names
// what it was made with (the manifest's text): a string for another world, or a mistyped one, is
// refused.
std::string ReplayString(const std::vector<uint32_t>& choices, absl::string_view world);
// kInvalidArgument: what is wrong with it.
absl::StatusOr<std::vector<uint32_t>> ParseReplayString(absl::string_view text,
                                                        absl::string_view world);

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_EXPLORE_H_
