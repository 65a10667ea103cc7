// Drives an object beside its model: at random from a printed seed, and through every sequence of a
// few choices.
//
// A Rig holds an object and its naive model. `Rig(Size, Choices&)` makes both empty;
// `Step(Choices&)` does one operation on both and compares them. A failure prints the seed that
// repeats it.
#ifndef PARLEY_TESTS_CORE_DRIVE_H_
#define PARLEY_TESTS_CORE_DRIVE_H_

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#if defined(__has_feature)
#define PARLEY_TEST_HAS_FEATURE(feature) __has_feature(feature)
#else
#define PARLEY_TEST_HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    PARLEY_TEST_HAS_FEATURE(address_sanitizer) || PARLEY_TEST_HAS_FEATURE(thread_sanitizer)
#define PARLEY_TEST_SLOWDOWN 20
#else
#define PARLEY_TEST_SLOWDOWN 1
#endif

namespace tests {

inline constexpr int kRandomOperations = 1'000'000 / PARLEY_TEST_SLOWDOWN;

enum class Size { kSmall, kLarge };

class Choices {
 public:
  virtual ~Choices() = default;
  // One of 0 to width - 1. REQUIRES: width > 0.
  virtual uint32_t Below(uint32_t width) = 0;
  template <typename Options>
  auto OneOf(Options&& options) -> decltype(options[0]) {
    return options[Below(static_cast<uint32_t>(options.size()))];
  }
};

class RandomChoices : public Choices {
 public:
  explicit RandomChoices(uint64_t seed) : random_(seed) {}
  uint32_t Below(uint32_t width) override {
    return static_cast<uint32_t>((random_() >> 32) * width >> 32);
  }

 private:
  std::mt19937_64 random_;
};

// All sequences of choices, one a run, in the order of counting.
class AllChoices : public Choices {
 public:
  uint32_t Below(uint32_t width) override {
    if (at_ == taken_.size()) taken_.push_back({0, width});
    return taken_[at_++].choice;
  }
  // To the next sequence; false after the last.
  bool Next() {
    at_ = 0;
    while (!taken_.empty() && taken_.back().choice + 1 == taken_.back().width) taken_.pop_back();
    if (taken_.empty()) return false;
    ++taken_.back().choice;
    return true;
  }

 private:
  struct Taken {
    uint32_t choice, width;
  };
  std::vector<Taken> taken_;
  size_t at_ = 0;
};

// PARLEY_TEST_SEED, or else another one in each run.
inline uint64_t TestSeed() {
  if (const char* given = std::getenv("PARLEY_TEST_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

template <typename Rig>
void DriveAtRandom(int operations = kRandomOperations) {
  constexpr int kOperationsOfOneRig = 5'000;
  const uint64_t seed = TestSeed();
  INFO("to repeat: PARLEY_TEST_SEED=", seed);
  // Also at once: a failed PARLEY_CHECK ends the program without the INFO.
  std::printf("PARLEY_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  RandomChoices choices(seed);
  for (int done = 0; done < operations; done += kOperationsOfOneRig) {
    Rig rig(choices.Below(4) == 0 ? Size::kSmall : Size::kLarge, choices);
    for (int i = 0; i < kOperationsOfOneRig; ++i) rig.Step(choices);
  }
}

template <typename Rig>
void DriveThroughAll(int operations) {
  if (PARLEY_TEST_SLOWDOWN > 1) --operations;
  AllChoices choices;
  do {
    Rig rig(Size::kSmall, choices);
    for (int i = 0; i < operations; ++i) rig.Step(choices);
  } while (choices.Next());
}

}  // namespace tests

#endif  // PARLEY_TESTS_CORE_DRIVE_H_
