// A manifest: a set of processes, the machine they run on, and what must be true at the end, as a
// TOML file. docs/simulation.md is its reference.
#ifndef PARLEY_APPS_PARLEY_MANIFEST_H_
#define PARLEY_APPS_PARLEY_MANIFEST_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libipc/machine.h"

namespace parley_tool {

// One [[expect]] of a manifest.
struct Expectation {
  enum class Subject { kExit, kCounter, kLateResponses, kDeadlock };
  Subject subject = Subject::kExit;
  std::string process;
  std::string counter;
  int64_t at_least = std::numeric_limits<int64_t>::min();
  int64_t at_most = std::numeric_limits<int64_t>::max();
  int line = 0;

  std::string Describe() const;
};

struct Manifest {
  std::string path;
  std::string text;  // as read: what a replay string is bound to
  std::string name;
  parley::SimulationOptions options;
  std::vector<parley::InitialProcess> processes;  // the name server first
  std::vector<Expectation> expectations;
};

// InvalidArgument, one line: "FILE:LINE:COLUMN: what is wrong, what was expected". NotFound: no
// such file.
absl::StatusOr<Manifest> ReadManifest(const std::string& path);
absl::StatusOr<Manifest> ParseManifest(const std::string& path, const std::string& text);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_MANIFEST_H_
