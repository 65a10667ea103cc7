// `parley explore`: many schedules of one manifest, until one fails.
#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "apps/parley/arguments.h"
#include "apps/parley/commands.h"
#include "apps/parley/runner.h"
#include "apps/parley/summary.h"

namespace parley_tool {

const char kExploreHelp[] =
    "usage: parley explore MANIFEST [--runs N] [--strategy random|pct|exhaustive] [--depth D] "
    "[--seed N]\n\n"
    "At most N runs (--runs, default 1000), each another schedule (--strategy, default random):\n\n"
    "  random      every choice is drawn, each run from the next seed (--seed, default 1)\n"
    "  pct         random ranks with D - 1 changes a run (--depth, default 3): finds bugs of that "
    "depth\n"
    "  exhaustive  every choice, depth first; for small cases\n\n"
    "Stops at the first failure, makes its schedule as short as it can, and prints how to replay "
    "it.\n";

namespace {

// On a terminal a line that is written over; else one line for each tenth.
class ProgressLine {
 public:
  explicit ProgressLine(int64_t runs) : runs_(runs), terminal_(isatty(STDERR_FILENO) != 0) {}
  ~ProgressLine() {
    if (terminal_) std::fprintf(stderr, "\r\033[K");
  }
  void operator()(int64_t done) {
    if (terminal_ ? done % 64 == 0 : done % std::max<int64_t>(runs_ / 10, 1) == 0) {
      std::fprintf(stderr, terminal_ ? "\r%lld of %lld runs" : "%lld of %lld runs\n",
                   static_cast<long long>(done), static_cast<long long>(runs_));
    }
  }

 private:
  const int64_t runs_;
  const bool terminal_;
};

absl::StatusOr<parley::ExploreOptions> OptionsOf(const Arguments& arguments) {
  using Strategy = parley::ChoiceSpec::Strategy;
  parley::ExploreOptions options;
  const std::string strategy = arguments.Get("--strategy", "random");
  if (strategy == "random") {
    options.strategy = Strategy::kRandom;
  } else if (strategy == "pct") {
    options.strategy = Strategy::kPct;
  } else if (strategy == "exhaustive") {
    options.strategy = Strategy::kExhaustive;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("--strategy=", strategy, ": expected random, pct or exhaustive"));
  }
  auto runs = arguments.GetInteger("--runs", 1000, 1, 1'000'000'000);
  auto depth = arguments.GetInteger("--depth", 3, 1, 1000);
  auto seed = arguments.GetInteger("--seed", 1, 0, std::numeric_limits<int64_t>::max());
  for (const auto& value : {runs, depth, seed}) {
    if (!value.ok()) return value.status();
  }
  options.runs = *runs;
  options.depth = static_cast<int>(*depth);
  options.seed = static_cast<uint64_t>(*seed);
  return options;
}

}  // namespace

int ExploreCommand(const std::vector<std::string>& words) {
  auto arguments =
      Arguments::Parse(words, {"--runs=", "--strategy=", "--depth=", "--seed="}, {"MANIFEST"});
  if (!arguments.ok()) return Misuse(arguments.status());
  auto options = OptionsOf(*arguments);
  if (!options.ok()) return Misuse(options.status());
  auto manifest = ReadManifest(arguments->position(0));
  if (!manifest.ok()) return Failure(manifest.status());
  // What is wrong with the manifest's processes shows in a first run.
  if (auto first = RunOnce(*manifest, {}, nullptr, false); !first.ok())
    return Failure(first.status());

  const absl::Time begin = absl::Now();
  parley::ExploreResult result;
  {
    ProgressLine progress(options->runs);
    result = parley::Explore(
        *options,
        [&](const parley::ChoiceSpec& spec) { return *RunOnce(*manifest, spec, nullptr, false); },
        [&](const parley::RunReport& report) { return Failed(*manifest, report); },
        [&](int64_t done) { progress(done); });
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  std::printf("%s: %lld schedules in %.1f s%s\n", manifest->name.c_str(),
              static_cast<long long>(result.runs), seconds,
              result.exhausted ? ", which are all there are" : "");
  if (!result.failed) {
    std::printf("no failure\n");
    return 0;
  }
  std::printf("schedule %lld failed; shrunk in %d more runs to %zu choices:\n",
              static_cast<long long>(result.runs), result.shrink_runs, result.choices.size());
  PrintProblems(*manifest, result.report);
  std::printf("replay: parley replay %s %s\n", manifest->path.c_str(),
              parley::ReplayString(result.choices, manifest->text).c_str());
  return 1;
}

}  // namespace parley_tool
