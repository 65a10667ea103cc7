// The server's side of links, bells and channels: how they come and go, and what it means for what
// is queued and unanswered (L1, L2, D3 to D5).
#include <algorithm>

#include "kernel-sim/host/bell.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/slot.h"

namespace parley::host {

// -- Pulses of the kernel's own

void Process::OfferPulse(HostChannel& channel, PulseSource source, const PulseInfo& pulse) {
  if (channel.destroyed) return;
  Tracer::PulseSent(nullptr, channel.id, {pulse.code, pulse.value, pulse.priority});
  const PulseTable::Offered offered = channel.pulses.Offer(
      source, pulse.code, pulse.value, pulse.priority, pulse.badge, PulseTable::kNoQuota);
  if (offered.outcome == PulseTable::Outcome::kQueued) channel.Push(*offered.pulse, pulse.priority);
  if (channel.FrontReceiver() != nullptr) Match(channel);
  ApplyChanges();
}

void Process::OfferKernelPulse(HostChannel& channel, KernelPulse code, uint64_t value, int priority,
                               uint64_t badge) {
  OfferPulse(channel, {}, {static_cast<uint8_t>(code), value, priority, 1, badge});
}

// -- Clients that leave

// D3: the client waits on, until the server answers or its grace ends.
void Process::ClientWantsToLeave(Inbound& inbound) {
  if (inbound.unblock_requested || inbound.link.channel == nullptr) return;
  inbound.unblock_requested = true;
  inbound.unblock_priority = static_cast<uint8_t>(inbound.sent_level());
  OfferKernelPulse(*inbound.link.channel, KernelPulse::kUnblock, inbound.serial,
                   inbound.unblock_priority);
}

// It has left: the server's handle is dead (D3), but the slot stays the server's until it lets go.
void Process::ClientLeft(Inbound& inbound) {
  if (inbound.gone) return;
  if (inbound.unblock_requested) WithdrawUnblockPulse(inbound);
  inbound.gone = true;
  inbound.EndLeases();
  inheritance_.EndReply(inbound);
  ApplyChanges();
}

// D4: a reply that overtakes its unblock pulse removes it.
void Process::WithdrawUnblockPulse(Inbound& inbound) {
  inbound.unblock_requested = false;
  HostChannel* channel = inbound.link.channel;
  if (channel == nullptr) return;
  Pulse* pulse = channel->pulses.Find({}, static_cast<uint8_t>(KernelPulse::kUnblock),
                                      inbound.serial, inbound.unblock_priority);
  if (pulse == nullptr) return;
  channel->Remove(*pulse);
  channel->pulses.Take(*pulse);
}

// -- Links

ServedBell* Process::AddBell(HostChannel& channel, uint32_t number, UniqueFd memory,
                             UniqueFd knocker) {
  auto mapped = MapShared(memory, sizeof(Bell), /*writable=*/true);
  if (!mapped.ok()) return nullptr;
  auto bell = std::make_unique<ServedBell>();
  bell->number = number;
  bell->channel = &channel;
  bell->descriptor = std::move(memory);
  bell->memory = *std::move(mapped);
  bell->knocker = std::move(knocker);
  bell->bell().served_level = kMaxPriority;
  Watch(bell->knocker.get(), AgentKey(AgentSource::kKnocker, number));
  bells_[number] = bell.get();
  channel.bells.push_back(std::move(bell));
  UpdateServedLevel(channel);
  // Those who sleep on the doors sleep on this one, too.
  for (const auto& thread : threads_) {
    if (thread->receiving == &channel) Nudge(*thread);
  }
  return channel.bells.back().get();
}

void Process::AddServedLink(std::unique_ptr<ServedLink> record) {
  ServedLink& link = *record;
  HostChannel& channel = *link.channel;
  link.link().unblock_pulse.store(channel.options.unblock_pulse ? 1 : 0);
  link.link().no_spin.store(channel.options.spin ? 0 : 1);
  if (link.event == 0) {
    for (uint32_t i = 0; i < kSlotsPerLink; ++i) {
      if (free_inbound_.empty()) {
        free_inbound_.push_back(static_cast<uint32_t>(inbound_.size()));
        inbound_.push_back(nullptr);
      }
      const uint32_t slot = free_inbound_.back();
      free_inbound_.pop_back();
      while (lease_words_.size() <= slot) lease_words_.emplace_back();
      link.inbound[i] = std::make_unique<Inbound>(link, i, slot, lease_words_[slot]);
      inbound_[slot] = link.inbound[i].get();
    }
    std::vector<ServedLink*>& links = served_connections_[link.connection];
    if (links.empty()) {
      HostChannel::ClientProcess& of = channel.client_processes[link.client->far.process];
      ++of.connections;
      of.newest = ++channel.last_connection_id;
    }
    link.connection_id = links.empty() ? channel.last_connection_id : links.front()->connection_id;
    link.lends = links.empty() ? std::make_shared<ServedLends>() : links.front()->lends;
    links.push_back(&link);
  }
  link.bell->links[link.first_bit / kBitsPerLink] = &link;
  channel.links.insert(&link);
  served_.insert(std::move(record));
  // A ring that came before this found nobody to look at.
  Bell& bell = link.bell->bell();
  const uint64_t bits = ((uint64_t{1} << kBitsPerLink) - 1) << link.first_bit % 64;
  bell.words[link.first_bit / 64].fetch_or(bits);
  bell.summary.fetch_or(uint64_t{1} << link.first_bit / 64);
  Drain(channel);
}

// Nobody writes into it any more. What was queued as a pulse stays (L2); messages vanish or turn
// dead.
void Process::Detach(ServedLink& link) {
  if (link.detached) return;
  HostChannel& channel = *link.channel;
  Drain(channel);
  if (link.detached) return;
  link.detached = true;
  link.bell->links[link.first_bit / kBitsPerLink] = nullptr;
  for (const auto& inbound : link.inbound) {
    if (inbound == nullptr) continue;
    if (channel.watched == inbound.get()) channel.watched = nullptr;
    if (inbound->entry().queued()) Unqueue(*inbound);
    if (inbound->serial == 0 || inbound->gone) continue;
    if (channel.options.unblock_pulse && !inbound->unblock_requested) {
      OfferKernelPulse(channel, KernelPulse::kUnblock, inbound->serial, inbound->sent_level());
    }
    inbound->unblock_requested = false;  // the pulse stays queued
    ClientLeft(*inbound);
  }
  ApplyChanges();
}

// The client process has closed the connection, lost its right to it, or died.
void Process::DetachConnection(uint32_t connection) {
  auto found = served_connections_.find(connection);
  if (found == served_connections_.end()) return;
  const std::vector<ServedLink*> links = std::move(found->second);
  served_connections_.erase(found);
  HostChannel* channel = links.front()->channel;
  const ProcessId client = links.front()->client->far.process;
  // Held: what they have queued may be received on the way, the last of it by which they would go.
  for (ServedLink* link : links) ++link->held;
  for (ServedLink* link : links) Detach(*link);
  if (channel != nullptr) {
    auto processes = channel->client_processes.find(client);
    if (processes != channel->client_processes.end() && --processes->second.connections == 0) {
      const uint32_t newest = processes->second.newest;
      channel->client_processes.erase(processes);
      if (channel->options.disconnect_pulse) {
        // At the lowest level, so that whatever its client queued comes before it.
        OfferKernelPulse(*channel, KernelPulse::kDisconnect, Raw(client), kMinPriority, newest);
      }
    }
  }
  for (ServedLink* link : links) {
    --link->held;
    ReleaseIfUnused(*link);
  }
}

void Process::ReleaseIfUnused(ServedLink& link) {
  if (!link.detached || link.held > 0) return;
  for (const auto& inbound : link.inbound) {
    if (inbound == nullptr) continue;
    if (inbound->serial != 0) return;
  }
  for (const auto& inbound : link.inbound) {
    if (inbound == nullptr) continue;
    inbound_[inbound->handle_slot] = nullptr;
    free_inbound_.push_back(inbound->handle_slot);
  }
  if (link.channel != nullptr) link.channel->links.erase(&link);
  served_.erase(served_.find(&link));
}

// -- Channels

// L1: clients learn it from their links at once, and are woken; the broker tells them, too.
void Process::DestroyChannel(HostChannel& channel) {
  channel.destroyed = true;
  const std::vector<Thread*> servers = channel.servers();
  const std::vector<ServedLink*> links(channel.links.begin(), channel.links.end());
  for (ServedLink* link : links) {
    link->link().closed_by_server.store(1);
    served_connections_.erase(link->connection);
    for (const auto& inbound : link->inbound) {
      if (inbound == nullptr) continue;
      if (inbound->entry().queued()) Unqueue(*inbound);
      if (inbound->serial != 0 && !inbound->gone) ClientLeft(*inbound);
      Slot& slot = inbound->slot();
      if ((slot.answer.fetch_or(kServerGone) & kClientSleeps) != 0) WakeClient(slot);
    }
    link->detached = true;
  }
  channel.watched = nullptr;
  while (QueueEntry* entry = channel.Front()) {  // pulses
    channel.Remove(*entry);
    auto& pulse = static_cast<Pulse&>(*entry);
    if (IsInLane(pulse)) {
      --static_cast<LanePulse&>(pulse).link->held;
    } else {
      channel.pulses.Take(pulse);
    }
  }
  for (Thread* server : servers) {
    inheritance_.Unserve(*server, channel);
    ShowServes(static_cast<HostThread&>(*server));
  }
  for (const auto& thread : threads_) {
    if (thread->receiving == &channel) Nudge(*thread);
  }
  for (const auto& timer : timer_records_) {
    if (timer->channel != &channel) continue;
    timers_.Disarm(timer->node);
    timer->channel = nullptr;
  }
  for (WatchedDescriptor* watch : watches_.OfChannel(channel)) {
    Disarm(*watch);
    watch->channel = nullptr;
  }
  for (auto& [number, connection] : connections_) {
    if (connection->death_channel == &channel) connection->death_channel = nullptr;
  }
  for (const auto& bell : channel.bells) {
    Unwatch(bell->knocker.get());
    bells_.erase(bell->number);
  }
  channel.links.clear();
  for (ServedLink* link : links) {
    link->channel = nullptr;
    link->bell = nullptr;
    ReleaseIfUnused(*link);
  }
  ApplyChanges();
  ForgetChannelIfUnused(channel);
}

void Process::ForgetChannelIfUnused(HostChannel& channel) {
  if (!channel.destroyed || channel.receivers > 0) return;
  channels_.erase(channel.id);
}

}  // namespace parley::host
