// Runs programs on a kernel, for tests: the name server is added, problems fail the test unless
// expected.
//
// On the host kernel every process is a real one, forked from the test: see shared.h for what it
// shares with the test, child_checks.h for its checks.
#ifndef PARLEY_TESTS_SUPPORT_WORLD_H_
#define PARLEY_TESTS_SUPPORT_WORLD_H_

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "ipc/world.h"
#include "libipc/machine.h"
#include "tests/support/child_checks.h"

namespace tests {

// A process of a test's world. Its program is known by the same name.
struct Actor {
  std::string name;
  std::function<int(ipc::Process&)> main;
  bool service = false;  // the run does not wait for it
  ipc::Scheduling scheduling = {};
  int ceiling = 255;
  // Default: root's on the simulated kernel, else those of the test program.
  std::optional<uint32_t> uid = {}, gid = {};
  bool only_program = false;  // not started: for Process::Start
  std::vector<std::string> arguments = {};
};

inline parley::RunReport RunAny(const std::vector<Actor>& actors,
                                const ipc::KernelChoice& kernel = {}) {
  ipc::ProgramTable programs = {{"nameserver", ipc::RunNameServer}};
  for (const Actor& actor : actors) programs.push_back({actor.name, actor.main});
  auto machine = ipc::MakeMachine(kernel, programs);
  REQUIRE_MESSAGE(machine.ok(), machine.status().ToString());
  parley::InitialProcess names;
  names.program = "nameserver";
  names.name_server = true;
  names.options.scheduling.priority = parley::kMaxPriority;
  REQUIRE((*machine)->Add(names).ok());
  for (const Actor& actor : actors) {
    if (actor.only_program) continue;
    parley::InitialProcess process;
    process.program = actor.name;
    process.service = actor.service;
    process.options.arguments = actor.arguments;
    process.options.scheduling.priority = actor.scheduling.priority;
    process.options.scheduling.policy = static_cast<parley::Policy>(actor.scheduling.policy);
    process.options.scheduling.slice_ns = absl::ToInt64Nanoseconds(actor.scheduling.slice);
    process.options.scheduling.budget_ns = absl::ToInt64Nanoseconds(actor.scheduling.budget);
    process.options.scheduling.period_ns = absl::ToInt64Nanoseconds(actor.scheduling.period);
    process.options.scheduling.low_priority = actor.scheduling.low_priority;
    process.options.scheduling.max_replenishments = actor.scheduling.max_replenishments;
    process.options.ceiling = actor.ceiling;
    process.options.uid = actor.uid;
    process.options.gid = actor.gid;
    const absl::Status added = (*machine)->Add(process);
    REQUIRE_MESSAGE(added.ok(), added.ToString());
  }
  const uint64_t failed_before = ChecksFailedInChildren();
  parley::RunReport report = (*machine)->Run();
  const uint64_t failed = ChecksFailedInChildren() - failed_before;
  if (failed > 0) FAIL_CHECK(failed << " checks failed in processes of the world");
  return report;
}

// As RunAny, and every process that is no service must return 0, without any problem.
inline parley::RunReport RunWorld(const std::vector<Actor>& actors,
                                  const ipc::KernelChoice& kernel = {}) {
  parley::RunReport report = RunAny(actors, kernel);
  for (const std::string& problem : report.problems) FAIL_CHECK(problem);
  CHECK_FALSE(report.timed_out);
  if (report.timed_out) {
    for (const std::string& note : report.notes) FAIL_CHECK(note);
  }
  for (const parley::ProcessReport& process : report.processes) {
    if (process.service) continue;
    if (process.exit.kind == parley::ExitKind::kKilled) continue;  // by a test's parent, on purpose
    CHECK_MESSAGE(process.exit.code == 0, process.name);
    CHECK_MESSAGE(!process.running, process.name);
  }
  return report;
}

}  // namespace tests

#endif  // PARLEY_TESTS_SUPPORT_WORLD_H_
