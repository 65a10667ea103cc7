// Pulses: queued, handed to a waiting receiver, withdrawn (U1 to U5, D4).
#include "kernel-sim/sim/simulation.h"

namespace parley::sim {

absl::Status Simulation::OfferPulse(SimChannel& channel, PulseSource source, const PulseInfo& pulse,
                                    size_t quota) {
  // Timers and the kernel itself send from no thread.
  const bool sent =
      source.kind == PulseSource::Kind::kConnection || source.kind == PulseSource::Kind::kEvent;
  const SimThread* sender = sent ? &current() : nullptr;
  if (ReceiverEntry* receiver = channel.FrontReceiver()) {
    auto& server = static_cast<SimThread&>(Thread::FromReceiver(*receiver));
    inheritance_.RemoveReceiver(server);
    TellPulse(TraceKind::kPulseSent, sender, channel, pulse);
    ReceivePulse(server, channel, pulse, *server.receive_result);
    Wake(server, absl::OkStatus());
    return absl::OkStatus();
  }
  const PulseTable::Offered offered =
      channel.pulses.Offer(source, pulse.code, pulse.value, pulse.priority, pulse.badge, quota);
  if (offered.outcome == PulseTable::Outcome::kRefused) {
    return MakeError(Error::kQuotaExhausted, "as many pulses are queued as may be");
  }
  if (offered.outcome == PulseTable::Outcome::kQueued) channel.Push(*offered.pulse, pulse.priority);
  TellPulse(TraceKind::kPulseSent, sender, channel, pulse);
  return absl::OkStatus();
}

void Simulation::OfferKernelPulse(SimChannel& channel, KernelPulse code, uint64_t value,
                                  int priority, uint64_t badge) {
  const PulseInfo pulse = {static_cast<uint8_t>(code), value, priority, 1, badge};
  OfferPulse(channel, {}, pulse, PulseTable::kNoQuota).IgnoreError();  // no quota: always taken
}

void Simulation::ReceivePulse(SimThread& server, SimChannel& channel, const PulseInfo& pulse,
                              ReceiveResult& result) {
  result.is_pulse = true;
  result.pulse = pulse;
  inheritance_.ReceivePulse(server, pulse.priority, channel);
  TellPulse(TraceKind::kPulseReceived, &server, channel, pulse);
}

void Simulation::TakePulse(SimThread& server, SimChannel& channel, Pulse& pulse,
                           ReceiveResult& result) {
  const PulseInfo info{pulse.code, pulse.value, pulse.priority, pulse.count, pulse.badge};
  channel.Remove(pulse);
  channel.pulses.Take(pulse);
  ReceivePulse(server, channel, info, result);
}

// D4: a reply that overtakes its unblock pulse removes it.
void Simulation::WithdrawUnblockPulse(const SendInFlight& send) {
  SimChannel* channel = send.connection->channel;
  if (channel == nullptr) return;
  Pulse* pulse = channel->pulses.Find({}, static_cast<uint8_t>(KernelPulse::kUnblock), send.serial,
                                      send.unblock_priority);
  if (pulse == nullptr) return;
  channel->Remove(*pulse);
  channel->pulses.Take(*pulse);
}

// U5: identical pulses coalesce, so an overrun is counted in the one that is queued.
void Simulation::OnUserTimer(UserTimer& timer) {
  if (timer.period_ns > 0) {
    // From the time it was due, not from now: a period does not drift.
    const int64_t due_ns = std::max(timer.next_ns + timer.period_ns, now());
    timer.next_ns += timer.period_ns;
    scheduler_.timers().Arm(timer.timer, due_ns);
  }
  const PulseInfo pulse = {timer.pulse.code, timer.pulse.value, timer.pulse.priority, 1, 0};
  OfferPulse(*timer.channel, {PulseSource::Kind::kTimer, timer.number}, pulse, PulseTable::kNoQuota)
      .IgnoreError();  // no quota: always taken
}

}  // namespace parley::sim
