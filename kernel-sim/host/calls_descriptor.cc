// Kernel calls: descriptors that a program waits for. The agent's epoll watches each copy for one
// event, then no more until it is armed again.
#include <sys/epoll.h>

#include "kernel-sim/host/process.h"

namespace parley::host {

absl::StatusOr<WatchHandle> Process::DescriptorWatch(ChannelHandle channel_handle, int descriptor,
                                                     Readiness readiness, int priority) {
  PARLEY_ENTER();
  Locked locked(lock_);
  HostChannel* channel = channel_handles_.Find(channel_handle);
  if (channel == nullptr) return Refuse(Error::kBadHandle);
  auto made = watches_.Make(*channel, descriptor, readiness, priority, ceiling_);
  if (!made.ok()) return made.status();
  const WatchedDescriptor& watch = **made;
  const WatchHandle handle = watch.handle;
  // Errors are told even of one that is not armed: not heard, and not again.
  epoll_event event = {.events = EPOLLONESHOT,
                       .data = {.u64 = AgentKey(AgentSource::kDescriptor, Raw(handle))}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, watch.descriptor.get(), &event) != 0) {
    watches_.Remove(handle);
    return MakeError(Error::kQuotaExhausted, "Linux watches no more descriptors for this user");
  }
  Arm(**made);
  return handle;
}

absl::Status Process::WatchRearm(WatchHandle handle) {
  if (absl::Status entered = EnterFromDestructor(); !entered.ok()) return entered;
  Locked locked(lock_);
  WatchedDescriptor* watch = watches_.Find(handle);
  if (watch == nullptr) return Refuse(Error::kBadHandle);
  if (watch->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  Arm(*watch);
  return absl::OkStatus();
}

void Process::WatchClose(WatchHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Locked locked(lock_);
  const std::unique_ptr<WatchedDescriptor> watch = watches_.Remove(handle);
  if (watch != nullptr) Disarm(*watch);
}

// What is ready already needs no agent.
void Process::Arm(WatchedDescriptor& watch) {
  auto& channel = static_cast<HostChannel&>(*watch.channel);
  if (watch.armed || watch.FindQueued(channel.pulses) != nullptr) return;
  if (watch.IsReady()) return OfferPulse(channel, watch.source(), watch.pulse());
  watch.armed = true;
  epoll_event event = {.events = static_cast<uint32_t>(watch.events()) | EPOLLONESHOT,
                       .data = {.u64 = AgentKey(AgentSource::kDescriptor, Raw(watch.handle))}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, watch.descriptor.get(), &event);
}

// Nothing more comes of it, what is queued included.
void Process::Disarm(WatchedDescriptor& watch) {
  Unwatch(watch.descriptor.get());
  watch.armed = false;
  if (watch.channel == nullptr) return;
  auto& channel = static_cast<HostChannel&>(*watch.channel);
  if (Pulse* pulse = watch.FindQueued(channel.pulses)) {
    channel.Remove(*pulse);
    channel.pulses.Take(*pulse);
  }
}

// The agent's. What was ready may have been taken since: then it is armed again.
void Process::OnReady(WatchHandle handle) {
  Locked locked(lock_);
  WatchedDescriptor* watch = watches_.Find(handle);
  if (watch == nullptr || !std::exchange(watch->armed, false)) return;
  Arm(*watch);
}

}  // namespace parley::host
