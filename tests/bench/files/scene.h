// A machine with servers and the client that measures, and the file that is read.
#ifndef PARLEY_TESTS_BENCH_FILES_SCENE_H_
#define PARLEY_TESTS_BENCH_FILES_SCENE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ipc/process.h"
#include "tests/bench/files/comparison.h"

namespace parley_bench {

inline constexpr absl::Duration kSoon = absl::Seconds(10);  // until a server is there
inline constexpr uint64_t kPageBytes = 4096;

struct ServerProgram {
  std::string name;
  std::function<int(ipc::Process&)> main;
  std::vector<std::string> arguments;
};

// What each side of a comparison does in one round: nanoseconds for one.
using Pass = absl::FunctionRef<double()>;
// Has the rounds measured: one of each first that does not count, then by turns, each side as often
// the first of its round as the other.
using Alternate = std::function<void(Pass ours, Pass peers)>;

// Runs the servers and, in a process of its own, `client`, on the host kernel, none of them pinned.
absl::StatusOr<Rounds> RunScene(
    const Bench& bench, const std::vector<ServerProgram>& servers,
    const std::function<void(ipc::Process& self, const Alternate& alternate)>& client);

// Writes the file, on the disk and in Linux's page cache, from where all rows read it.
absl::Status WriteFile(const Bench& bench);
// Ends the process if these are not the bytes of that page of the file.
void CheckPage(const void* bytes, uint64_t page);

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_FILES_SCENE_H_
