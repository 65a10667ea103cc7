// Asking the broker: a packet out, and its answer, which the agent brings. While there is no broker
// the packet waits for the next one (rejoin.cc).
#include "kernel-sim/host/answer_in_use.h"
#include "kernel-sim/host/pending_call.h"

namespace parley::host {
namespace {

absl::Status BrokerGone() {
  return MakeError(Error::kNoSuchChannel, "the broker has gone; what is connected goes on");
}

// The Status inside a Failed, or the packet.
absl::StatusOr<Packet> Unpack(Packet packet) {
  const auto failed = packet.As<Failed>();
  if (!failed) return packet;
  const auto error = static_cast<Error>(failed->error);
  return MakeError(error, packet.Tail<Failed>());
}

// What ends something here, which the broker has to learn of however late.
bool IsAnEnd(Kind kind) {
  return kind == Kind::kDestroyChannel || kind == Kind::kCloseRegion || kind == Kind::kDisconnect;
}

}  // namespace

// The broker_lock_ is held.
uint32_t Process::NextCall() {
  if (++last_call_ == 0) ++last_call_;
  return last_call_;
}

// Whoever sets it may still hold the broker_lock_; afterwards nobody knows the call.
void Process::Settle(PendingCall& call, absl::StatusOr<Packet> answer) {
  call.answer = std::move(answer);
  call.done.store(1);
  FutexWake(call.done, 1, Sharing::kPrivate);
}

absl::StatusOr<Packet> Process::Ask(Packet packet) {
  PendingCall call;
  call.packet = &packet;
  {
    Locked locked(broker_lock_);
    const bool waits = broker_is_ == BrokerIs::kAway && !calls_fail_;
    if (broker_is_ != BrokerIs::kThere && !waits) {
      if (broker_is_ == BrokerIs::kAway && IsAnEnd(packet.header()->kind)) {
        packet.SetCall(NextCall());
        untold_.push_back(std::move(packet));
      }
      return BrokerGone();
    }
    const uint32_t number = NextCall();
    packet.SetCall(number);
    pending_[number] = &call;
    // Where that fails the agent finds out, and sends it to the next broker.
    if (!waits) SendPacket(broker_, packet).IgnoreError();
  }
  // Not given up at a deadline or a cancel: the broker answers at once, and what it has done would
  // be lost.
  while (call.done.load() == 0) FutexWait(call.done, 0, kNever, Sharing::kPrivate);
  { Locked locked(broker_lock_); }
  return std::move(call.answer);
}

void Process::TellBroker(Packet packet) {
  Locked locked(broker_lock_);
  if (broker_is_ == BrokerIs::kGone) return;
  packet.SetCall(NextCall());
  if (broker_is_ == BrokerIs::kAway) return untold_.push_back(std::move(packet));
  SendPacket(broker_, packet).IgnoreError();  // else the next one learns it from the claims
}

void Process::OnAnswer(Packet packet) {
  const Header header = *packet.header();
  if (rejoin_call_ != 0 && header.call == rejoin_call_) return OnRejoined(packet);
  absl::Status arrived;
  if (packet.As<Connected>()) {
    Locked locked(lock_);
    arrived = OnConnected(packet);
  }
  Locked locked(broker_lock_);
  auto found = pending_.find(header.call);
  if (found == pending_.end()) return;
  PendingCall& call = *found->second;
  pending_.erase(found);
  if (AnswerInUse::Counts(header.kind)) answers_in_use_.fetch_add(1);
  Settle(call, arrived.ok() ? Unpack(std::move(packet)) : arrived);
}

// Those that wait, and those that come until there is a broker again.
void Process::FailAllCalls() {
  Locked locked(broker_lock_);
  calls_fail_ = true;
  for (auto& [number, call] : pending_) {
    if (IsAnEnd(call->packet->header()->kind)) {
      Packet packet;
      packet.bytes = call->packet->bytes;
      untold_.push_back(std::move(packet));
    }
    Settle(*call, BrokerGone());
  }
  pending_.clear();
}

}  // namespace parley::host
