// kill -9 of the broker under load: what is connected goes on without it, and loses nothing; what
// needs a broker waits for the next one, which comes as soon as the launcher runs. So that none
// comes for a while, that is held still (SIGSTOP).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <random>

#include "kernel-sim/host/futex.h"
#include "tests/core/drive.h"
#include "tests/host/leftovers.h"
#include "tests/support/shared.h"
#include "tests/support/world.h"

namespace parley::host::tests {
namespace {

using ipc::Error;
using ipc::ErrorOf;

constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr uint64_t kCallsAfterwards = 2000;
constexpr int kReady = 3;

struct Facts {
  std::atomic<uint64_t> answered = 0;
  std::atomic<bool> dead = false;  // the broker
  std::atomic<pid_t> mortal = 0;   // a server that is killed after it
  std::atomic<int> ready = 0;      // callers connected, and the mortal once it is sent to
  std::atomic<int64_t> killed_ns = 0, woke_ns = 0;
};

int Echo(ipc::Process& self) {
  ipc::Channel channel = self.Attach("/echo").value();
  for (;;) {
    ipc::Received received = channel.Receive().value();
    ipc::Message* message = received.message();
    uint64_t number = 0;
    CHECK(message->Read(0, ipc::MutableBytesOf(number)).ok());
    CHECK(message->Reply(ipc::BytesOf(number)).ok());
  }
}

// Once the killer has done: the run is about to end, and to kill server and callers one by one.
void SleepForEver(ipc::Process& self) { self.Sleep(absl::InfiniteDuration()).IgnoreError(); }

// In two threads, so that it also happens that both are in the kernel.
int Call(ipc::Process& self, Facts& facts) {
  ipc::Connection to = self.Open("/echo", kPatience).value();
  ipc::Region region = self.CreateRegion(4096).value();
  ++facts.ready;
  auto call = [&] {
    for (uint64_t i = 0;; ++i) {
      uint64_t reply = ~i;
      const auto sent =
          to.Send(ipc::BytesOf(i), ipc::MutableBytesOf(reply), {.deadline = kPatience});
      if (facts.dead) return SleepForEver(self);
      if (!sent.ok() || reply != i) FAIL_CHECK("a call is lost: " << sent.status().ToString());
      ++facts.answered;
      if (i % 16 != 0) continue;
      // What needs the broker, so that it dies with calls of ours in its hands.
      const auto made = self.CreateRegion(4096);
      if (!made.ok()) FAIL_CHECK(made.status().ToString());
    }
  };
  ipc::Thread second = self.Spawn({}, call).value();
  call();
  return 0;
}
// Needs no broker.
int CallOnly(ipc::Process& self, Facts& facts) {
  ipc::Connection to = self.Open("/echo", kPatience).value();
  ++facts.ready;
  for (uint64_t i = 0;; ++i) {
    uint64_t reply = ~i;
    const auto sent = to.Send(ipc::BytesOf(i), ipc::MutableBytesOf(reply), {.deadline = kPatience});
    if (facts.dead) SleepForEver(self);
    if (!sent.ok() || reply != i) FAIL_CHECK("a call is lost: " << sent.status().ToString());
    ++facts.answered;
  }
}

int KeepBlocked(ipc::Process& self, Facts& facts) {
  facts.mortal = getpid();
  ipc::Channel channel = self.Attach("/mortal").value();
  ipc::Received kept = channel.Receive().value();
  ++facts.ready;
  self.Sleep(absl::InfiniteDuration()).IgnoreError();
  return 1;
}

int BlockOnTheMortal(ipc::Process& self, Facts& facts) {
  ipc::Connection to = self.Open("/mortal", kPatience).value();
  CHECK(ErrorOf(to.Send({}, {}).status()) == Error::kServerDiedAfterReceive);
  facts.woke_ns = MonotonicNs();
  self.Sleep(absl::InfiniteDuration()).IgnoreError();
  return 1;
}

bool WaitUntil(ipc::Process& self, const std::function<bool()>& fact) {
  for (int i = 0; i < 10'000; ++i) {
    if (fact()) return true;
    self.Sleep(absl::Milliseconds(1)).IgnoreError();
  }
  return false;
}

int EndTheBroker(ipc::Process& self, Facts& facts, uint64_t seed) {
  ipc::Connection mortal = self.Open("/mortal", kPatience).value();
  CHECK(
      WaitUntil(self, [&] { return facts.ready == kReady && facts.answered > 100 + seed % 1000; }));
  const pid_t launcher = getppid();
  CHECK(BrokerOfThisWorld() > 0);
  kill(launcher, SIGSTOP);
  CHECK(KillTheBroker());
  absl::StatusOr<ipc::Region> made = absl::UnknownError("not made");
  std::atomic<bool> waits = true;
  const auto make = [&] {
    made = self.CreateRegion(4096);
    waits = false;
  };
  ipc::Thread maker = self.Spawn({}, make).value();
  const uint64_t until = facts.answered + kCallsAfterwards;
  CHECK(WaitUntil(self, [&] { return facts.answered >= until; }));
  // L1 without a broker.
  facts.killed_ns = MonotonicNs();
  kill(facts.mortal, SIGKILL);
  CHECK(WaitUntil(self, [&] { return facts.woke_ns != 0; }));
  // Whoever is blocked may know sooner than this process does.
  const Error gone = ErrorOf(mortal.Send({}, {}).status());
  CHECK((gone == Error::kNoSuchChannel || gone == Error::kServerDiedBeforeReceive));
  CHECK(waits);
  kill(launcher, SIGCONT);
  CHECK(maker.Join().ok());
  CHECK_MESSAGE(made.ok(), made.status().ToString());
  facts.dead = true;
  return 0;
}

void Run(uint64_t seed) {
  ::tests::InSharedMemory<Facts> facts;
  const uint64_t failed_before = ::tests::ChecksFailedInChildren();
  const pid_t launcher = fork();
  if (launcher == 0) {
    auto with = [&](int (*main)(ipc::Process&, Facts&)) {
      return [&facts, main](ipc::Process& self) { return main(self, *facts); };
    };
    const parley::RunReport report = ::tests::RunAny(
        {{.name = "echo", .main = Echo, .service = true},
         {.name = "mortal", .main = with(KeepBlocked), .service = true},
         {.name = "blocked", .main = with(BlockOnTheMortal), .service = true},
         {.name = "first caller", .main = with(Call), .service = true},
         {.name = "second caller", .main = with(CallOnly), .service = true},
         {.name = "killer",
          .main = [&](ipc::Process& self) { return EndTheBroker(self, *facts, seed); }}},
        parley::HostOptions{.limit_ns = 60'000'000'000});
    for (const std::string& problem : report.problems) MESSAGE(problem);
    _exit(report.problems.empty() ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(launcher, &status, 0) == launcher);
  CHECK(status == 0);
  CHECK(::tests::ChecksFailedInChildren() == failed_before);
  CHECK(facts->dead);
  // A late wake is a lost one.
  CHECK(facts->woke_ns - facts->killed_ns < 1'000'000'000);
}

TEST_CASE("kill -9 of the broker under load: no call is lost, and who is blocked still wakes") {
  const uint64_t seed = ::tests::TestSeed();
  INFO("to repeat: PARLEY_TEST_SEED=", seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10; ++i) Run(random());
}

}  // namespace
}  // namespace parley::host::tests
