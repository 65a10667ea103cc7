// Runs a manifest once and judges the outcome.
#ifndef PARLEY_APPS_PARLEY_RUNNER_H_
#define PARLEY_APPS_PARLEY_RUNNER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "apps/parley/manifest.h"

namespace parley_tool {

// On the host kernel: as real processes, in real time. Errors are of the manifest: an unknown
// program, an option out of range. One line, with the manifest's path.
absl::StatusOr<parley::RunReport> RunOnHost(const Manifest& manifest,
                                            const parley::HostOptions& options);
// On the simulated kernel.
absl::StatusOr<parley::RunReport> RunOnce(const Manifest& manifest,
                                          const parley::ChoiceSpec& choices,
                                          parley::TraceSink* trace, bool hash_trace);

// What of the manifest's expectations did not come true, and every exit code that is not 0 and was
// not expected; a line each.
std::vector<std::string> Judge(const Manifest& manifest, const parley::RunReport& report);

// Problems that make a run fail: an expected deadlock is none.
bool Failed(const Manifest& manifest, const parley::RunReport& report);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_RUNNER_H_
