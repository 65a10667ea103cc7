// How long a wait without sleep is worth a try is learned (kernel-sim/host/spin.h).
#include "kernel-sim/host/spin.h"

#include <doctest/doctest.h>

namespace parley::host::tests {
namespace {

constexpr SpinBounds kBounds = {.least_ns = 2'000, .most_ns = 1'000'000};
constexpr int64_t kWaitNs = 100'000;
constexpr int kWaits = 100;

// How many of kWaits waits of kWaitNs were not given up. After each of the others: other().
template <typename Other>
int CountInTime(Spinner& spinner, Other other) {
  int in_time = 0;
  for (int i = 0; i < kWaits; ++i) {
    const int64_t end = MonotonicNs() + kWaitNs;
    if (spinner.Spin([&] { return MonotonicNs() >= end; })) {
      ++in_time;
    } else {
      other();
    }
  }
  return in_time;
}

// A busy machine may hold the thread up in any wait, but hardly in half of them.
TEST_CASE("who has waited in vain tries less, and more again once sleeps were short") {
  Spinner spinner(kBounds);
  CHECK(CountInTime(spinner, [] {}) > kWaits / 2);
  for (int i = 0; i < 20; ++i) {
    CHECK_FALSE(spinner.Spin([] { return false; }));
    spinner.LearnFrom(2 * kBounds.most_ns);
  }
  CHECK(CountInTime(spinner, [&] { spinner.LearnFrom(2 * kBounds.most_ns); }) < kWaits / 2);
  CHECK(CountInTime(spinner, [&] { spinner.LearnFrom(kWaitNs); }) > kWaits / 2);
}

}  // namespace
}  // namespace parley::host::tests
