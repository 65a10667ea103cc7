// Kernel calls: pulses, events, timers.
#include <algorithm>

#include "kernel-sim/sim/calls.h"

namespace parley::sim {

absl::Status Calls::PulseSend(ConnectionHandle handle, const PulseSpec& pulse) {
  PARLEY_ENTER();
  Connection* connection = process_.connections.Find(handle);
  if (connection == nullptr) return Refuse(Error::kBadHandle);
  if (connection->channel == nullptr || connection->revoked) return Refuse(Error::kNoSuchChannel);
  const int ceiling = std::min(connection->ceiling, process_.options.ceiling);
  if (absl::Status valid = CheckPulse(pulse, ceiling); !valid.ok()) return valid;
  if (sim_.PulseQuotaFault(process_)) {
    return MakeError(Error::kQuotaExhausted, "pulse quota used up by an injected fault");
  }
  const PulseInfo info{pulse.code, pulse.value, pulse.priority, 1, connection->badge};
  absl::Status offered =
      sim_.OfferPulse(*connection->channel, {PulseSource::Kind::kConnection, connection->number},
                      info, kMaxQueuedPulsesPerConnection);
  Leave();
  return offered;
}

absl::StatusOr<Token> Calls::EventRegister(ChannelHandle channel_handle, const PulseSpec& pulse,
                                           bool any_value, ConnectionHandle target) {
  PARLEY_ENTER();
  SimChannel* channel = process_.channels.Find(channel_handle);
  Connection* connection = process_.connections.Find(target);
  if (channel == nullptr || connection == nullptr) return Refuse(Error::kBadHandle);
  if (connection->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  if (absl::Status valid = CheckPulse(pulse, process_.options.ceiling); !valid.ok()) return valid;
  const CapabilityId root = sim_.MakeEvent(*channel, pulse, any_value);
  auto granted = sim_.capabilities().Grant(root, process_.id, connection->channel->process.id,
                                           {.rights = Rights::kWrite}, sim_.NextToken());
  if (!granted.ok()) {
    sim_.ForgetEvent(sim_.capabilities().Find(root)->object.id);
    return granted.status();
  }
  return (*granted)->token;
}

absl::Status Calls::EventDeliver(const Token& token, std::optional<uint64_t> value) {
  PARLEY_ENTER();
  auto capability = sim_.capabilities().FindByToken(token, process_.id);
  if (!capability.ok()) return capability.status();
  if ((*capability)->object.kind != ObjectKind::kEvent) {
    return MakeError(Error::kNotPermitted, "the token is no event's");
  }
  const uint64_t number = (*capability)->object.id;
  SimEvent& event = *sim_.FindEvent(number);
  if (value.has_value() && !event.any_value) {
    return MakeError(Error::kNotPermitted, "the event was registered with a value of its own");
  }
  const PulseInfo info{event.pulse.code, value.value_or(event.pulse.value), event.pulse.priority, 1,
                       0};
  absl::Status offered = sim_.OfferPulse(*event.channel, {PulseSource::Kind::kEvent, number}, info,
                                         kMaxQueuedPulsesPerEvent);
  Leave();
  return offered;
}

absl::StatusOr<TimerHandle> Calls::TimerCreate(ChannelHandle channel_handle,
                                               const PulseSpec& pulse) {
  PARLEY_ENTER();
  SimChannel* channel = process_.channels.Find(channel_handle);
  if (channel == nullptr) return Refuse(Error::kBadHandle);
  if (absl::Status valid = CheckPulse(pulse, process_.options.ceiling); !valid.ok()) return valid;
  if (process_.timers.full()) return Refuse(Error::kQuotaExhausted);
  auto record = std::make_unique<UserTimer>(channel, pulse);
  record->number = sim_.NextNumber();
  return process_.timers.Add(process_.timer_records.insert(std::move(record)).first->get());
}

absl::Status Calls::TimerArm(TimerHandle handle, int64_t first_ns, int64_t period_ns) {
  PARLEY_ENTER();
  UserTimer* timer = process_.timers.Find(handle);
  if (timer == nullptr) return Refuse(Error::kBadHandle);
  if (period_ns < 0) return MakeError(Error::kInvalidArgument, "a period is negative");
  if (timer->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  sim_.scheduler().timers().Disarm(timer->timer);
  if (first_ns == kNever) return absl::OkStatus();
  timer->next_ns = first_ns;
  timer->period_ns = period_ns;
  sim_.scheduler().timers().Arm(timer->timer, std::max(first_ns, sim_.now()));
  return absl::OkStatus();
}

void Calls::TimerDestroy(TimerHandle handle) noexcept {
  if (!EnterQuietly()) return;
  UserTimer* timer = process_.timers.Remove(handle);
  if (timer == nullptr) return;
  sim_.scheduler().timers().Disarm(timer->timer);
  process_.timer_records.erase(process_.timer_records.find(timer));
}

}  // namespace parley::sim
