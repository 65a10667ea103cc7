// A set of priority levels that knows its highest at once.
//
// Invariant: bit W of `words_in_use_` is set exactly when word W is not 0.
#ifndef PARLEY_KERNEL_SIM_CORE_LEVEL_SET_H_
#define PARLEY_KERNEL_SIM_CORE_LEVEL_SET_H_

#include <array>
#include <bit>
#include <cstdint>

#include "kernel-sim/core/bounds.h"

namespace parley {

class LevelSet {
 public:
  void Add(int level) {
    words_[Word(level)] |= Bit(level);
    words_in_use_ |= 1u << Word(level);
  }
  void Remove(int level) {
    uint64_t& word = words_[Word(level)];
    word &= ~Bit(level);
    if (word == 0) words_in_use_ &= ~(1u << Word(level));
  }
  bool Contains(int level) const { return (words_[Word(level)] & Bit(level)) != 0; }
  // -1 when empty.
  int Highest() const {
    if (words_in_use_ == 0) return -1;
    const int word = std::bit_width(words_in_use_) - 1;
    return word * 64 + static_cast<int>(std::bit_width(words_[word])) - 1;
  }

 private:
  static constexpr unsigned Word(int level) { return static_cast<unsigned>(level) / 64; }
  static constexpr uint64_t Bit(int level) { return uint64_t{1} << (static_cast<unsigned>(level) % 64); }

  std::array<uint64_t, kPriorityLevels / 64> words_ = {};
  uint32_t words_in_use_ = 0;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_LEVEL_SET_H_
