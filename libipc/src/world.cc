// Worlds.
#include "ipc/world.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libipc/machine.h"
#include "libipc/src/convert.h"

namespace ipc {

struct World::Plan {
  WorldOptions options;
  ProgramTable programs;
  std::vector<std::pair<std::string, StartOptions>> starts;
};

World::World(std::vector<WorldProgram> programs, const WorldOptions& options)
    : plan_(std::make_unique<Plan>()) {
  plan_->options = options;
  plan_->programs.push_back({"nameserver", RunNameServer});
  for (WorldProgram& program : programs) {
    plan_->programs.push_back({std::move(program.name), std::move(program.main)});
  }
  plan_->starts.push_back({"nameserver", {.process = {.scheduling = {.priority = 255}}}});
}

World::~World() = default;

void World::Start(absl::string_view program, const StartOptions& options) {
  plan_->starts.emplace_back(std::string(program), options);
}

int World::Run() {
  auto fail = [](absl::string_view line) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
    return 1;
  };
  KernelChoice kernel = parley::HostOptions();
  if (plan_->options.kernel == WorldKernel::kSimulated) {
    parley::SimulationOptions options;
    options.cpus = plan_->options.cpus;
    options.seed = plan_->options.seed;
    kernel = options;
  }
  auto machine = MakeMachine(kernel, plan_->programs);
  if (!machine.ok()) return fail(machine.status().message());
  for (const auto& [program, start] : plan_->starts) {
    parley::InitialProcess process;
    process.program = program;
    process.options = ToKernel(start.process);
    process.service = start.service;
    process.name_server = program == "nameserver";
    if (absl::Status added = (*machine)->Add(process); !added.ok()) return fail(added.message());
  }
  const parley::RunReport report = (*machine)->Run();
  for (const std::string& problem : report.problems) fail(problem);
  bool went_wrong = !report.problems.empty();
  for (const parley::ProcessReport& process : report.processes) {
    if (!process.killed_from_outside) continue;
    went_wrong = true;
    fail(absl::StrCat(process.name, ": ", process.exit.reason));
  }
  for (const parley::ProcessReport& process : report.processes) {
    if (!process.service && process.exit.code != 0) return process.exit.code;
  }
  return went_wrong ? 1 : 0;
}

}  // namespace ipc
