// Choice strategies.
#include "kernel-sim/sim/chooser.h"

#include <algorithm>

#include "kernel-sim/core/check.h"

namespace parley::sim {
namespace {
constexpr uint64_t kHighRanks =
    uint64_t{1} << 32;  // ranks drawn at random lie above those of dropped candidates
}

Chooser::Chooser(const ChoiceSpec& spec) : spec_(spec), random_(spec.seed) {
  if (spec.strategy != ChoiceSpec::Strategy::kPct) return;
  for (int i = 1; i < spec.depth; ++i) {
    const auto horizon = static_cast<uint64_t>(std::max<int64_t>(spec.expected_choices, 1));
    change_points_.push_back(static_cast<int64_t>(random_() % horizon));
  }
  std::sort(change_points_.begin(), change_points_.end());
  next_low_rank_ = change_points_.size();
}

uint32_t Chooser::Record(uint32_t choice, uint32_t width) {
  choices_.push_back(choice);
  widths_.push_back(width);
  return choice;
}

// Replay and depth-first runs follow a script, and take 0 beyond its end.
bool Chooser::Scripted(uint32_t width, uint32_t& choice) {
  if (spec_.strategy != ChoiceSpec::Strategy::kReplay &&
      spec_.strategy != ChoiceSpec::Strategy::kExhaustive) {
    return false;
  }
  const size_t position = choices_.size();
  choice = position < spec_.script.size() ? spec_.script[position] : 0;
  if (choice >= width) {
    if (misfit_ < 0) misfit_ = static_cast<int64_t>(position);
    choice = 0;
  }
  return true;
}

uint32_t Chooser::Uniform(uint32_t width) { return static_cast<uint32_t>(random_() % width); }

uint32_t Chooser::ChooseAmong(absl::Span<const uint64_t> keys) {
  const auto width = static_cast<uint32_t>(keys.size());
  PARLEY_CHECK(width >= 2);
  uint32_t choice = 0;
  if (Scripted(width, choice)) return Record(choice, width);
  switch (spec_.strategy) {
    case ChoiceSpec::Strategy::kRandom:
      return Record(Uniform(width), width);
    case ChoiceSpec::Strategy::kPct:
      return Record(ChooseByRank(keys), width);
    default:
      return Record(0, width);
  }
}

uint32_t Chooser::ChooseByRank(absl::Span<const uint64_t> keys) {
  auto highest = [&] {
    size_t best = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (ranks_[keys[i]] > ranks_[keys[best]]) best = i;
    }
    return best;
  };
  for (uint64_t key : keys) {
    if (!ranks_.contains(key)) ranks_[key] = kHighRanks + random_() % kHighRanks;
  }
  const auto position = static_cast<int64_t>(choices_.size());
  while (!change_points_.empty() && change_points_.front() <= position) {
    change_points_.erase(change_points_.begin());
    ranks_[keys[highest()]] = next_low_rank_--;
  }
  return static_cast<uint32_t>(highest());
}

uint32_t Chooser::ChooseAmount(uint32_t width) {
  uint32_t choice = 0;
  if (Scripted(width, choice)) return Record(choice, width);
  const bool fixed = spec_.strategy == ChoiceSpec::Strategy::kFixed;
  return Record(fixed ? 0 : Uniform(width), width);
}

bool Chooser::ChooseFault(uint32_t odds) {
  uint32_t choice = 0;
  if (Scripted(2, choice)) return Record(choice, 2) != 0;
  const bool fixed = spec_.strategy == ChoiceSpec::Strategy::kFixed;
  return Record(!fixed && Uniform(odds) == 0 ? 1 : 0, 2) != 0;
}

}  // namespace parley::sim
