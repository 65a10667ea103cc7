// Receiving; events and timers.
#include "ipc/channel.h"

#include <algorithm>
#include <utility>

#include "libipc/src/convert.h"
#include "libipc/src/message_info.h"

namespace ipc {
namespace {

parley::ChannelHandle Handle(uint32_t handle) { return parley::ChannelHandle{handle}; }

}  // namespace

Channel::Channel(Channel&& other) noexcept
    : kernel_(other.kernel_),
      handle_(std::exchange(other.handle_, 0)),
      name_(std::move(other.name_)) {}

Channel& Channel::operator=(Channel&& other) noexcept {
  std::swap(kernel_, other.kernel_);
  std::swap(handle_, other.handle_);
  std::swap(name_, other.name_);
  return *this;
}

Channel::~Channel() {
  if (handle_ != 0) kernel_->ChannelDestroy(Handle(handle_));
}

absl::StatusOr<Received> Channel::Receive(Deadline deadline) const {
  absl::StatusOr<Received> received(absl::in_place);
  Message& message = received->message_;
  const MutableBytes inline_bytes(message.inline_.data(), message.inline_.size());
  absl::Status status = ReceiveInto(inline_bytes, deadline, *received);
  if (status.ok()) {
    message.inline_size_ = static_cast<uint32_t>(
        std::min<uint64_t>(message.info_.request_bytes, Message::kInlineBytes));
  } else {
    received = std::move(status);
  }
  return received;  // by this name alone, so that it is made in the caller's place
}

absl::StatusOr<Received> Channel::Receive(MutableBytes buffer, Deadline deadline) const {
  absl::StatusOr<Received> received(absl::in_place);
  absl::Status status = ReceiveInto(buffer, deadline, *received);
  if (!status.ok()) received = std::move(status);
  return received;
}

absl::Status Channel::ReceiveInto(MutableBytes buffer, Deadline deadline,
                                  Received& received) const {
  parley::ReceiveResult result;
  absl::Status status = kernel_->Receive(Handle(handle_), absl::MakeConstSpan(&buffer, 1),
                                         Resolve(*kernel_, deadline), result);
  if (!status.ok()) return parley::Annotate(status, name_);
  if (result.is_pulse) {
    const parley::PulseInfo& pulse = result.pulse;
    received.is_pulse_ = true;
    received.pulse_ = {pulse.code, pulse.value, pulse.priority, pulse.count, pulse.badge};
    return status;
  }
  Message& message = received.message_;
  message.kernel_ = kernel_;
  message.slot_ = result.message.slot;
  message.serial_ = message.id_ = result.message.serial;
  CopyInfo(result.info, message.info_);
  return status;
}

absl::StatusOr<Token> Channel::Grant(ProcessRef holder, const GrantOptions& options) const {
  const parley::Rights rights =
      parley::Rights::kConnect |
      (options.may_grant ? parley::Rights::kGrant : parley::Rights::kNone);
  auto token = kernel_->ChannelGrant(Handle(handle_), ToKernel(holder), options.badge,
                                     options.ceiling, rights);
  if (!token.ok()) return parley::Annotate(token.status(), name_);
  return FromKernel(*token);
}

absl::StatusOr<EventToken> Channel::RegisterEvent(const Connection& to, uint8_t code,
                                                  uint64_t value, int priority,
                                                  bool any_value) const {
  auto token = kernel_->EventRegister(Handle(handle_), {code, value, priority}, any_value,
                                      parley::ConnectionHandle{to.handle_});
  if (!token.ok()) return parley::Annotate(token.status(), name_);
  return EventToken{FromKernel(*token)};
}

absl::StatusOr<Timer> Channel::MakeTimer(uint8_t code, uint64_t value, int priority) const {
  auto timer = kernel_->TimerCreate(Handle(handle_), {code, value, priority});
  if (!timer.ok()) return parley::Annotate(timer.status(), name_);
  return Timer(kernel_, parley::Raw(*timer));
}

Timer::Timer(Timer&& other) noexcept
    : kernel_(other.kernel_), handle_(std::exchange(other.handle_, 0)) {}

Timer& Timer::operator=(Timer&& other) noexcept {
  std::swap(kernel_, other.kernel_);
  std::swap(handle_, other.handle_);
  return *this;
}

Timer::~Timer() {
  if (handle_ != 0) kernel_->TimerDestroy(parley::TimerHandle{handle_});
}

absl::Status Timer::Arm(Deadline first, absl::Duration period) {
  return kernel_->TimerArm(parley::TimerHandle{handle_}, Resolve(*kernel_, first),
                           absl::ToInt64Nanoseconds(period));
}

absl::Status Timer::Disarm() { return Arm(Deadline::Never()); }

}  // namespace ipc
