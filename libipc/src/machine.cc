// Programs as a kernel runs them: each inside an ipc::Process of its own.
#include "libipc/machine.h"

namespace ipc {

absl::StatusOr<std::unique_ptr<parley::Machine>> MakeMachine(
    KernelKind kind, const parley::SimulationOptions& options, const ProgramTable& programs) {
  std::vector<parley::Program> table;
  for (const ProgramEntry& program : programs) {
    table.push_back({program.name, [main = program.main](parley::Kernel& kernel) {
                       Process self(kernel);
                       return main(self);
                     }});
  }
  switch (kind) {
    case KernelKind::kSimulated:
      return parley::MakeSimulation(options, std::move(table));
  }
  return absl::InternalError("no such kernel");
}

}  // namespace ipc
