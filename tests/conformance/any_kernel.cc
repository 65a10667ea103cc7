// Which kernel, and what it lacks.
#include "tests/conformance/any_kernel.h"

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernel-sim/host/linux_priority.h"

namespace tests::conformance {
namespace {

// A world that hangs is ended, and fails its test.
constexpr int64_t kHostLimitNs = 30'000'000'000;

enum class Picked { kSimulation, kHost, kHostThroughLink };

Picked PickKernel() {
  const char* picked = std::getenv("PARLEY_TEST_KERNEL");
  const std::string_view kernel = picked == nullptr ? "sim" : picked;
  if (kernel == "sim") return Picked::kSimulation;
  if (kernel == "host") return Picked::kHost;
  if (kernel == "host-link") return Picked::kHostThroughLink;
  std::fprintf(stderr, "PARLEY_TEST_KERNEL is '%s'; it can be sim, host or host-link\n", picked);
  std::exit(2);
}

Picked ThePicked() {
  static const Picked picked = PickKernel();
  return picked;
}

ipc::KernelChoice Kernel(const Needs& needs) {
  if (!OnHost()) return parley::SimulationOptions();
  return parley::HostOptions{.cpus = needs.one_cpu ? 1 : 0,
                             .limit_ns = kHostLimitNs,
                             .copies_through_link = ThePicked() == Picked::kHostThroughLink};
}

bool TryRealTime() {
  if (!parley::host::kCanBeRealTime) return false;
  const int policy_before = sched_getscheduler(0);
  sched_param before = {};
  sched_getparam(0, &before);
  const sched_param parameter = {sched_get_priority_max(SCHED_FIFO)};
  if (sched_setscheduler(0, SCHED_FIFO, &parameter) != 0) return false;
  sched_setscheduler(0, policy_before, &before);
  return true;
}

}  // namespace

bool CanRunRealTime() {
  static const bool can = TryRealTime();
  return can;
}

bool OnHost() { return ThePicked() != Picked::kSimulation; }

parley::RunReport RunAny(const std::vector<Actor>& actors, const Needs& needs) {
  return tests::RunAny(actors, Kernel(needs));
}

parley::RunReport RunWorld(const std::vector<Actor>& actors, const Needs& needs) {
  parley::RunReport report = tests::RunWorld(actors, Kernel(needs));
  for (const parley::ProcessReport& process : report.processes) {
    CHECK_MESSAGE(!process.killed_from_outside, process.name);  // by a parent alone
  }
  return report;
}

bool OnSimulationOnly(const char* why) {
  if (OnHost()) MESSAGE("not on the host kernel: ", std::string(why));
  return OnHost();
}

bool LacksRealTime() {
  if (!OnHost() || CanRunRealTime()) return false;
  MESSAGE("not run: SCHED_FIFO is not permitted, or a sanitizer is built in");
  return true;
}

bool LacksOtherUsers() {
  if (!OnHost() || geteuid() == 0) return false;
  MESSAGE("not run: only root starts processes as other users");
  return true;
}

Actor ServeOnce(std::function<int(ipc::Process&, ipc::Message&)> serve) {
  return {.name = "server", .main = [serve](ipc::Process& self) {
            ipc::Channel channel = self.Attach("/s").value();
            ipc::Received received = channel.Receive().value();
            return serve(self, *received.message());
          }};
}

bool WaitUntil(ipc::Process& self, const std::function<bool()>& fact) {
  const absl::Time end = self.Now() + kSoon;
  while (!fact()) {
    if (self.Now() >= end || !self.Sleep(absl::Milliseconds(1)).ok()) return false;
  }
  return true;
}

absl::Duration Margin() {
  if (!OnHost()) return absl::Milliseconds(1);
  return absl::Milliseconds(CanRunRealTime() ? 20 : 100);  // others' load is in the way, or is not
}

void LetBlock(ipc::Process& self) { CHECK(self.Sleep(Margin()).ok()); }

}  // namespace tests::conformance
