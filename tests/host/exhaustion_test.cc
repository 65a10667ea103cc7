// A process whose descriptors have run out: what needs one fails with the reason, whom it cannot
// serve is told so, and what it has goes on.
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::conformance::kSoon;
using tests::conformance::OpenSoon;
using tests::conformance::WaitUntil;

constexpr rlim_t kFew = 128;

// What has happened; each step is another process's.
enum Phase { kStarting, kServed, kTaken, kRefused, kServedOn, kFreed };
using Phases = tests::Shared<int>;

bool Await(ipc::Process& self, const Phases& phases, Phase phase) {
  return WaitUntil(self, [&] { return phases >= phase; });
}

Error Call(const ipc::Connection& server) {
  return ErrorOf(server.Send(ipc::BytesOfText("?"), {}, {.deadline = kSoon}).status());
}

int Serve(ipc::Process& self, Phases& phases) {
  const rlimit few = {kFew, kFew};
  CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
  ipc::Channel channel = self.Attach("/s").value();
  const auto take_all = [&] {
    CHECK(Await(self, phases, kServed));
    std::vector<int> taken;
    for (int copy = 0; (copy = dup(STDERR_FILENO)) >= 0;) taken.push_back(copy);
    phases = kTaken;
    CHECK(Await(self, phases, kServedOn));
    for (const int copy : taken) close(copy);
    phases = kFreed;
  };
  ipc::Thread taker = self.Spawn({}, take_all).value();
  for (;;) {
    ipc::Received received = channel.Receive().value();
    if (received.message() != nullptr) received.message()->Reply().IgnoreError();
  }
}

TEST_CASE("a server without descriptors costs a new client its call, and not its patience") {
  Phases phases;
  tests::RunWorld({{.name = "server",
                    .main = [&](ipc::Process& self) { return Serve(self, phases); },
                    .service = true},
                   {.name = "early",
                    .main =
                        [&](ipc::Process& self) {
                          const ipc::Connection server = OpenSoon(self, "/s");
                          CHECK(Call(server) == Error::kNone);
                          phases = kServed;
                          CHECK(Await(self, phases, kRefused));
                          CHECK(Call(server) == Error::kNone);
                          phases = kServedOn;
                          return 0;
                        }},
                   {.name = "late",
                    .main =
                        [&](ipc::Process& self) {
                          CHECK(Await(self, phases, kTaken));
                          const Error refused = Call(OpenSoon(self, "/s"));
                          CHECK((refused == Error::kServerDiedBeforeReceive ||
                                 refused == Error::kNoSuchChannel));
                          phases = kRefused;
                          CHECK(Await(self, phases, kFreed));
                          CHECK(Call(OpenSoon(self, "/s")) == Error::kNone);
                          return 0;
                        }}},
                  parley::HostOptions{});
}

// What a process holds costs it descriptors where it is made, so that it fails there.
TEST_CASE("a process without descriptors is told so, and waits for nothing") {
  tests::RunWorld(
      {{.name = "server",
        .main = [](ipc::Process& self) -> int {
          ipc::Channel channel = self.Attach("/s").value();
          for (;;) {
            ipc::Received received = channel.Receive().value();
            if (received.message() != nullptr) received.message()->Reply().IgnoreError();
          }
        },
        .service = true},
       {.name = "client",
        .main =
            [](ipc::Process& self) {
              const ipc::Connection server = OpenSoon(self, "/s");
              const rlimit few = {kFew, kFew};
              CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
              std::vector<int> taken;
              for (int copy = 0; (copy = dup(STDERR_FILENO)) >= 0;) taken.push_back(copy);
              CHECK(ErrorOf(self.CreateChannel("own").status()) == Error::kQuotaExhausted);
              CHECK(ErrorOf(self.CreateRegion(4096).status()) == Error::kQuotaExhausted);
              CHECK(ErrorOf(self.Open("/s").status()) == Error::kQuotaExhausted);
              CHECK(Call(server) == Error::kNone);
              for (const int copy : taken) close(copy);
              CHECK(self.CreateChannel("own").ok());
              CHECK(self.CreateRegion(4096).ok());
              CHECK(Call(OpenSoon(self, "/s")) == Error::kNone);
              return 0;
            }}},
      parley::HostOptions{});
}

}  // namespace
