// Where threads wait, and how (kernel-sim/host/placement.cc). A server whom its clients do not let
// sleep has its CPU for itself: who runs there besides stands aside, and comes back when the server
// sleeps again. A pair on one CPU lets each other run, without a sleep, though it is not to spin.
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <vector>

#include "tests/conformance/any_kernel.h"

namespace parley::host::tests {
namespace {

constexpr int kFillers = 3;         // clients that keep the server from sleeping
constexpr int kPatience = 200'000;  // calls until the client stands aside
constexpr int kReturns = 2'000;     // calls until it comes back

struct Facts {
  std::atomic<bool> filled = true;  // fillers are to call
  std::atomic<int> fillers = 0;     // that call
  std::atomic<bool> stood_aside = false, came_back = false;
};

std::vector<int> AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

void RunOn(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus) CPU_SET(cpu, &set);
  REQUIRE(sched_setaffinity(0, sizeof(set), &set) == 0);
}

int Serve(ipc::Process& self, int cpu) {
  RunOn({cpu});
  ipc::Channel channel = self.Attach("/busy").value();
  for (;;) CHECK(channel.Receive().value().message()->Reply().ok());
}

int Fill(ipc::Process& self, int cpu, Facts& facts) {
  RunOn({cpu});
  ipc::Connection busy = ::tests::conformance::OpenSoon(self, "/busy");
  ++facts.fillers;
  while (facts.filled) CHECK(busy.Send({}, {}).ok());
  --facts.fillers;
  return 0;
}

// Calls from the server's CPU until it finds itself elsewhere, then calls a server that sleeps.
int Move(ipc::Process& self, const std::vector<int>& cpus, Facts& facts) {
  ipc::Connection busy = ::tests::conformance::OpenSoon(self, "/busy");
  CHECK(::tests::conformance::WaitUntil(self, [&] { return facts.fillers == kFillers; }));
  const std::vector<int> others(cpus.begin() + 1, cpus.end());
  for (int i = 0; i < kPatience && !facts.stood_aside; ++i) {
    if (sched_getcpu() != cpus[0]) {  // Linux has moved it
      RunOn({cpus[0]});
      RunOn(cpus);
    }
    CHECK(busy.Send({}, {}).ok());
    facts.stood_aside = AllowedCpus() == others;
  }
  facts.filled = false;
  CHECK(::tests::conformance::WaitUntil(self, [&] { return facts.fillers == 0; }));
  for (int i = 0; i < kReturns && !facts.came_back; ++i) {
    CHECK(self.Sleep(absl::Milliseconds(1)).ok());  // the server sleeps sooner
    CHECK(busy.Send({}, {}).ok());
    facts.came_back = AllowedCpus() == cpus;
  }
  return 0;
}

TEST_CASE("a client stands aside of a server that never sleeps, and comes back when it does") {
  const std::vector<int> cpus = AllowedCpus();
  if (cpus.size() < 2) {
    MESSAGE("not run: it needs two CPUs");
    return;
  }
  ::tests::InSharedMemory<Facts> facts;
  std::vector<::tests::Actor> actors = {
      {.name = "server",
       .main = [&](ipc::Process& self) { return Serve(self, cpus[0]); },
       .service = true},
      {.name = "mover", .main = [&](ipc::Process& self) { return Move(self, cpus, *facts); }}};
  for (int i = 0; i < kFillers; ++i) {
    actors.push_back({.name = "filler",
                      .main = [&](ipc::Process& self) { return Fill(self, cpus[0], *facts); }});
  }
  ::tests::RunWorld(actors, parley::HostOptions{.limit_ns = 60'000'000'000});
  CHECK(facts->stood_aside);
  CHECK(facts->came_back);
}

// -- Without spinning

constexpr int kCalls = 1'000;
constexpr int kPauses = 20;

// Of the calling thread so far. A yield is none.
uint64_t Sleeps() {
  rusage usage = {};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<uint64_t>(usage.ru_nvcsw);
}

// Answers with its sleeps.
int ServeWithoutSpinning(ipc::Process& self, int cpu) {
  RunOn({cpu});
  ipc::Channel channel = self.Attach("/quiet", {.spin = false}).value();
  for (;;) {
    auto received = channel.Receive();
    const uint64_t sleeps = Sleeps();
    CHECK(received.value().message()->Reply(ipc::BytesOf(sleeps)).ok());
  }
}

uint64_t SleepsOfServer(const ipc::Connection& quiet) {
  uint64_t sleeps = 0;
  CHECK(quiet.Send({}, ipc::MutableBytesOf(sleeps)).ok());
  return sleeps;
}

TEST_CASE("a pair that is not to spin shares its CPU without a sleep, and sleeps when it idles") {
  const int cpu = AllowedCpus().front();
  std::vector<::tests::Actor> actors = {
      {.name = "server",
       .main = [&](ipc::Process& self) { return ServeWithoutSpinning(self, cpu); },
       .service = true},
      {.name = "client", .main = [&](ipc::Process& self) {
         RunOn({cpu});
         ipc::Connection quiet = ::tests::conformance::OpenSoon(self, "/quiet");
         const uint64_t server_before = SleepsOfServer(quiet);
         const uint64_t before = Sleeps();
         for (int i = 0; i < kCalls; ++i) CHECK(quiet.Send({}, {}).ok());
         CHECK(Sleeps() - before < kCalls / 2);  // others may run here, too
         CHECK(SleepsOfServer(quiet) - server_before < kCalls / 2);
         for (int i = 0; i < kPauses; ++i) {
           const uint64_t awake = SleepsOfServer(quiet);
           CHECK(self.Sleep(absl::Milliseconds(5)).ok());
           CHECK(SleepsOfServer(quiet) > awake);
         }
         return 0;
       }}};
  ::tests::RunWorld(actors, parley::HostOptions{.limit_ns = 60'000'000'000});
}

}  // namespace
}  // namespace parley::host::tests
