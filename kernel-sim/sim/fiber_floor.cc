// The cost of a fiber switch there and back, measured.
#include <chrono>

#include "kernel-sim/boot.h"
#include "kernel-sim/sim/fiber.h"

namespace parley {
namespace {

struct Pair {
  sim::Fiber host;
  sim::Fiber* other = nullptr;
};

}  // namespace

double MeasureFiberSwitchNs() {
  constexpr int kTrips = 100'000;
  sim::StackPool stacks(64 << 10);
  auto stack = stacks.Take();
  if (!stack.ok()) return 0;
  Pair pair;
  sim::Fiber other(
      *stack,
      [](void* argument) {
        auto* pair = static_cast<Pair*>(argument);
        for (;;) sim::Fiber::Switch(*pair->other, pair->host);
      },
      &pair);
  pair.other = &other;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kTrips; ++i) sim::Fiber::Switch(pair.host, other);
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - begin;
  return elapsed.count() / kTrips;
}

}  // namespace parley
