// A short-lived launcher with one program.
#include "apps/parley/visit.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "apps/parley/commands.h"
#include "apps/parley/standard_output.h"
#include "libipc/machine.h"

namespace parley_tool {
namespace {

// What the program prints, it prints from a process of its own.
std::function<int(ipc::Process&)> Printing(const std::function<int(ipc::Process&)>& program) {
  return [&program](ipc::Process& self) { return Written(program(self)); };
}

// Of the only process.
int StatusOf(const parley::RunReport& report) {
  if (report.processes.empty()) return 1;
  const parley::ProcessReport& process = report.processes[0];
  if (process.exit.kind == parley::ExitKind::kReturned) return process.exit.code;
  return Failure(absl::UnknownError(absl::StrCat(process.name, ": ", process.exit.reason)));
}

}  // namespace

int Visit(const std::string& broker, absl::Duration patience,
          const std::function<int(ipc::Process&)>& ask) {
  const parley::HostOptions options = {.limit_ns = absl::ToInt64Nanoseconds(patience),
                                       .join = broker};
  auto machine = ipc::MakeMachine(options, {{"parley-tool", Printing(ask)}});
  if (!machine.ok()) return Failure(machine.status());
  if (absl::Status added = (*machine)->Add({.program = "parley-tool", .options = {}});
      !added.ok()) {
    return Failure(added);
  }
  const parley::RunReport report = (*machine)->Run();
  if (!report.problems.empty()) return Failure(absl::UnknownError(report.problems[0]));
  if (report.timed_out) {
    return Failure(absl::DeadlineExceededError(absl::StrCat(broker, ": no answer within ",
                                                            absl::FormatDuration(patience),
                                                            "; `parley ps` shows who is busy")));
  }
  return StatusOf(report);
}

int Stay(const std::string& broker, const std::string& name,
         const std::vector<std::string>& arguments,
         const std::function<int(ipc::Process&)>& program) {
  auto machine = ipc::MakeMachine(parley::HostOptions{.join = broker}, {{name, Printing(program)}});
  if (!machine.ok()) return Failure(machine.status());
  parley::InitialProcess process = {.program = name, .options = {}};
  process.options.arguments = arguments;
  if (absl::Status added = (*machine)->Add(process); !added.ok()) return Failure(added);
  const parley::RunReport report = (*machine)->Run();
  // The only thing of which a run that has joined says so.
  const bool stopped = report.problems == std::vector<std::string>{"interrupted"};
  if (stopped) return 0;
  if (report.problems == std::vector<std::string>{parley::RunReport::kJoinedRunEnded}) {
    std::fprintf(stderr, "%s\n", parley::RunReport::kJoinedRunEnded);
    return 0;
  }
  if (!report.problems.empty()) return Failure(absl::UnknownError(report.problems[0]));
  return StatusOf(report);
}

}  // namespace parley_tool
