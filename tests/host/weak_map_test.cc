// A map of what is shared elsewhere.
#include "kernel-sim/host/weak_map.h"

#include <doctest/doctest.h>

#include <vector>

namespace parley::host {
namespace {

TEST_CASE("weak map: finds what lives, and what was added in the place of what has gone") {
  WeakMap<int, int> map;
  CHECK(map.Find(1) == nullptr);
  auto first = std::make_shared<int>(10);
  map.Add(1, first);
  CHECK(map.Find(1) == first);
  first.reset();
  CHECK(map.Find(1) == nullptr);
  const auto second = std::make_shared<int>(20);
  map.Add(1, second);
  CHECK(map.Find(1) == second);
  map.Remove(1);
  CHECK(map.Find(1) == nullptr);
  map.Remove(1);
}

TEST_CASE("weak map: what has gone takes no room for ever, and what lives stays") {
  WeakMap<int, int> map;
  std::vector<std::shared_ptr<int>> kept;
  for (int i = 0; i < 100'000; ++i) {
    auto object = std::make_shared<int>(i);
    map.Add(i, object);
    if (i % 1000 == 0) kept.push_back(object);
  }
  CHECK(map.size() <= 2 * kept.size() + 64);
  for (const auto& object : kept) CHECK(map.Find(*object) == object);
}

}  // namespace
}  // namespace parley::host
