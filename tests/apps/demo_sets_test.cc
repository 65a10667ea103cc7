// Tests of the demo app sets by their manifests: apps/pathfinder, apps/philosophers.
#include <doctest/doctest.h>

#include <string>

#include "apps/parley/manifest.h"
#include "apps/parley/runner.h"

namespace parley_tool {
namespace {

constexpr uint64_t kSchedules = 200;

Manifest Read(const std::string& path) {
  auto manifest = ReadManifest(path);
  REQUIRE_MESSAGE(manifest.ok(), manifest.status().ToString());
  return *std::move(manifest);
}

parley::RunReport Run(const Manifest& manifest, const parley::ChoiceSpec& choices = {}) {
  auto report = RunOnce(manifest, choices, nullptr, false);
  REQUIRE_MESSAGE(report.ok(), report.status().ToString());
  return *std::move(report);
}

uint64_t CountDeadlocks(const Manifest& manifest) {
  uint64_t deadlocks = 0;
  for (uint64_t seed = 1; seed <= kSchedules; ++seed) {
    parley::ChoiceSpec choices;
    choices.strategy = parley::ChoiceSpec::Strategy::kRandom;
    choices.seed = seed;
    if (Run(manifest, choices).deadlock) ++deadlocks;
  }
  return deadlocks;
}

TEST_CASE(
    "Pathfinder: with inheritance no cycle is late (P3), with a fixed priority some are (P5)") {
  for (const char* path :
       {"apps/pathfinder/pathfinder.toml", "apps/pathfinder/pathfinder-fixed.toml"}) {
    const Manifest manifest = Read(path);
    CHECK(Judge(manifest, Run(manifest)).empty());
  }
}

TEST_CASE(
    "philosophers: the plain schedule of the naive table passes and others end in a deadlock") {
  const Manifest manifest = Read("apps/philosophers/philosophers-naive.toml");
  CHECK_FALSE(Failed(manifest, Run(manifest)));
  const uint64_t deadlocks = CountDeadlocks(manifest);
  CHECK(deadlocks > 0);
  CHECK(deadlocks < kSchedules);
}

TEST_CASE("philosophers: no schedule of the ordered table ends in a deadlock") {
  const Manifest manifest = Read("apps/philosophers/philosophers-ordered.toml");
  CHECK_FALSE(Failed(manifest, Run(manifest)));
  CHECK(CountDeadlocks(manifest) == 0);
}

}  // namespace
}  // namespace parley_tool
