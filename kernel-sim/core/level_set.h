// A set of priority levels that knows its highest.
//
// Invariant: `highest_` is the highest level whose bit is set, -1 without one.
#ifndef PARLEY_KERNEL_SIM_CORE_LEVEL_SET_H_
#define PARLEY_KERNEL_SIM_CORE_LEVEL_SET_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernel-sim/core/bounds.h"

namespace parley {

class LevelSet {
 public:
  void Add(int level) {
    words_[Word(level)] |= Bit(level);
    highest_ = std::max(highest_, level);
  }
  void Remove(int level) {
    words_[Word(level)] &= ~Bit(level);
    if (level == highest_) highest_ = FindBelow(level);
  }
  bool Contains(int level) const { return (words_[Word(level)] & Bit(level)) != 0; }
  // -1 when empty.
  int Highest() const { return highest_; }

 private:
  static constexpr size_t Word(int level) { return static_cast<size_t>(level) / 64; }
  static constexpr uint64_t Bit(int level) { return uint64_t{1} << (level % 64); }
  // No level above `level` is set.
  int FindBelow(int level) const {
    for (int word = level / 64; word >= 0; --word) {
      if (words_[word] != 0) return word * 64 + 63 - std::countl_zero(words_[word]);
    }
    return -1;
  }

  std::array<uint64_t, kPriorityLevels / 64> words_ = {};
  int highest_ = -1;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_LEVEL_SET_H_
