// Watching descriptors, and telling them from the pulses that they arrive as.
#include "ipc/dispatcher.h"

#include "libipc/src/convert.h"

namespace ipc {
namespace {

constexpr uint8_t kReady = static_cast<uint8_t>(parley::KernelPulse::kReady);
static_assert(Pulse::kReady == kReady);
static_assert(static_cast<int>(Readiness::kWritable) ==
              static_cast<int>(parley::Readiness::kWritable));

}  // namespace

DescriptorWatch::DescriptorWatch(DescriptorWatch&& other) noexcept
    : kernel_(other.kernel_), handle_(std::exchange(other.handle_, 0)) {}

DescriptorWatch& DescriptorWatch::operator=(DescriptorWatch&& other) noexcept {
  std::swap(kernel_, other.kernel_);
  std::swap(handle_, other.handle_);
  return *this;
}

DescriptorWatch::~DescriptorWatch() {
  if (handle_ != 0) kernel_->WatchClose(parley::WatchHandle{handle_});
}

// A watch, or a channel, that is gone is as good.
Ready::~Ready() {
  if (watch_ != 0) kernel_->WatchRearm(parley::WatchHandle{watch_}).IgnoreError();
}

Dispatched::Dispatched(parley::Kernel* kernel, Received received) : received_(std::move(received)) {
  const Pulse* pulse = received_.pulse();
  if (pulse != nullptr && pulse->code == kReady) ready_.emplace(Ready(kernel, pulse->value));
}

absl::StatusOr<DescriptorWatch> Dispatcher::Watch(int descriptor, Readiness readiness,
                                                  int priority) const {
  auto watch =
      channel_.kernel_->DescriptorWatch(parley::ChannelHandle{channel_.handle_}, descriptor,
                                        static_cast<parley::Readiness>(readiness), priority);
  if (!watch.ok()) return parley::Annotate(watch.status(), channel_.name());
  return DescriptorWatch(channel_.kernel_, parley::Raw(*watch));
}

absl::StatusOr<Dispatched> Dispatcher::Wait(Deadline deadline) const {
  return Sort(channel_.Receive(deadline));
}

absl::StatusOr<Dispatched> Dispatcher::Wait(MutableBytes buffer, Deadline deadline) const {
  return Sort(channel_.Receive(buffer, deadline));
}

absl::StatusOr<Dispatched> Dispatcher::Sort(absl::StatusOr<Received> received) const {
  if (!received.ok()) return received.status();
  return Dispatched(channel_.kernel_, *std::move(received));
}

}  // namespace ipc
