// The bus, its three users, and the watchdog. See pathfinder.h.
#include "apps/pathfinder/pathfinder.h"

#include <cstdio>

#include "absl/time/time.h"
#include "ipc/channel.h"
#include "ipc/connection.h"
#include "ipc/message.h"
#include "ipc/typed.h"

namespace pathfinder {
namespace {

struct Transfer {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
  int64_t work_ns = 0;
};
struct Transferred {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
};

constexpr uint8_t kCycleEnd = 1;  // pulse codes of /watchdog
constexpr uint8_t kAlive = 2;
constexpr int kPulsePriority = 200;  // the watchdog's own

// One cycle, and what each task does in it. With inheritance distribution waits at most for one
// transfer of the weather's; without, for a whole burst of communications.
constexpr absl::Duration kCycle = absl::Milliseconds(25);
constexpr int kCycles = 6;
// Of the first cycle: by then six real processes on one CPU, loaded in some 10 ms each, are there.
constexpr absl::Duration kStart = absl::Milliseconds(200);

constexpr absl::Duration kDistributionTransfer = absl::Milliseconds(2);
constexpr absl::Duration kDistributionWork = absl::Milliseconds(3);

constexpr absl::Duration kWeatherPeriod = absl::Milliseconds(50);
constexpr absl::Duration kWeatherOffset = absl::Milliseconds(12);
constexpr absl::Duration kWeatherTransfer = absl::Milliseconds(6);

constexpr absl::Duration kCommunicationsPeriod = absl::Milliseconds(50);
constexpr absl::Duration kCommunicationsOffset = absl::Milliseconds(14);
constexpr absl::Duration kCommunicationsWork = absl::Milliseconds(30);

absl::Time StartOfCycle(int cycle) { return absl::UnixEpoch() + kStart + cycle * kCycle; }

}  // namespace

int Bus(ipc::Process& self) {
  const bool fixed = !self.arguments().empty() && self.arguments()[0] == "--fixed-priority";
  auto channel = self.Attach("/bus", {.fixed_priority = fixed});
  if (!channel.ok()) return 1;
  for (;;) {
    auto received = channel->Receive();
    if (!received.ok()) return 0;
    ipc::Message* message = received->message();
    if (message == nullptr) continue;
    const auto transfer = message->As<Transfer>();
    if (!transfer.ok()) continue;
    self.Compute(absl::Nanoseconds(transfer->work_ns));
    message->Reply(Transferred{}).IgnoreError();
  }
}

int Watchdog(ipc::Process& self) {
  auto channel = self.Attach("/watchdog");
  if (!channel.ok()) return 1;
  auto timer = channel->MakeTimer(kCycleEnd, 0, kPulsePriority);
  if (!timer.ok() || !timer->Arm(StartOfCycle(1), kCycle).ok()) return 1;
  bool alive = false;
  for (int cycle = 0;;) {
    auto received = channel->Receive();
    if (!received.ok()) return 0;
    const ipc::Pulse* pulse = received->pulse();
    if (pulse == nullptr) continue;
    if (pulse->code == kAlive) alive = true;
    if (pulse->code != kCycleEnd) continue;
    ++cycle;
    self.Count("cycles");
    if (!alive) {
      self.Count("resets");
      self.Mark("watchdog: RESET");
      std::printf("watchdog: cycle %d was not finished in time: reset\n", cycle);
    }
    alive = false;
  }
}

int Weather(ipc::Process& self) {
  auto bus = self.Open("/bus", kStart);
  if (!bus.ok()) return 1;
  for (absl::Time next = StartOfCycle(0) + kWeatherOffset;; next += kWeatherPeriod) {
    if (!self.Sleep(next).ok()) return 0;
    if (!bus->Call<Transferred>(Transfer{absl::ToInt64Nanoseconds(kWeatherTransfer)}).ok())
      return 0;
  }
}

int Communications(ipc::Process& self) {
  for (absl::Time next = StartOfCycle(0) + kCommunicationsOffset;; next += kCommunicationsPeriod) {
    if (!self.Sleep(next).ok()) return 0;
    self.Compute(kCommunicationsWork);
  }
}

int Distribution(ipc::Process& self) {
  auto bus = self.Open("/bus", kStart);
  auto watchdog = self.Open("/watchdog", kStart);
  if (!bus.ok() || !watchdog.ok()) return 1;
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    if (!self.Sleep(StartOfCycle(cycle)).ok()) return 1;
    const Transfer transfer{absl::ToInt64Nanoseconds(kDistributionTransfer)};
    if (!bus->Call<Transferred>(transfer).ok()) return 1;
    self.Compute(kDistributionWork);
    if (!watchdog->SendPulse(kAlive, 0, kPulsePriority).ok()) return 1;
  }
  return self.Sleep(StartOfCycle(kCycles) + absl::Milliseconds(1)).ok() ? 0 : 1;
}

}  // namespace pathfinder
