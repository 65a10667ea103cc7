// Events: pulses that one process may have the kernel deliver to another's channel (U4).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {

Broker::Answer Broker::OnRegisterEvent(ProcessRecord& owner, const RegisterEvent& call) {
  ChannelRecord* channel = FindOwnChannel(owner, call.channel);
  const ConnectionRecord* connection = FindOwnConnection(owner, call.connection);
  if (channel == nullptr || connection == nullptr) return Refuse(Error::kBadHandle);
  if (connection->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  const PulseSpec pulse = {.code = static_cast<uint8_t>(std::min<uint32_t>(call.code, 255)),
                           .value = call.value,
                           .priority = call.priority};
  if (absl::Status valid = CheckPulse(pulse, owner.ceiling); !valid.ok()) return valid;
  auto share = record_quota_.Take(owner.uid, 1);
  if (!share.ok()) return share.status();
  auto descriptor = descriptors_.Take(owner.uid, 1);  // of its link, once it is opened
  if (!descriptor.ok()) return descriptor.status();
  ProcessRecord& target = *connection->channel->owner;
  const uint64_t number = ++last_value_;
  const Capability& root = capabilities_.CreateRoot({ObjectKind::kEvent, number}, owner.id,
                                                    {.rights = Rights::kGrant | Rights::kWrite});
  auto granted =
      capabilities_.Grant(root.id, owner.id, target.id, {.rights = Rights::kWrite}, DrawToken());
  if (!granted.ok()) {
    capabilities_.Kill(root.id);
    return granted.status();
  }
  auto& event = events_[number];
  event = std::make_unique<EventRecord>();
  event->share = *std::move(share);
  event->descriptor = *std::move(descriptor);
  event->number = number;
  event->channel = channel;
  event->target = &target;
  event->spec = call;
  channel->events.insert(number);
  Enter(*event);
  Dependents& dependents = dependents_[(*granted)->id];
  dependents.event = number;
  Enter(**granted, owner, dependents);
  return Packet::Of(0, TokenMade{(*granted)->token});
}

Broker::Answer Broker::OnOpenEvent(ProcessRecord& target, const OpenEvent& call) {
  auto capability = capabilities_.FindByToken(call.token, target.id);
  if (!capability.ok()) return capability.status();
  if ((*capability)->object.kind != ObjectKind::kEvent) {
    return MakeError(Error::kNotPermitted, "the token is no event's");
  }
  EventRecord& event = *events_.at((*capability)->object.id);
  if (!event.opened()) {
    if (absl::Status attached = AttachEvent(event); !attached.ok()) return attached;
  }
  Fds fds;
  auto link = Duplicate(event.link);
  if (!link.ok()) return link.status();
  fds.push_back(*std::move(link));
  if (absl::Status appended = AppendBell(*event.place.bell, fds); !appended.ok()) return appended;
  auto opened = Zeroed<OpenedEvent>();
  opened.event = event.number;
  opened.bell = event.place.bell->number;
  opened.first_bit = event.place.first_bit();
  opened.any_value = event.spec.any_value;
  opened.code = event.spec.code;
  opened.priority = event.spec.priority;
  opened.value = event.spec.value;
  opened.grant_word = event.grant_word;
  Packet answer = Packet::Of(0, opened);
  answer.fds = std::move(fds);
  return answer;
}

// At its first opening. The notice to the channel's owner leaves before the answer.
absl::Status Broker::AttachEvent(EventRecord& event) {
  ProcessRecord& target = *event.target;
  ChannelRecord& channel = *event.channel;
  if (absl::Status ok = CheckKeepsUp(*channel.owner); !ok.ok()) return ok;
  auto link = MakeBrokerMemory("parley-event", sizeof(Link), FurtherSeals::kNone);
  if (!link.ok()) return link.status();
  std::unique_ptr<BellRecord> fresh;
  const auto place = FindPlace(channel, target.peer->far.uid, fresh);
  if (!place.ok()) return place.status();
  Fds fds;
  auto owner_link = Duplicate(*link);
  if (!owner_link.ok()) return owner_link.status();
  fds.push_back(*std::move(owner_link));
  if (fresh != nullptr) {
    if (absl::Status appended = AppendBell(*fresh, fds); !appended.ok()) return appended;
  }
  // Nobody fills another's page.
  const auto opened = target.opened_events.find(channel.owner->id);
  if (opened != target.opened_events.end() &&
      opened->second >= limits_.opened_events_of_one_process) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat(limits_.opened_events_of_one_process,
                                  " events of one process are all that another may have open"));
  }
  const auto word = TakeWord(target, event.number);
  if (!word.ok()) return word.status();

  event.grant_word = *word;
  ++target.opened_events[channel.owner->id];
  event.link = *std::move(link);
  event.place = *place;
  const uint32_t new_bell = fresh != nullptr ? 1 : 0;
  TakePlace(channel, *place, std::move(fresh));
  Enter(event);
  Notify(*channel.owner,
         EventAttached{event.number, channel.id, place->bell->number, place->first_bit(), new_bell,
                       event.spec.code, event.spec.any_value, event.spec.priority, 0,
                       event.spec.value},
         std::move(fds));
  return absl::OkStatus();
}

// Its channel, its target's token, or either process is gone.
void Broker::ForgetEvent(uint64_t number) {
  auto found = events_.find(number);
  if (found == events_.end()) return;
  EventRecord& event = *found->second;
  if (event.opened()) {
    ClearWord(*event.target, event.grant_word);
    auto& opened = event.target->opened_events;
    auto of_owner = opened.find(event.channel->owner->id);
    if (--of_owner->second == 0) opened.erase(of_owner);
    event.place.bell->taken.reset(event.place.place);
  }
  event.channel->events.erase(number);
  events_.erase(found);
  EndCapabilities(capabilities_.KillObject({ObjectKind::kEvent, number}));
}

}  // namespace parley::host
