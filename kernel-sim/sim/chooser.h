// The one source of every choice that the rules leave open.
//
// A choice is a number in [0, width). 0 is always the plain answer: the first in order, no fault,
// no jitter. Every choice and its width is recorded, so that a run can be replayed, shrunk, and
// varied depth first.
//
// PCT (probabilistic concurrency testing): each candidate gets a random rank when first seen, the
// highest ranked one present is chosen, and at `depth - 1` random points the one that would be
// chosen drops to the lowest rank.
#ifndef PARLEY_KERNEL_SIM_SIM_CHOOSER_H_
#define PARLEY_KERNEL_SIM_SIM_CHOOSER_H_

#include <cstdint>
#include <random>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "kernel-sim/boot.h"

namespace parley::sim {

class Chooser {
 public:
  explicit Chooser(const ChoiceSpec& spec);

  // Who goes first among candidates, each known by a key that is the same from choice to choice.
  // REQUIRES: two keys or more.
  uint32_t ChooseAmong(absl::Span<const uint64_t> keys);
  // A magnitude in [0, width). REQUIRES: width >= 2.
  uint32_t ChooseAmount(uint32_t width);
  // Whether something unlikely happens now: about once in `odds`, never under kFixed.
  bool ChooseFault(uint32_t odds);

  const std::vector<uint32_t>& choices() const { return choices_; }
  const std::vector<uint32_t>& widths() const { return widths_; }
  // The position of the first scripted choice that was not below its width: the script is another
  // program's. -1 when all fitted.
  int64_t misfit() const { return misfit_; }

 private:
  uint32_t Record(uint32_t choice, uint32_t width);
  bool Scripted(uint32_t width, uint32_t& choice);
  uint32_t Uniform(uint32_t width);
  uint32_t ChooseByRank(absl::Span<const uint64_t> keys);

  const ChoiceSpec spec_;
  std::mt19937_64 random_;
  std::vector<uint32_t> choices_;
  std::vector<uint32_t> widths_;
  int64_t misfit_ = -1;
  absl::flat_hash_map<uint64_t, uint64_t> ranks_;
  std::vector<int64_t> change_points_;  // ascending positions in choices_
  uint64_t next_low_rank_ = 0;
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_CHOOSER_H_
