// What a run tells that is stopped at its time limit.
#include <doctest/doctest.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "tests/support/world.h"

namespace tests {
namespace {

TEST_CASE("host: at its time limit a run tells who was left, and in what") {
  const parley::RunReport report =
      RunAny({{.name = "server",
               .main =
                   [](ipc::Process& self) {
                     ipc::Channel channel = self.Attach("/s").value();
                     self.Sleep(absl::InfiniteDuration()).IgnoreError();
                     return 0;
                   },
               .service = true},
              {.name = "client",
               .main =
                   [](ipc::Process& self) {
                     ipc::Connection server = self.Open("/s", absl::Seconds(10)).value();
                     server.Send({}, {}).IgnoreError();
                     return 0;
                   }}},
             parley::HostOptions{.limit_ns = 1'000'000'000});
  CHECK(report.timed_out);
  CHECK(report.problems.empty());
  const bool told = std::any_of(report.notes.begin(), report.notes.end(), [](const auto& note) {
    return absl::StartsWith(note, "at the time limit: client/main SEND of /s (Linux: S");
  });
  CHECK_MESSAGE(told, (report.notes.empty() ? "no notes" : report.notes[0]));
  for (const std::string& note : report.notes) CHECK_FALSE(absl::StrContains(note, "server/"));
}

}  // namespace
}  // namespace tests
