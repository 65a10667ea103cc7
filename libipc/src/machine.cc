// Programs as a kernel runs them: each inside an ipc::Process of its own.
#include "libipc/machine.h"

namespace ipc {

absl::StatusOr<std::unique_ptr<parley::Machine>> MakeMachine(const KernelChoice& kernel,
                                                             const ProgramTable& programs) {
  std::vector<parley::Program> table;
  for (const ProgramEntry& program : programs) {
    table.push_back({program.name, [main = program.main](parley::Kernel& kernel) {
                       Process self(kernel);
                       return main(self);
                     }});
  }
  if (const auto* host = std::get_if<parley::HostOptions>(&kernel)) {
    return parley::MakeHost(*host, std::move(table));
  }
  return parley::MakeSimulation(std::get<parley::SimulationOptions>(kernel), std::move(table));
}

}  // namespace ipc
