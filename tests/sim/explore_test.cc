// Exploration, shrinking and replay strings, over toy runs that need no kernel.
#include "kernel-sim/explore.h"

#include <doctest/doctest.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"

namespace parley {
namespace {

using Strategy = ChoiceSpec::Strategy;
using Choices = std::vector<uint32_t>;

// A run that makes choices, as a kernel would: from a script, or from the seed.
class ToyRun {
 public:
  explicit ToyRun(const ChoiceSpec& spec) : spec_(spec), random_(spec.seed) {}

  uint32_t Choose(uint32_t width) {
    const size_t at = report_.choices.size();
    const bool scripted =
        spec_.strategy == Strategy::kReplay || spec_.strategy == Strategy::kExhaustive;
    uint32_t choice = scripted ? (at < spec_.script.size() ? spec_.script[at] : 0)
                               : static_cast<uint32_t>(random_() % width);
    if (choice >= width) {
      report_.misfit = true;
      choice = 0;
    }
    report_.choices.push_back(choice);
    report_.choice_widths.push_back(width);
    return choice;
  }

  RunReport Finish(bool failed) {
    report_.deadlock = failed;
    report_.choices_made = report_.choices.size();
    while (!report_.choices.empty() && report_.choices.back() == 0) report_.choices.pop_back();
    return report_;
  }

 private:
  const ChoiceSpec spec_;
  std::mt19937_64 random_;
  RunReport report_;
};

bool Deadlocked(const RunReport& report) { return report.deadlock; }
void NoProgress(int64_t) {}

ExploreOptions OptionsOf(Strategy strategy, int64_t runs) {
  ExploreOptions options;
  options.strategy = strategy;
  options.runs = runs;
  return options;
}

RunReport Replay(const RunWith& run, const Choices& choices) {
  ChoiceSpec spec;
  spec.strategy = Strategy::kReplay;
  spec.script = choices;
  return run(spec);
}

TEST_CASE("depth first, every leaf of the tree of choices is run exactly once") {
  // The width of the third choice depends on the first two: 2 * 3 inner nodes, 1 to 4 leaves each.
  std::multiset<std::string> leaves;
  const RunWith run = [&](const ChoiceSpec& spec) {
    ToyRun toy(spec);
    const uint32_t first = toy.Choose(2), second = toy.Choose(3);
    const uint32_t third = toy.Choose(1 + first + second);
    leaves.insert(absl::StrCat(first, second, third));
    return toy.Finish(false);
  };
  const ExploreResult result =
      Explore(OptionsOf(Strategy::kExhaustive, 1000), run, Deadlocked, NoProgress);
  CHECK(result.exhausted);
  CHECK_FALSE(result.failed);
  CHECK(result.runs == (1 + 2 + 3) + (2 + 3 + 4));
  CHECK(leaves.size() == 15);
  CHECK(std::set<std::string>(leaves.begin(), leaves.end()).size() == 15);
}

TEST_CASE("depth first, a run without choices is the only one") {
  const RunWith run = [](const ChoiceSpec& spec) { return ToyRun(spec).Finish(false); };
  const ExploreResult result =
      Explore(OptionsOf(Strategy::kExhaustive, 1000), run, Deadlocked, NoProgress);
  CHECK(result.exhausted);
  CHECK(result.runs == 1);
}

TEST_CASE("depth first stops at the number of runs and does not claim to have seen all") {
  const RunWith run = [](const ChoiceSpec& spec) {
    ToyRun toy(spec);
    for (int i = 0; i < 20; ++i) toy.Choose(2);
    return toy.Finish(false);
  };
  int64_t told = 0;
  const ExploreResult result = Explore(OptionsOf(Strategy::kExhaustive, 100), run, Deadlocked,
                                       [&](int64_t done) { told = done; });
  CHECK_FALSE(result.exhausted);
  CHECK(result.runs == 100);
  CHECK(told == 100);
}

TEST_CASE("random runs take one seed after the other, from the one that was asked for") {
  std::vector<uint64_t> seeds;
  const RunWith run = [&](const ChoiceSpec& spec) {
    seeds.push_back(spec.seed);
    return ToyRun(spec).Finish(false);
  };
  ExploreOptions options = OptionsOf(Strategy::kRandom, 3);
  options.seed = 40;
  Explore(options, run, Deadlocked, NoProgress);
  CHECK(seeds == std::vector<uint64_t>{40, 41, 42});
}

TEST_CASE("PCT spreads its change points over as many choices as the run before made") {
  std::vector<int64_t> expected;
  const RunWith run = [&](const ChoiceSpec& spec) {
    expected.push_back(spec.expected_choices);
    CHECK(spec.strategy == Strategy::kPct);
    CHECK(spec.depth == 5);
    ToyRun toy(spec);
    for (int i = 0; i < 37; ++i) toy.Choose(2);
    return toy.Finish(false);
  };
  ExploreOptions options = OptionsOf(Strategy::kPct, 3);
  options.depth = 5;
  Explore(options, run, Deadlocked, NoProgress);
  CHECK(expected == std::vector<int64_t>{ChoiceSpec().expected_choices, 37, 37});
}

TEST_CASE("a failure is shrunk to the choices that it needs, at their lowest values") {
  // Fails when choice 7 is at least 3 and choice 31 is not 0; 60 choices of width 10 are made.
  const RunWith run = [](const ChoiceSpec& spec) {
    ToyRun toy(spec);
    bool failed = true;
    for (int i = 0; i < 60; ++i) {
      const uint32_t choice = toy.Choose(10);
      if (i == 7) failed = failed && choice >= 3;
      if (i == 31) failed = failed && choice != 0;
    }
    return toy.Finish(failed);
  };
  const ExploreResult result =
      Explore(OptionsOf(Strategy::kRandom, 1000), run, Deadlocked, NoProgress);
  REQUIRE(result.failed);
  Choices minimal(32, 0);
  minimal[7] = 3;
  minimal[31] = 1;
  CHECK(result.choices == minimal);
  CHECK(result.report.deadlock);
  CHECK(result.shrink_runs <= ExploreOptions().max_shrink_runs);
}

TEST_CASE("a shrunk failure replays without a choice out of range") {
  // The first choice sets the width of all later ones, so lowering it makes high ones misfit.
  const RunWith run = [](const ChoiceSpec& spec) {
    ToyRun toy(spec);
    const uint32_t width = 2 + toy.Choose(8);
    uint32_t sum = 0;
    for (int i = 0; i < 12; ++i) sum += toy.Choose(width);
    return toy.Finish(sum >= 5);
  };
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    ExploreOptions options = OptionsOf(Strategy::kRandom, 1000);
    options.seed = seed;
    const ExploreResult result = Explore(options, run, Deadlocked, NoProgress);
    REQUIRE(result.failed);
    CHECK_FALSE(result.report.misfit);
    const RunReport replayed = Replay(run, result.choices);
    CHECK_FALSE(replayed.misfit);
    CHECK(replayed.deadlock);
    CHECK(replayed.choices == result.choices);
  }
}

TEST_CASE("shrinking keeps to its number of runs") {
  const RunWith run = [](const ChoiceSpec& spec) {
    ToyRun toy(spec);
    uint32_t sum = 0;
    for (int i = 0; i < 500; ++i) sum += toy.Choose(10);
    return toy.Finish(sum >= 1000);
  };
  ExploreOptions options = OptionsOf(Strategy::kRandom, 1);
  options.max_shrink_runs = 20;
  const ExploreResult result = Explore(options, run, Deadlocked, NoProgress);
  REQUIRE(result.failed);
  CHECK(result.shrink_runs == 20);
  CHECK(Replay(run, result.choices).deadlock);
}

TEST_CASE("a replay string gives back the choices that it was made from") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    Choices choices(random() % 40);
    for (uint32_t& choice : choices) choice = random() % 3 == 0 ? random() % 5000 : 0;
    if (!choices.empty()) choices.back() = 1;
    const auto parsed = ParseReplayString(ReplayString(choices, "a world"), "a world");
    REQUIRE(parsed.ok());
    REQUIRE(*parsed == choices);
  }
}

