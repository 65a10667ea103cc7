// A world: programs, and a kernel to run them on. What a main() needs.
//
//   int main() {
//     ipc::World world({{"adder", Adder}, {"client", Client}});
//     world.Start("adder", {.service = true});
//     world.Start("client");
//     return world.Run();
//   }
//
// On the simulated kernel all programs share one host process: globals would be shared between
// them, so programs keep their state in objects. A world is made and run on one host thread.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_WORLD_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_WORLD_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ipc/process.h"

namespace ipc {

// The name server, which a World adds by itself. For those who compose processes in other ways
// (N5).
int RunNameServer(Process& self);

// A program as processes name it, and its Main.
struct WorldProgram {
  std::string name;
  std::function<int(Process&)> main;
};

enum class WorldKernel {
  kSimulated,  // virtual CPUs and time, every run the same
  kHost,       // each process a Linux process, forked from the caller's, which has one thread then
};

struct WorldOptions {
  int cpus = 1;  // virtual CPUs, 1 to 64; on the host kernel the processes may use them all
  uint64_t seed =
      1;  // of every random choice: equal seeds, equal runs; on the host it does nothing
  WorldKernel kernel = WorldKernel::kSimulated;
};

struct StartOptions {
  ChildOptions process = {};
  bool service = false;  // the run does not wait for it
};

class World {
 public:
  // A name server is added by itself.
  explicit World(std::vector<WorldProgram> programs, const WorldOptions& options = {});
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // A process to be there from the start, in this order. What is wrong with it is said by Run.
  void Start(absl::string_view program, const StartOptions& options = {});

  // Runs until every process that is no service has ended. Returns 0 if all returned 0 and nothing
  // went wrong; else prints a line for each problem (a deadlock and who waits on whom, a crash, a
  // kill by somebody outside, an option) to stderr and returns the first exit code that is not 0,
  // else 1. Once.
  int Run();

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_WORLD_H_
