// The whole of a kernel's start for the parley tool and the tests: everything kernel-sim/boot.h
// has, with programs that are functions of an ipc::Process. Not installed; programs of users start
// with ipc/world.h.
#ifndef PARLEY_LIBIPC_MACHINE_H_
#define PARLEY_LIBIPC_MACHINE_H_

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "ipc/process.h"
#include "kernel-sim/boot.h"
#include "kernel-sim/explore.h"

namespace ipc {

struct ProgramEntry {
  std::string name;
  std::function<int(Process&)> main;
};
using ProgramTable = std::vector<ProgramEntry>;

// A kernel with its options.
using KernelChoice = std::variant<parley::SimulationOptions, parley::HostOptions>;

// kInvalidArgument: an option out of range.
absl::StatusOr<std::unique_ptr<parley::Machine>> MakeMachine(const KernelChoice& kernel,
                                                             const ProgramTable& programs);

}  // namespace ipc

#endif  // PARLEY_LIBIPC_MACHINE_H_
