// What a run tells that is stopped at its time limit, and what of a broker that does not answer.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernel-sim/core/errors.h"
#include "kernel-sim/host/child.h"
#include "kernel-sim/look.h"
#include "tests/support/world.h"

namespace tests {
namespace {

TEST_CASE("host: at its time limit a run tells who was left, and in what") {
  constexpr int kThreads = 40;  // more than are told one by one
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
                     std::vector<ipc::Thread> threads;
                     const auto sleep = [&] { self.Sleep(absl::InfiniteDuration()).IgnoreError(); };
                     for (int i = 0; i < kThreads; ++i) {
                       threads.push_back(self.Spawn({}, sleep).value());
                     }
                     server.Send({}, {}).IgnoreError();
                     return 0;
                   }}},
             parley::HostOptions{.limit_ns = 3'000'000'000});
  CHECK(report.timed_out);
  CHECK(report.problems.empty());
  const bool told = std::any_of(report.notes.begin(), report.notes.end(), [](const auto& note) {
    return absl::StartsWith(note, "at the time limit: client/main SEND of /s (Linux: S");
  });
  CHECK_MESSAGE(told, (report.notes.empty() ? "no notes" : report.notes[0]));
  for (const std::string& note : report.notes) CHECK_FALSE(absl::StrContains(note, "server/"));
  REQUIRE(report.notes.size() == 33);
  CHECK(report.notes.back() ==
        absl::StrCat("at the time limit: ", kThreads + 1 - 32, " more threads"));
}

TEST_CASE("host: a broker that does not answer is not looked at for ever") {
  const std::string address = absl::StrCat("parley-silent-", getpid());
  const parley::UniqueFd listener = parley::host::Listen(address);
  REQUIRE(listener.valid());
  const absl::Status silent = parley::LookAt(address).status();
  CHECK(parley::ErrorOf(silent) == parley::Error::kDeadline);
  CHECK(absl::StrContains(silent.message(), address));
}

}  // namespace
}  // namespace tests
