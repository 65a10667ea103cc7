// Exploration strategies, shrinking, and replay strings.
#include "kernel-sim/explore.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace parley {
namespace {

using Choices = std::vector<uint32_t>;
constexpr absl::string_view kFormat = "p1";  // of replay strings
constexpr size_t kMaxReplayChoices = size_t{1} << 24;

// Depth first: the next list after the one that was taken, by its last choice that has room. Empty
// at the end.
Choices NextScript(const RunReport& report) {
  Choices next = report.choices;
  next.resize(report.choice_widths.size());  // trailing zeros were cut
  while (!next.empty()) {
    if (next.back() + 1 < report.choice_widths[next.size() - 1]) {
      ++next.back();
      return next;
    }
    next.pop_back();
  }
  return next;
}

// Makes a failing list smaller while it goes on failing: shorter first, then with fewer choices
// that are not 0, then with lower ones. Each list that is kept is at most the one before it, choice
// by choice, so this ends.
class Shrinker {
 public:
  Shrinker(const RunWith& run, const Failed& failed, ExploreResult& result, int max_runs)
      : run_(run), failed_(failed), result_(result), max_runs_(max_runs) {}

  void Shrink() {
    Choices before;
    do {
      before = best();
      CutTail();
      for (size_t chunk = std::max<size_t>(best().size() / 2, 1);; chunk /= 2) {
        ZeroChunks(chunk);
        if (chunk <= 1) break;
      }
      LowerValues();
    } while (before != best());
  }

 private:
  const Choices& best() const { return result_.choices; }

  RunReport Replay(const Choices& script) {
    ++result_.shrink_runs;
    ChoiceSpec spec;
    spec.strategy = ChoiceSpec::Strategy::kReplay;
    spec.script = script;
    return run_(spec);
  }

  bool Try(Choices candidate) {
    while (!candidate.empty() && candidate.back() == 0) candidate.pop_back();
    if (result_.shrink_runs >= max_runs_ || candidate == best()) return false;
    RunReport report = Replay(candidate);
    // A choice that changed may leave later ones out of range. What the run made of them fits.
    if (report.misfit && result_.shrink_runs < max_runs_) report = Replay(Choices(report.choices));
    if (report.misfit) return false;
    if (!failed_(report)) return false;
    result_.choices = report.choices;
    result_.report = std::move(report);
    return true;
  }

  void CutTail() {
    for (size_t keep = 0; keep < best().size(); keep = keep * 2 + 1) {
      if (Try(Choices(best().begin(), best().begin() + static_cast<ptrdiff_t>(keep)))) return;
    }
  }

  void ZeroChunks(size_t chunk) {
    for (size_t at = 0; at < best().size(); at += chunk) {
      Choices candidate = best();
      const size_t end = std::min(at + chunk, candidate.size());
      std::fill(candidate.begin() + static_cast<ptrdiff_t>(at),
                candidate.begin() + static_cast<ptrdiff_t>(end), 0);
      Try(std::move(candidate));
    }
  }

  void LowerValues() {
    for (size_t at = 0; at < best().size(); ++at) {
      const uint32_t value = best()[at];
      for (const uint32_t lower : {uint32_t{1}, value / 2, value - 1}) {
        if (value < 2 || lower >= value) continue;
        Choices candidate = best();
        candidate[at] = lower;
        if (Try(std::move(candidate))) break;
      }
    }
  }

  const RunWith& run_;
  const Failed& failed_;
  ExploreResult& result_;
  const int max_runs_;
};

uint32_t Checksum(const Choices& choices, absl::string_view world) {
  uint32_t hash = 2166136261u;
  auto mix = [&](uint32_t value) { hash = (hash ^ value) * 16777619u; };
  for (char letter : world) mix(static_cast<unsigned char>(letter));
  for (uint32_t choice : choices) mix(choice + 256);
  return (hash ^ hash >> 16) & 0xffff;
}

absl::Status Refuse(absl::string_view why) {
  return MakeError(Error::kInvalidArgument, absl::StrCat("the replay string ", why));
}

}  // namespace

ExploreResult Explore(const ExploreOptions& options, const RunWith& run, const Failed& failed,
                      const Progress& progress) {
  ExploreResult result;
  ChoiceSpec spec;
  spec.strategy = options.strategy;
  spec.depth = options.depth;
  for (int64_t i = 0; i < options.runs; ++i) {
    spec.seed = options.seed + static_cast<uint64_t>(i);
    RunReport report = run(spec);
    ++result.runs;
    progress(result.runs);
    spec.expected_choices = std::max<int64_t>(1, static_cast<int64_t>(report.choices_made));
    if (failed(report)) {
      result.failed = true;
      result.choices = report.choices;
      result.report = std::move(report);
      Shrinker(run, failed, result, options.max_shrink_runs).Shrink();
      return result;
    }
    if (options.strategy != ChoiceSpec::Strategy::kExhaustive) continue;
    spec.script = NextScript(report);
    if (spec.script.empty()) {
      result.exhausted = true;
      return result;
    }
  }
  return result;
}

// p1-CHECKSUM-RUNS: runs are CHOICExCOUNT, or CHOICE alone, separated by dots.
std::string ReplayString(const Choices& choices, absl::string_view world) {
  std::string text = absl::StrFormat("%s-%04x-", std::string(kFormat), Checksum(choices, world));
  for (size_t at = 0; at < choices.size();) {
    size_t end = at;
    while (end < choices.size() && choices[end] == choices[at]) ++end;
    absl::StrAppend(&text, at == 0 ? "" : ".", choices[at]);
    if (end - at > 1) absl::StrAppend(&text, "x", end - at);
    at = end;
  }
  return text;
}

absl::StatusOr<Choices> ParseReplayString(absl::string_view text, absl::string_view world) {
  const std::vector<absl::string_view> fields = absl::StrSplit(text, '-');
  if (fields.size() != 3 || fields[0] != kFormat) {
    return Refuse("is not of the form p1-CHECKSUM-CHOICES");
  }
  Choices choices;
  for (absl::string_view run : absl::StrSplit(fields[2], '.', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(run, absl::MaxSplits('x', 1));
    uint32_t choice = 0;
    size_t count = 1;
    if (!absl::SimpleAtoi(parts.first, &choice) ||
        (!parts.second.empty() && !absl::SimpleAtoi(parts.second, &count)) ||
        count > kMaxReplayChoices - choices.size()) {
      return Refuse(absl::StrCat("has a part that is no choice: '", run, "'"));
    }
    choices.insert(choices.end(), count, choice);
  }
  if (fields[1] != absl::StrFormat("%04x", Checksum(choices, world))) {
    return Refuse("is mistyped, or of another manifest or version of it");
  }
  return choices;
}

}  // namespace parley
