// How the tool judges a run.
#include <doctest/doctest.h>

#include "apps/parley/runner.h"

namespace parley_tool {
namespace {

Manifest Files(const std::string& expectation = "") {
  const auto manifest = ParseManifest("files.toml",
                                      "[[process]]\nname = \"files\"\nprogram = \"ramfs\"\n"
                                      "arguments = [\"/ram\"]\n" +
                                          expectation);
  REQUIRE_MESSAGE(manifest.ok(), manifest.status().ToString());
  return *manifest;
}

parley::RunReport Killed(bool from_outside, bool service) {
  parley::ProcessReport process;
  process.name = "files";
  process.exit = {parley::ExitKind::kKilled, 128, "killed by signal 9 (SIGKILL)"};
  process.service = service;
  process.killed_from_outside = from_outside;
  parley::RunReport report;
  report.processes.push_back(process);
  return report;
}

TEST_CASE("runner: a kill from outside fails the run, a service's too") {
  for (const bool service : {false, true}) {
    const parley::RunReport report = Killed(/*from_outside=*/true, service);
    CHECK(Judge(Files(), report) ==
          std::vector<std::string>{"files: killed by signal 9 (SIGKILL)"});
    CHECK(Failed(Files(), report));
  }
}

TEST_CASE("runner: a kill that a program asked for, or that is expected, does not") {
  CHECK_FALSE(Failed(Files(), Killed(/*from_outside=*/false, /*service=*/true)));
  const std::string expected = "[[expect]]\nprocess = \"files\"\nexit = 128\n";
  CHECK_FALSE(Failed(Files(expected), Killed(/*from_outside=*/true, /*service=*/false)));
}

}  // namespace
}  // namespace parley_tool
