// Asking the broker: a packet out, and its answer, which the agent brings.
#include "kernel-sim/host/process.h"

namespace parley::host {
namespace {

absl::Status BrokerGone() {
  return MakeError(Error::kNoSuchChannel, "the broker has gone; what is connected goes on");
}

void SetCall(Packet& packet, uint32_t number) {
  Header header = *packet.header();
  header.call = number;
  std::memcpy(packet.bytes.data(), &header, sizeof(header));
}

// The Status inside a Failed, or the packet.
absl::StatusOr<Packet> Unpack(Packet packet) {
  const auto failed = packet.As<Failed>();
  if (!failed) return packet;
  const auto error = static_cast<Error>(failed->error);
  return MakeError(error, packet.Tail<Failed>());
}

}  // namespace

absl::StatusOr<Packet> Process::Ask(Packet packet) {
  PendingCall call;
  {
    Locked locked(broker_lock_);
    if (broker_gone_) return BrokerGone();
    if (++last_call_ == 0) ++last_call_;
    SetCall(packet, last_call_);
    pending_[last_call_] = &call;
    if (absl::Status sent = SendPacket(broker_, packet); !sent.ok()) {
      pending_.erase(last_call_);
      return BrokerGone();
    }
  }
  // Not given up at a deadline or a cancel: the broker answers at once, and what it has done would
  // be lost.
  while (call.done.load() == 0) FutexWait(call.done, 0, kNever, Sharing::kPrivate);
  // Whoever set it may still hold the lock; afterwards nobody knows the call.
  { Locked locked(broker_lock_); }
  return std::move(call.answer);
}

void Process::TellBroker(Packet packet) {
  Locked locked(broker_lock_);
  if (broker_gone_) return;
  if (++last_call_ == 0) ++last_call_;
  SetCall(packet, last_call_);
  SendPacket(broker_, packet).IgnoreError();  // the agent finds out, too
}

void Process::OnAnswer(Packet packet) {
  absl::Status arrived;
  if (packet.As<Connected>()) {
    Locked locked(lock_);
    arrived = OnConnected(packet);
  }
  Locked locked(broker_lock_);
  auto found = pending_.find(packet.header()->call);
  if (found == pending_.end()) return;
  PendingCall& call = *found->second;
  pending_.erase(found);
  call.answer = arrived.ok() ? Unpack(std::move(packet)) : arrived;
  call.done.store(1);
  FutexWake(call.done, 1, Sharing::kPrivate);
}

void Process::FailAllCalls() {
  Locked locked(broker_lock_);
  broker_gone_ = true;
  for (auto& [number, call] : pending_) {
    call->answer = BrokerGone();
    call->done.store(1);
    FutexWake(call->done, 1, Sharing::kPrivate);
  }
  pending_.clear();
}

}  // namespace parley::host
