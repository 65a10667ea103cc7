// Runs and their judgement.
#include "apps/parley/runner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "apps/parley/programs.h"

namespace parley_tool {
namespace {

const parley::ProcessReport* FindProcess(const parley::RunReport& report, const std::string& name) {
  for (const parley::ProcessReport& process : report.processes) {
    if (process.name == name) return &process;
  }
  return nullptr;
}

constexpr int64_t kStillRunning = -1;  // where an exit code is expected

int64_t ValueOf(const Expectation& expectation, const parley::RunReport& report) {
  using Subject = Expectation::Subject;
  if (expectation.subject == Subject::kDeadlock) return report.deadlock ? 1 : 0;
  const parley::ProcessReport* process = FindProcess(report, expectation.process);
  if (process == nullptr) return 0;
  if (expectation.subject == Subject::kExit) {
    return process->running ? kStillRunning : process->exit.code;
  }
  if (expectation.subject == Subject::kLateResponses) {
    return static_cast<int64_t>(process->late_responses);
  }
  auto counter = process->counters.find(expectation.counter);
  return counter == process->counters.end() ? 0 : counter->second;
}

std::string Outcome(const Expectation& expectation, int64_t value) {
  using Subject = Expectation::Subject;
  if (expectation.subject == Subject::kDeadlock)
    return value == 1 ? "there was one" : "there was none";
  if (expectation.subject == Subject::kExit && value == kStillRunning) return "it has not ended";
  return absl::StrCat("it was ", value);
}

bool Expects(const Manifest& manifest, Expectation::Subject subject, const std::string& process) {
  return std::any_of(manifest.expectations.begin(), manifest.expectations.end(),
                     [&](const Expectation& expectation) {
                       return expectation.subject == subject && expectation.process == process;
                     });
}

bool ExpectsDeadlock(const Manifest& manifest) {
  return std::any_of(manifest.expectations.begin(), manifest.expectations.end(),
                     [](const Expectation& expectation) {
                       return expectation.subject == Expectation::Subject::kDeadlock &&
                              expectation.at_most == 1;
                     });
}

}  // namespace

namespace {

absl::StatusOr<parley::RunReport> RunOn(const Manifest& manifest, const ipc::KernelChoice& kernel) {
  auto in_manifest = [&](const absl::Status& status, absl::string_view where) {
    return absl::Status(status.code(), absl::StrCat(manifest.path, ": ", where, status.message()));
  };
  auto machine = ipc::MakeMachine(kernel, Programs());
  if (!machine.ok()) return in_manifest(machine.status(), "");
  for (const parley::InitialProcess& process : manifest.processes) {
    if (absl::Status added = (*machine)->Add(process); !added.ok()) {
      return in_manifest(added, absl::StrCat("process ", process.options.name, ": "));
    }
  }
  return (*machine)->Run();
}

}  // namespace

absl::StatusOr<parley::RunReport> RunOnHost(const Manifest& manifest,
                                            const parley::HostOptions& options) {
  return RunOn(manifest, options);
}

absl::StatusOr<parley::RunReport> RunOnce(const Manifest& manifest,
                                          const parley::ChoiceSpec& choices,
                                          parley::TraceSink* trace, bool hash_trace) {
  parley::SimulationOptions options = manifest.options;
  options.choices = choices;
  options.trace = trace;
  options.hash_trace = hash_trace;
  return RunOn(manifest, options);
}

std::vector<std::string> Judge(const Manifest& manifest, const parley::RunReport& report) {
  std::vector<std::string> failures;
  for (const Expectation& expectation : manifest.expectations) {
    const int64_t value = ValueOf(expectation, report);
    if (value >= expectation.at_least && value <= expectation.at_most) continue;
    failures.push_back(absl::StrCat(manifest.path, ":", expectation.line, ": expected ",
                                    expectation.Describe(), "; ", Outcome(expectation, value)));
  }
  for (const parley::ProcessReport& process : report.processes) {
    if (process.running || Expects(manifest, Expectation::Subject::kExit, process.name)) continue;
    if (process.killed_from_outside) {
      failures.push_back(absl::StrCat(process.name, ": ", process.exit.reason));
    } else if (process.exit.code != 0 && process.exit.kind == parley::ExitKind::kReturned) {
      failures.push_back(absl::StrCat(process.name, ": exited with ", process.exit.code));
    }
  }
  if (report.timed_out) failures.push_back("the run was stopped at its time limit");
  return failures;
}

bool Failed(const Manifest& manifest, const parley::RunReport& report) {
  const bool expected_deadlock = report.deadlock && ExpectsDeadlock(manifest);
  const bool crashed = std::any_of(report.processes.begin(), report.processes.end(),
                                   [](const parley::ProcessReport& process) {
                                     return process.exit.kind > parley::ExitKind::kKilled;
                                   });
  return crashed || (!report.problems.empty() && !expected_deadlock) ||
         !Judge(manifest, report).empty();
}

}  // namespace parley_tool
