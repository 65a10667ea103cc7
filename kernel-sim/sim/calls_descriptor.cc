// Kernel calls: descriptors of the host's, the only thing from outside that a simulated program can
// wait for.
//
// While one is armed, the kernel looks at all of them every kLookNs of virtual time. While no
// thread runs it looks but once before the next timer, since virtual time takes no real one then;
// and once nothing else can happen any more, it waits for them in real time. When they are ready is
// up to the outside: a schedule is replayed exactly where they behave alike.
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "kernel-sim/sim/calls.h"

namespace parley::sim {
namespace {

constexpr int64_t kLookNs = 20'000;
constexpr int kForEver = -1;

}  // namespace

absl::StatusOr<WatchHandle> Calls::DescriptorWatch(ChannelHandle channel_handle, int descriptor,
                                                   Readiness readiness, int priority) {
  PARLEY_ENTER();
  SimChannel* channel = process_.channels.Find(channel_handle);
  if (channel == nullptr) return Refuse(Error::kBadHandle);
  auto made =
      process_.watches.Make(*channel, descriptor, readiness, priority, process_.options.ceiling);
  if (!made.ok()) return made.status();
  const WatchHandle handle = (*made)->handle;
  sim_.Arm(**made);
  Leave();
  return handle;
}

absl::Status Calls::WatchRearm(WatchHandle handle) {
  if (absl::Status entered = EnterFromDestructor(); !entered.ok()) return entered;
  WatchedDescriptor* watch = process_.watches.Find(handle);
  if (watch == nullptr) return Refuse(Error::kBadHandle);
  if (watch->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  sim_.Arm(*watch);
  Leave();
  return absl::OkStatus();
}

void Calls::WatchClose(WatchHandle handle) noexcept {
  if (!EnterQuietly()) return;
  const std::unique_ptr<WatchedDescriptor> watch = process_.watches.Remove(handle);
  if (watch != nullptr) sim_.Disarm(*watch);
}

// -- Looking

// What is ready already is so at once.
void Simulation::Arm(WatchedDescriptor& watch) {
  auto& channel = static_cast<SimChannel&>(*watch.channel);
  if (watch.armed || watch.FindQueued(channel.pulses) != nullptr) return;
  if (watch.IsReady()) {
    OfferPulse(channel, watch.source(), watch.pulse(), PulseTable::kNoQuota).IgnoreError();
    return;
  }
  watch.armed = true;
  armed_.push_back(&watch);
  scheduler_.timers().Arm(look_, now() + kLookNs);
}

// Nothing more comes of it, what is queued included.
void Simulation::Disarm(WatchedDescriptor& watch) {
  if (watch.channel == nullptr) return;
  auto& channel = static_cast<SimChannel&>(*watch.channel);
  if (Pulse* pulse = watch.FindQueued(channel.pulses)) {
    channel.Remove(*pulse);
    channel.pulses.Take(*pulse);
  }
  if (!std::exchange(watch.armed, false)) return;
  std::erase(armed_, &watch);
  if (armed_.empty()) scheduler_.timers().Disarm(look_);
}

void Simulation::OnLook() {
  const bool lull = scheduler_.NobodyRuns();
  const int64_t next = scheduler_.timers().NextDue();
  const bool last_hope = lull && next == kNever;
  // Who would never hear of it is not waited for: the run's report says so.
  if (last_hope && !AnybodyWaitsForDescriptors()) return;
  const bool found = LookAtDescriptors(last_hope ? kForEver : 0);
  if (armed_.empty()) return;
  const int64_t soon = now() + kLookNs;
  scheduler_.timers().Arm(look_, lull && !found ? std::max(soon, next - 1) : soon);
}

bool Simulation::LookAtDescriptors(int timeout_ms) {
  std::vector<pollfd> looks;
  for (const WatchedDescriptor* watch : armed_) {
    looks.push_back({watch->descriptor.get(), watch->events(), 0});
  }
  int ready = 0;
  do {
    ready = poll(looks.data(), looks.size(), timeout_ms);
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return false;
  const std::vector<WatchedDescriptor*> armed = std::exchange(armed_, {});
  for (size_t i = 0; i < armed.size(); ++i) {
    WatchedDescriptor& watch = *armed[i];
    if (looks[i].revents == 0) {
      armed_.push_back(&watch);
      continue;
    }
    watch.armed = false;
    OfferPulse(static_cast<SimChannel&>(*watch.channel), watch.source(), watch.pulse(),
               PulseTable::kNoQuota)
        .IgnoreError();  // no quota: always taken
  }
  return true;
}

bool Simulation::AnybodyWaitsForDescriptors() const {
  return std::any_of(armed_.begin(), armed_.end(), [](const WatchedDescriptor* watch) {
    return watch->channel->FrontReceiver() != nullptr;
  });
}

}  // namespace parley::sim
