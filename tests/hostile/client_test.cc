// A hostile user: others, the server they share and the broker go on as if it were not there.
//
// Three users on one world: the server's, an honest client's, and one whose processes (evil.h)
// write anything into all that they share. They come by dozens. What they cannot do: make the
// server read out of bounds or fault (the sanitizers' runs of this see that), give a wrong answer,
// lose a message of somebody else, or be taken for another user. What they can: use up CPU time
// below their priority ceiling. So the bound on an honest client's delay is that of the server's
// work for the message that it is at, and for one look at each bell, which is bounded by its bits
// and lanes; how long the slowest call took is printed.
#include <unistd.h>

#include <atomic>
#include <deque>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernel-sim/host/futex.h"
#include "tests/conformance/any_kernel.h"
#include "tests/core/drive.h"
#include "tests/hostile/evil.h"

namespace parley::host::tests {
namespace {

using ipc::Error;
using ipc::ErrorOf;

constexpr uint32_t kServerUser = 1000, kEvilUser = 1001, kHonestUser = 1002;
constexpr int kEvilPriority = 10, kServerPriority = 20, kHonestPriority = 30;
constexpr int kAttacks = 40 / (PARLEY_TEST_SLOWDOWN > 1 ? 4 : 1);
constexpr absl::Duration kAttack = absl::Milliseconds(60);
constexpr absl::Duration kPatience = absl::Seconds(20);

struct Facts {
  std::atomic<bool> over = false;
  std::atomic<uint64_t> answered = 0, of_evil = 0;
  std::atomic<int64_t> slowest_us = 0;
  std::atomic<uint64_t> left_in_time = 0;
};

constexpr uint64_t kFar = 20'000;  // past most requests

// Does with each message all that can be done with one.
void Handle(ipc::Message& message, std::mt19937_64& random) {
  const ipc::MessageInfo info = message.info();
  CHECK(info.uid == kEvilUser);
  CHECK(info.priority <= kEvilPriority);
  CHECK(info.badge == 0);
  std::vector<std::byte> bytes(std::min<uint64_t>(info.request_bytes, 65536));
  message.Read(0, absl::MakeSpan(bytes)).status().IgnoreError();
  message.Read(random() % kFar, absl::MakeSpan(bytes)).status().IgnoreError();
  for (uint32_t i = 0; i < info.region_count; ++i) {
    auto lease = message.Region(i);
    if (!lease.ok()) continue;
    for (std::byte& byte : lease->write()) byte = std::byte{1};
  }
  message.Refresh().IgnoreError();
  message.Write(random() % kFar, ipc::ConstBytes(bytes)).status().IgnoreError();
}

int Serve(ipc::Process& self, Facts& facts) {
  ipc::Channel channel =
      self.Attach("/s", {.unblock_pulse = true, .disconnect_pulse = true}).value();
  std::mt19937_64 random(1);
  std::deque<ipc::Message> kept;
  for (;;) {
    ipc::Received received = channel.Receive().value();
    if (const ipc::Pulse* pulse = received.pulse()) {
      // Whatever stands in a lane, the kernel's codes are the kernel's (U1).
      const bool asked_for =
          pulse->code == ipc::Pulse::kUnblock || pulse->code == ipc::Pulse::kDisconnect;
      CHECK_MESSAGE((pulse->code < ipc::Pulse::kDeath || asked_for), int{pulse->code});
      continue;
    }
    ipc::Message* message = received.message();
    if (message->info().uid == kHonestUser) {
      uint64_t number = 0;
      CHECK(message->Read(0, ipc::MutableBytesOf(number)).ok());
      CHECK(message->Reply(ipc::BytesOf(++number)).ok());
      continue;
    }
    ++facts.of_evil;
    Handle(*message, random);
    if (random() % 4 == 0) kept.push_back(std::move(*message));
    if (kept.size() > 8) kept.pop_front();
    if (!message->open()) continue;
    const std::vector<std::byte> reply(random() % 8000);
    message->Reply(ipc::ConstBytes(reply)).status().IgnoreError();
  }
}

int CallHonestly(ipc::Process& self, Facts& facts) {
  ipc::Connection to = self.Open("/s", kPatience).value();
  for (uint64_t i = 0; !facts.over; ++i) {
    uint64_t reply = 0;
    const int64_t begun = MonotonicNs();
    const auto sent = to.Send(ipc::BytesOf(i), ipc::MutableBytesOf(reply), {.deadline = kPatience});
    const int64_t took_us = (MonotonicNs() - begun) / 1000;
    facts.slowest_us = std::max<int64_t>(facts.slowest_us, took_us);
    CHECK_MESSAGE(sent.ok(), sent.status().ToString());
    CHECK(reply == i + 1);
    if (!sent.ok()) return 1;
    ++facts.answered;
    self.Sleep(absl::Microseconds(200)).IgnoreError();
  }
  return 0;
}

// D3: a server that never answers keeps nobody past deadline and grace.
int CallEvil(ipc::Process& self, Facts& facts) {
  while (!facts.over) {
    const auto to = self.Open("/evil", absl::Milliseconds(20));
    if (!to.ok()) continue;
    // Whatever it makes of the slot: an answer, too, is the server's to write.
    to->Send({}, {}, {.deadline = absl::Milliseconds(5), .grace = absl::Milliseconds(5)})
        .status()
        .IgnoreError();
    ++facts.left_in_time;
  }
  return 0;
}

int Direct(ipc::Process& self, Facts& facts, uint64_t seed) {
  std::mt19937_64 random(seed);
  CHECK(::tests::conformance::WaitUntil(self, [&] { return facts.answered > 10; }));
  for (int i = 0; i < kAttacks; i += 2) {
    std::vector<ipc::Child> attackers;
    for (int j = 0; j < 2; ++j) {
      attackers.push_back(self.Start("evil", {.arguments = {absl::StrCat(random())},
                                              .scheduling = {.priority = kEvilPriority},
                                              .ceiling = kEvilPriority,
                                              .uid = kEvilUser,
                                              .gid = kEvilUser})
                              .value());
    }
    for (const ipc::Child& attacker : attackers) {
      // One that has got stuck in what it has done to itself is ended.
      if (!attacker.Wait(absl::Seconds(2)).ok()) attacker.Kill().IgnoreError();
    }
  }
  const uint64_t answered = facts.answered;
  CHECK(::tests::conformance::WaitUntil(self, [&] { return facts.answered > answered + 10; }));
  facts.over = true;
  return 0;
}

void Run(uint32_t server_user) {
  const uint64_t seed = ::tests::TestSeed();
  MESSAGE("PARLEY_TEST_SEED=" << seed);
  ::tests::InSharedMemory<Facts> facts;
  const parley::RunReport report =
      ::tests::RunAny({{.name = "server",
                        .main = [&](ipc::Process& self) { return Serve(self, *facts); },
                        .service = true,
                        .scheduling = {.priority = kServerPriority},
                        .uid = server_user,
                        .gid = server_user},
                       {.name = "honest",
                        .main = [&](ipc::Process& self) { return CallHonestly(self, *facts); },
                        .scheduling = {.priority = kHonestPriority},
                        .uid = kHonestUser,
                        .gid = kHonestUser},
                       {.name = "patient",
                        .main = [&](ipc::Process& self) { return CallEvil(self, *facts); },
                        .scheduling = {.priority = kHonestPriority},
                        .uid = kHonestUser,
                        .gid = kHonestUser},
                       {.name = "director",
                        .main = [&](ipc::Process& self) { return Direct(self, *facts, seed); },
                        .scheduling = {.priority = kHonestPriority}},
                       {.name = "evil",
                        .main = [&](ipc::Process& self) -> int {
                          BeEvil(self, std::stoull(self.arguments().at(0)), kAttack);
                        },
                        .only_program = true}},
                      parley::HostOptions{.limit_ns = 120'000'000'000});
  CHECK_FALSE(report.timed_out);
  for (const std::string& problem : report.problems) {
    if (!absl::StartsWith(problem, "evil: ")) FAIL_CHECK(problem);
  }
  for (const parley::ProcessReport& process : report.processes) {
    if (process.name == "evil") continue;
    CHECK_MESSAGE(process.running == process.service, process.name);
    CHECK_MESSAGE(process.exit.code == 0, process.name);
  }
  CHECK(facts->over);
  CHECK(facts->of_evil > 0);
  MESSAGE("the honest client made "
          << facts->answered.load() << " calls beside " << facts->of_evil.load()
          << " messages of the evil; the slowest took " << facts->slowest_us.load() << " us; "
          << facts->left_in_time.load() << " calls of the evil left in time");
  CHECK(facts->slowest_us < 1'000'000);
}

bool NeedsRoot() {
  if (geteuid() != 0) MESSAGE("not run: only root starts processes as other users");
  return geteuid() != 0;
}

TEST_CASE("hostile clients of another user do no harm to a server, nor to its honest clients") {
  if (NeedsRoot()) return;
  Run(kServerUser);
}

// Whom Linux permits to copy from and into any process.
TEST_CASE("hostile clients do no harm to a server of root") {
  if (NeedsRoot()) return;
  Run(0);
}

}  // namespace
}  // namespace parley::host::tests