TEST_CASE("a replay string of many equal choices is short") {
  CHECK(ReplayString(Choices(100'000, 1), "a world").size() < 24);
}

TEST_CASE(
    "a replay string with any one character changed or missing is refused or means the same") {
  const Choices choices = {0, 0, 0, 1, 2, 0, 0, 12, 1};
  const std::string text = ReplayString(choices, "a world");
  for (size_t at = 0; at < text.size(); ++at) {
    for (char letter : std::string("0123456789abcdefx.-p+ ")) {
      std::string changed = text;
      changed[at] = letter;
      const auto parsed = ParseReplayString(changed, "a world");
      CHECK_MESSAGE((!parsed.ok() || *parsed == choices), changed);
    }
    std::string shorter = text;
    shorter.erase(at, 1);
    const auto parsed = ParseReplayString(shorter, "a world");
    CHECK_MESSAGE((!parsed.ok() || *parsed == choices), shorter);
  }
}

TEST_CASE("a replay string of another world, of another form or of no bound is refused") {
  const std::string text = ReplayString({1, 2, 3}, "a world");
  CHECK_FALSE(ParseReplayString(text, "another world").ok());
  for (const char* wrong : {"", "p1", "p1-0000", "p2-0000-1", "p1-0000-1-1", "hello", "p1-zzzz-1",
                            "p1-0000-1x99999999999", "p1-0000-1x16777217", "p1-0000-9999999999"}) {
    CHECK_MESSAGE(!ParseReplayString(wrong, "a world").ok(), wrong);
  }
}

}  // namespace
}  // namespace parley
