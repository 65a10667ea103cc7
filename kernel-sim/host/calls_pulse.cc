// Kernel calls: pulses, events, timers.
//
// A pulse goes into a place of the lane that its sender and its channel share, and rings. While it
// is queued its place holds a count, so identical ones coalesce there (U2).
#include <sys/timerfd.h>

#include <algorithm>

#include "kernel-sim/host/answer_in_use.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/ticks.h"

namespace parley::host {

// False if as many are queued as may be. The lock keeps other senders of this process out.
bool Process::PutInLane(Lane& lane, const PulseSpec& pulse) {
  LaneEntry* free = nullptr;
  for (LaneEntry& entry : lane.entries) {
    uint32_t count = entry.count.load();
    if (count == 0) {
      if (free == nullptr) free = &entry;
      continue;
    }
    if (entry.code != pulse.code || entry.priority != pulse.priority ||
        entry.value != pulse.value) {
      continue;
    }
    while (count != 0 && count != ~0u) {
      if (entry.count.compare_exchange_weak(count, count + 1)) return true;
    }
    if (count == ~0u) return true;
    if (free == nullptr) free = &entry;  // received meanwhile
  }
  if (free == nullptr) return false;
  free->code = pulse.code;
  free->priority = static_cast<uint8_t>(pulse.priority);
  free->value = pulse.value;
  free->sent_at = Ticks();
  free->count.store(1);
  return true;
}

absl::Status Process::PulseSend(ConnectionHandle handle, const PulseSpec& pulse) {
  PARLEY_ENTER();
  Locked locked(lock_);
  OutConnection* connection = connection_handles_.Find(handle);
  if (connection == nullptr) return Refuse(Error::kBadHandle);
  OutLink& link = *connection->links[0];
  if (connection->dead || link.link().closed_by_server.load() != 0) {
    return Refuse(Error::kNoSuchChannel);
  }
  if (absl::Status valid = CheckPulse(pulse, connection->ceiling); !valid.ok()) return valid;
  if (!PutInLane(link.link().lane, pulse)) {
    return MakeError(Error::kQuotaExhausted, "as many pulses are queued as may be");
  }
  Tracer::PulseSent(&current(), connection->channel, pulse);
  RingOut(*link.bell, link.first_bit + kLaneBit, 0);
  return absl::OkStatus();
}

absl::StatusOr<Token> Process::EventRegister(ChannelHandle channel_handle, const PulseSpec& pulse,
                                             bool any_value, ConnectionHandle target) {
  PARLEY_ENTER();
  auto call = Zeroed<RegisterEvent>();
  {
    Locked locked(lock_);
    HostChannel* channel = channel_handles_.Find(channel_handle);
    OutConnection* connection = connection_handles_.Find(target);
    if (channel == nullptr || connection == nullptr) return Refuse(Error::kBadHandle);
    if (connection->dead) return Refuse(Error::kNoSuchChannel);
    call.channel = channel->id;
    call.connection = connection->number;
  }
  if (absl::Status valid = CheckPulse(pulse, ceiling_); !valid.ok()) return valid;
  call.code = pulse.code;
  call.any_value = any_value ? 1 : 0;
  call.priority = pulse.priority;
  call.value = pulse.value;
  auto answer = Ask(call);
  if (!answer.ok()) return answer.status();
  return answer->As<TokenMade>()->token;
}

// Opened at its first delivery.
absl::Status Process::OpenEvent(const Token& token) {
  {
    Locked locked(lock_);
    if (opened_events_.contains(token)) return absl::OkStatus();
  }
  auto answer = Ask(host::OpenEvent{token});
  const AnswerInUse in_use(answers_in_use_, answer);
  if (!answer.ok()) return answer.status();
  const auto opened = answer->As<OpenedEvent>();
  PARLEY_CHECK(opened.has_value());
  if (answer->fds.size() < 3) return MakeError(Error::kQuotaExhausted, "no descriptor is left");
  auto mapped = MapShared(answer->fds[0], sizeof(Link), /*writable=*/true);
  if (!mapped.ok()) return mapped.status();
  Locked locked(lock_);
  auto event = std::make_unique<OpenedLane>();
  event->number = opened->event;
  event->grant_word = opened->grant_word;
  event->any_value = opened->any_value != 0;
  event->pulse = {static_cast<uint8_t>(opened->code), opened->value, opened->priority};
  event->memory = *std::move(mapped);
  event->bell = MapOutBell(opened->bell, answer->fds[1], std::move(answer->fds[2]));
  event->first_bit = opened->first_bit;
  if (event->bell == nullptr) return Refuse(Error::kQuotaExhausted);
  opened_events_.try_emplace(token, std::move(event));
  return absl::OkStatus();
}

absl::Status Process::EventDeliver(const Token& token, std::optional<uint64_t> value) {
  PARLEY_ENTER();
  if (absl::Status opened = OpenEvent(token); !opened.ok()) return opened;
  Locked locked(lock_);
  auto found = opened_events_.find(token);
  if (found == opened_events_.end()) return Refuse(Error::kLeaseEnded);
  OpenedLane& event = *found->second;
  if (grants().words[event.grant_word].load() != event.number) {
    opened_events_.erase(found);
    return Refuse(Error::kLeaseEnded);
  }
  if (value.has_value() && !event.any_value) {
    return MakeError(Error::kNotPermitted, "the event was registered with a value of its own");
  }
  PulseSpec pulse = event.pulse;
  pulse.value = value.value_or(pulse.value);
  if (!PutInLane(event.memory.As<Link>()->lane, pulse)) {
    return MakeError(Error::kQuotaExhausted, "as many pulses are queued as may be");
  }
  Tracer::EventSent(current(), event.number, pulse);
  RingOut(*event.bell, event.first_bit + kLaneBit, 0);
  return absl::OkStatus();
}

// -- Timers

absl::StatusOr<TimerHandle> Process::TimerCreate(ChannelHandle channel_handle,
                                                 const PulseSpec& pulse) {
  PARLEY_ENTER();
  Locked locked(lock_);
  HostChannel* channel = channel_handles_.Find(channel_handle);
  if (channel == nullptr) return Refuse(Error::kBadHandle);
  if (absl::Status valid = CheckPulse(pulse, ceiling_); !valid.ok()) return valid;
  if (timer_handles_.full()) return Refuse(Error::kQuotaExhausted);
  auto record = std::make_unique<UserTimer>(channel, pulse);
  record->number = ++last_number_;
  return timer_handles_.Add(timer_records_.insert(std::move(record)).first->get());
}

absl::Status Process::TimerArm(TimerHandle handle, int64_t first_ns, int64_t period_ns) {
  PARLEY_ENTER();
  Locked locked(lock_);
  UserTimer* timer = timer_handles_.Find(handle);
  if (timer == nullptr) return Refuse(Error::kBadHandle);
  if (period_ns < 0) return MakeError(Error::kInvalidArgument, "a period is negative");
  if (timer->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  timers_.Disarm(timer->node);
  if (first_ns != kNever) {
    timer->next_ns = first_ns;
    timer->period_ns = period_ns;
    timers_.Arm(timer->node, first_ns);
  }
  RearmTimerFd();
  return absl::OkStatus();
}

void Process::TimerDestroy(TimerHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Locked locked(lock_);
  UserTimer* timer = timer_handles_.Remove(handle);
  if (timer == nullptr) return;
  timers_.Disarm(timer->node);
  RearmTimerFd();
  timer_records_.erase(timer_records_.find(timer));
}

void Process::RearmTimerFd() {
  const int64_t next = timers_.NextDue();
  if (next == timer_armed_for_) return;
  timer_armed_for_ = next;
  itimerspec spec = {};  // all zero: disarmed
  if (next != kNever) spec.it_value = ToTimespec(std::max<int64_t>(ToMonotonic(next), 1));
  timerfd_settime(timer_fd_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

// U5: a period counts from the time it was due, so it does not drift. What was overrun is counted
// in the pulse that is queued.
void Process::OnTimers() {
  Locked locked(lock_);
  uint64_t expirations = 0;
  [[maybe_unused]] const ssize_t got = read(timer_fd_.get(), &expirations, sizeof(expirations));
  timer_armed_for_ = kNever;
  // In portions: one with a short period must not keep the agent from all else.
  const int64_t now = Now();
  for (int i = 0; i < 256 && timers_.NextDue() <= now; ++i) {
    auto& due = static_cast<AgentTimer&>(timers_.PopDueAt(now, 0));
    if (due.of == AgentTimer::Of::kBudget) OnBudget(*due.thread);
    if (due.of == AgentTimer::Of::kParting) OnParting(*due.thread);
    if (due.of != AgentTimer::Of::kUser) continue;
    UserTimer& timer = *due.user;
    const PulseInfo pulse = {timer.pulse.code, timer.pulse.value, timer.pulse.priority, 1, 0};
    if (timer.period_ns > 0) {
      timer.next_ns += timer.period_ns;
      timers_.Arm(timer.node, timer.next_ns);
    }
    OfferPulse(*timer.channel, {PulseSource::Kind::kTimer, timer.number}, pulse);
  }
  RearmTimerFd();
}

}  // namespace parley::host
