// Kernel calls: receive. Steps, as the comments number them:
//
//   (1) Drain: rung slots become entries of the channel's queue, in the order they were sent
//   (2) Match: the front entry goes to the front receiver (S7), whoever of the process does it
//   (3) TakeMessage, TakePulse: the receiver has it, and runs at its priority (P3)
//   (4) the receiver itself copies the bytes, without the lock
//
// Before a receiver sleeps (receive_view.h) it withdraws the watch and closes the doors; whoever
// leaves while others wait closes them again.
//
// Somebody who rings without end keeps receivers awake, but never the lock: each failed try to
// close the doors gives it to whoever else wants it.
#include <sched.h>

#include <algorithm>

#include "kernel-sim/host/bell.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/read_once.h"
#include "kernel-sim/host/receive_view.h"
#include "kernel-sim/host/slot.h"
#include "kernel-sim/host/spin.h"

namespace parley::host {
namespace {

uint8_t ClampPriority(uint32_t claimed, int ceiling) {
  return static_cast<uint8_t>(
      std::clamp<uint32_t>(claimed, kMinPriority, static_cast<uint32_t>(ceiling)));
}

}  // namespace

// -- (1)

void Process::Drain(HostChannel& channel) {
  Gather(channel);
  ApplyChanges();
}

void Process::Gather(HostChannel& channel) {
  const bool nested = std::exchange(gathering_, true);
  Inbound* const watched = channel.watched;
  const bool sent = watched != nullptr && LookAt(*watched);
  const bool rung = std::any_of(channel.bells.begin(), channel.bells.end(),
                                [](const auto& bell) { return bell->bell().summary.load() != 0; });
  if (rung) {
    GatherRung(channel, sent ? watched : nullptr);
  } else if (sent) {
    Arrive(channel, *watched);
  }
  if (channel.queued() > 0 && channel.FrontReceiver() != nullptr) Match(channel);
  gathering_ = nested;
}

// `watched`: the watched client's slot if it has sent something, which counts among the rest.
void Process::GatherRung(HostChannel& channel, Inbound* watched) {
  Arrivals arrived;
  auto add = [&](Inbound& inbound) {
    arrived.push_back({&inbound, nullptr, SentAt(inbound.slot(), inbound.sequence)});
  };
  if (watched != nullptr) add(*watched);
  for (const auto& bell : channel.bells) {
    Collect(bell->bell(), [&](uint32_t bit) {
      ServedLink* link = bell->links[bit / kBitsPerLink];
      if (link == nullptr || link->detached) return;
      if (bit % kBitsPerLink == kLaneBit) return LookAtLane(*link, arrived);
      Inbound* inbound = link->inbound[bit % kBitsPerLink].get();
      // Watched and rung: of a cheat, it may be another request already.
      if (inbound == nullptr || inbound == watched) return;
      if (LookAt(*inbound)) add(*inbound);
    });
  }
  if (arrived.size() == 1 && arrived[0].inbound != nullptr) {
    return Arrive(channel, *arrived[0].inbound);
  }
  std::sort(arrived.begin(), arrived.end(),
            [](const Arrival& a, const Arrival& b) { return a.sent_at < b.sent_at; });
  for (const Arrival& arrival : arrived) {
    if (arrival.inbound != nullptr) {
      Enqueue(channel, *arrival.inbound);
    } else {
      ++arrival.pulse->link->held;
      channel.Push(*arrival.pulse, arrival.pulse->priority);
    }
  }
}

void Process::Enqueue(HostChannel& channel, Inbound& inbound) {
  ++inbound.link.held;
  inheritance_.Enqueue(inbound, channel, inbound.link.ceiling);
}

// The only request that has come. Where somebody waits for it, it need not be queued.
void Process::Arrive(HostChannel& channel, Inbound& inbound) {
  ReceiverEntry* receiver = channel.queued() == 0 ? channel.FrontReceiver() : nullptr;
  if (receiver == nullptr) return Enqueue(channel, inbound);
  auto& server = static_cast<HostThread&>(Thread::FromReceiver(*receiver));
  if (TakeMessage(server, channel, inbound)) HandOver(server);
}

// What a client has done to its slot since the last look; true if there is another request to
// receive.
bool Process::LookAt(Inbound& inbound) {
  Slot& slot = inbound.slot();
  const uint32_t request = slot.request.load();
  const uint32_t sequence = SequenceOf(request);
  const uint8_t level = ClampPriority(slot.priority.load(), inbound.link.ceiling);
  const bool queued = inbound.entry().queued();
  if (inbound.serial != 0) {  // received, not answered
    if (sequence == inbound.sequence && !inbound.gone) LookAtTaken(inbound, AskOf(request), level);
    return false;  // of another sequence: it cheats
  }
  if (queued && request == MakeRequest(inbound.sequence, host::Ask::kSent)) {
    if (inbound.base() != level) inheritance_.SetBase(inbound, level);  // P2
    return false;
  }
  if (queued) Unqueue(inbound);  // taken back
  if (!HasNewRequest(request, inbound.sequence)) return false;
  if (inbound.base() != level) inheritance_.SetBase(inbound, level);
  inbound.sequence = sequence;
  return true;
}

void Process::LookAtTaken(Inbound& inbound, host::Ask ask, int level) {
  if (ask == host::Ask::kLeft) return ClientLeft(inbound);
  if (inbound.base() != level) inheritance_.SetBase(inbound, level);
  if (ask == host::Ask::kWantsToLeave) ClientWantsToLeave(inbound);
}

// It leaves the queue unreceived (D2).
void Process::Unqueue(Inbound& inbound) {
  inheritance_.Dequeue(inbound);
  --inbound.link.held;
}

// Pulses that were put into the lane since the last look.
void Process::LookAtLane(ServedLink& link, Arrivals& arrived) {
  if (link.lane == nullptr) {
    link.lane = std::make_unique<std::array<LanePulse, kMaxQueuedPulsesPerConnection>>();
  }
  for (uint32_t i = 0; i < kMaxQueuedPulsesPerConnection; ++i) {
    const LaneEntry& entry = link.link().lane.entries[i];
    LanePulse& pulse = (*link.lane)[i];
    if (entry.count.load() == 0 || pulse.queued()) continue;
    const bool event = link.event != 0;
    pulse.link = &link;
    pulse.index = i;
    pulse.source = {event ? PulseSource::Kind::kEvent : PulseSource::Kind::kConnection,
                    event ? link.event : link.connection};
    pulse.badge = event ? 0 : link.badge;
    pulse.code = event ? link.code : std::min(ReadOnce(entry.code), kMaxProgramPulseCode);
    pulse.priority = event ? static_cast<uint8_t>(link.priority)
                           : ClampPriority(ReadOnce(entry.priority), link.ceiling);
    pulse.value = event && !link.any_value ? link.value : ReadOnce(entry.value);
    arrived.push_back({nullptr, &pulse, ReadOnce(entry.sent_at)});
  }
}

// -- (2)

void Process::Match(HostChannel& channel) {
  while (ReceiverEntry* receiver = channel.FrontReceiver()) {
    auto& server = static_cast<HostThread&>(Thread::FromReceiver(*receiver));
    if (!TakeFront(server, channel)) return;
    HandOver(server);
  }
}

// It has something, and waits no longer.
void Process::HandOver(HostThread& server) {
  inheritance_.RemoveReceiver(server);
  if (&server != t_current_) Nudge(server);
}

// -- (3)

bool Process::TakeFront(HostThread& server, HostChannel& channel) {
  while (QueueEntry* entry = channel.Front()) {
    if (entry->kind == QueueEntry::Kind::kPulse) {
      if (TakePulse(server, channel, static_cast<Pulse&>(*entry))) return true;
    } else if (TakeMessage(server, channel, static_cast<Inbound&>(Thread::FromEntry(*entry)))) {
      return true;
    }
  }
  return false;
}

bool Process::TakeMessage(HostThread& server, HostChannel& channel, Inbound& inbound) {
  Slot& slot = inbound.slot();
  bool wake = false;
  const bool queued = inbound.entry().queued();
  if (!Take(slot, inbound.sequence, wake)) {
    if (queued) Unqueue(inbound);  // taken back; if another was sent, its ring is to come
    if (wake) WakeClient(slot);
    return false;
  }
  // Read once: the client may write on.
  inbound.thread = ReadOnce(slot.thread);
  server.client_cpu = slot.client_cpu.load(std::memory_order_relaxed);
  inbound.request_bytes = ReadOnce(slot.request_bytes);
  inbound.reply_room = ReadOnce(slot.reply_room);
  inbound.reference_count = ReadOnce(slot.references);
  const bool sane = inbound.request_bytes <= kMaxMessageBytes &&
                    inbound.reply_room <= kMaxMessageBytes &&
                    inbound.reference_count <= kMaxRegionReferences;
  if (!sane) {
    inbound.reference_count = 0;  // it bounds loops
    if (queued) Unqueue(inbound);
    slot.error = 0;
    slot.kernel_error = static_cast<uint8_t>(Error::kInvalidArgument);
    if (Answer(slot, inbound.sequence, Outcome::kFailed, false).wake) WakeClient(slot);
    return false;
  }
  std::copy_n(slot.region.begin(), inbound.reference_count, inbound.references.begin());
  inbound.serial = uint64_t{Raw(birth_.process)} << 40 | ++last_serial_;
  inbound.gone = inbound.unblock_requested = inbound.answering = false;
  inbound.copies.unserved = false;
  inheritance_.Receive(server, inbound, channel, inbound.link.ceiling);
  if (queued) --inbound.link.held;
  server.delivered = &inbound;
  Tracer::Received(server, channel, inbound);
  ++numbers().messages_received;
  return true;
}

bool Process::TakePulse(HostThread& server, HostChannel& channel, Pulse& pulse) {
  PulseInfo info = {pulse.code, pulse.value, pulse.priority, pulse.count, pulse.badge};
  channel.Remove(pulse);
  if (IsInLane(pulse)) {
    auto& in_lane = static_cast<LanePulse&>(pulse);
    ServedLink& link = *in_lane.link;
    // Whoever coalesces does so before this, or finds the place free.
    info.count = link.link().lane.entries[in_lane.index].count.exchange(0);
    --link.held;
    ReleaseIfUnused(link);
    if (info.count == 0) return false;  // it cheats
  } else {
    channel.pulses.Take(pulse);
  }
  inheritance_.ReceivePulse(server, info.priority, channel);
  server.pulse = info;
  Tracer::PulseReceived(server, channel, info);
  return true;
}

// -- (4)

// Says what was received. The lock is held.
Inbound* Process::Announce(HostThread& server, ReceiveResult& result) {
  result.is_pulse = server.pulse.has_value();
  if (result.is_pulse) {
    result.pulse = *server.pulse;
    server.pulse.reset();
    return nullptr;
  }
  Inbound* inbound = std::exchange(server.delivered, nullptr);
  ExpectToAnswer(inbound->slot());
  result.message = {inbound->handle_slot, inbound->serial};
  FillInfo(*inbound, result.info);
  return inbound;
}

absl::Status Process::Receive(ChannelHandle handle, MutableParts buffer, int64_t deadline_ns,
                              ReceiveResult& result) {
  PARLEY_ENTER();
  HostThread& server = current();
  for (;;) {
    absl::Status received;
    Inbound* inbound = nullptr;
    {
      Locked locked(lock_);
      HostChannel* channel = channel_handles_.Find(handle);
      if (channel == nullptr) return Refuse(Error::kBadHandle);
      inheritance_.EndCurrent(server);  // P3: the next receive ends the term
      Serve(server, *channel);
      Drain(*channel);
      if (!TakeFront(server, *channel)) received = WaitToReceive(server, *channel, deadline_ns);
      ApplyChanges();
      if (received.ok()) inbound = Announce(server, result);
    }
    if (!received.ok()) return Leave(std::move(received));
    if (inbound == nullptr) return absl::OkStatus();
    // (4) Its bytes are the server's to read until it answers, which nobody can before this
    // returns.
    const auto copied = ReadRequest(*inbound, 0, buffer);
    const bool in_slot = result.info.request_bytes <= kInlineBytes;
    // The memory of a client that has left meanwhile may hold something else.
    const bool left = !in_slot && !IsWaitedFor(inbound->slot(), inbound->sequence);
    if (copied.ok() && !left) return absl::OkStatus();
    if (in_slot) {  // it was there: the buffer is not
      FailMessage(result.message, Error::kNotReplied);
      return copied.status();
    }
    // What the client offered is not there: its error, and the server goes on to the next.
    FailMessage(result.message, copied.ok() ? Error::kNotReplied : ErrorForClient(copied.status()));
  }
}

void Process::Serve(HostThread& server, HostChannel& channel) {
  const size_t before = server.serves().size();
  inheritance_.Serve(server, channel);
  if (server.serves().size() == before) return;
  ShowServes(server);
  ApplyChanges();
  UpdateServedLevel(channel);
}

// For the deadlock check (L4).
void Process::ShowServes(HostThread& server) {
  if (server.entry == nullptr) return;
  auto& shown = server.entry->serves;
  const std::vector<Channel*>& serves = server.serves();
  for (size_t i = 0; i < shown.size(); ++i) {
    shown[i] = i < serves.size() ? Raw(static_cast<HostChannel*>(serves[i])->id) : 0;
  }
  if (serves.size() > shown.size()) shown.back() = ~0u;
}

// -- Waiting

// Closes the doors of all its bells; false if somebody has rung meanwhile.
bool Process::CloseDoors(HostChannel& channel) {
  if (channel.EndWatch()) return false;
  const uint32_t sleeping = SleepingDoor(++channel.doors_closed);
  bool closed = true;
  for (size_t i = 0; i < channel.bells.size(); ++i) {
    const uint32_t door = i < kMostDoors ? sleeping : kPollingDoor;
    closed = CloseDoor(channel.bells[i]->bell(), door) && closed;
  }
  return closed;
}

bool HostChannel::EndWatch() {
  Inbound* const was = std::exchange(watched, nullptr);
  if (was == nullptr || !WithdrawWatch(was->slot(), was->sequence)) return false;
  // It has not rung and will not: it counts as rung.
  Ring(was->link.bell->bell(), was->link.first_bit + was->slot_index);
  return true;
}

void Process::OpenDoors(HostChannel& channel) {
  for (const auto& bell : channel.bells) {
    bell->bell().door.store(static_cast<uint32_t>(Door::kAwake));
  }
}

// As long as that pays. The lock is held on entry and on return.
void Process::WaitAwakeToReceive(HostThread& server, HostChannel& channel, int cpu) {
  const ReceiverView view(server, channel);
  auto done = [&] { return view.HasNews(); };
  ServedLink* looked_at = channel.watched == nullptr ? nullptr : &channel.watched->link;
  if (looked_at != nullptr) ++looked_at->held;  // its client may die meanwhile
  const bool may_spin = channel.options.spin;
  const bool shares_cpu = server.client_cpu == cpu;
  if (!shares_cpu) server.looked_at.store(server.waits_since, std::memory_order_relaxed);
  lock_.Unlock();
  server.CountWait();
  bool yielded = false;
  if (!shares_cpu) {
    server.receive_spin.Spin(done, [&] { Tracer::Looks(server); });
  } else if (may_spin) {
    yielded = server.receive_spin.Yield(done);
  } else {
    Spinner::YieldOnce(done);
  }
  lock_.Lock();
  if (yielded && server.HasYieldedEnough()) Part(server);
  if (looked_at != nullptr) {
    --looked_at->held;
    ReleaseIfUnused(*looked_at);
  }
}

// The lock is held on entry and on return.
absl::Status Process::WaitToReceive(HostThread& server, HostChannel& channel, int64_t deadline_ns) {
  const int64_t until = ToMonotonic(deadline_ns);
  Tracer::Waits(server);
  inheritance_.AddReceiver(server, channel);
  server.receiving = &channel;
  ++channel.receivers;
  bool may_wait_awake = true;
  absl::Status result;
  for (;;) {
    if (server.delivered != nullptr || server.pulse.has_value()) break;
    if (IsOver(server)) {
      result = Refuse(Error::kProcessEnded);
    } else if (channel.destroyed) {
      result = Refuse(Error::kNoSuchChannel);
    } else if (TakeCancel(server)) {
      result = Refuse(Error::kCancelled);
    } else if (until != kNever && until <= MonotonicNs()) {
      result = Refuse(Error::kDeadline);
    }
    if (!result.ok()) break;
    server.wake.store(0);
    const bool first = &Thread::FromReceiver(*channel.FrontReceiver()) == &server;
    const int cpu = sched_getcpu();
    if (std::exchange(may_wait_awake, false) && first &&
        (channel.options.spin || server.client_cpu == cpu)) {
      WaitAwakeToReceive(server, channel, cpu);
    } else if (CloseDoors(channel)) {
      ShowState(server, ThreadState::kReceive, Raw(channel.id));
      Tracer::Sleeps(server, channel);
      channel.answers_awake = 0;
      if (channel.paired && server.WantsToPair(cpu)) Pair(server, cpu);
      const ReceiverView view(server, channel);
      server.asleep_at = view.OnlyBell();
      lock_.Unlock();
      const int64_t asleep = MonotonicNs();
      view.Sleep(until);
      server.CountSleep(server.receive_spin, MonotonicNs() - asleep);
      lock_.Lock();
      server.asleep_at = nullptr;
      OpenDoors(channel);
    } else {
      lock_.Unlock();
      lock_.Lock();
    }
    if (!channel.destroyed) Drain(channel);
  }
  if (server.channel() != nullptr) inheritance_.RemoveReceiver(server);
  server.receiving = nullptr;
  --channel.receivers;
  ShowState(server, ThreadState::kRunning);
  if (!result.ok()) Tracer::WaitEnded(server, channel);
  // Those who sleep on depend on the doors; if somebody rings, one of them is to look.
  if (channel.receivers > 0 && !channel.destroyed && !CloseDoors(channel)) {
    Drain(channel);
    if (ReceiverEntry* next = channel.FrontReceiver()) {
      Nudge(static_cast<HostThread&>(Thread::FromReceiver(*next)));
    }
  }
  ForgetChannelIfUnused(channel);
  return result;
}

}  // namespace parley::host
