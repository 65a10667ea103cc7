// Channels, connections, events and timers: made, and all the ways they end (L1, L2, R7).
#include <algorithm>

#include "kernel-sim/sim/simulation.h"

namespace parley::sim {

SimChannel& Simulation::MakeChannel(Process& process, const ChannelOptions& options) {
  const ChannelId id{static_cast<uint32_t>(NextNumber())};
  auto& record = channels_[Raw(id)];
  record = std::make_unique<SimChannel>(id, process, options);
  capabilities_.CreateRoot({ObjectKind::kChannel, Raw(id)}, process.id,
                           {.rights = Rights::kConnect | Rights::kGrant});
  TellChannel(*record);
  return *record;
}

SimChannel* Simulation::FindChannel(uint64_t id) {
  auto found = channels_.find(id);
  return found == channels_.end() ? nullptr : found->second.get();
}

Connection& Simulation::MakeConnection(Process& client, SimChannel& channel,
                                       CapabilityId capability) {
  Connection& connection = **connections_.insert(std::make_unique<Connection>()).first;
  connection.client = &client;
  connection.channel = &channel;
  connection.id = channel.next_connection_id++;
  connection.number = NextNumber();
  channel.connections.insert(&connection);
  SimChannel::ClientProcess& of = channel.client_processes[client.id];
  ++of.connections;
  of.newest = connection.id;
  connection.capability = capability;
  if (capability != CapabilityId::kNone) connections_by_capability_.Add(capability, connection);
  return connection;
}

// L1. Every client blocked on it wakes with the error that says whether its request may have run.
void Simulation::DestroyChannel(SimChannel& channel) {
  if (name_channel_ == &channel) name_channel_ = nullptr;
  while (QueueEntry* entry = channel.Front()) {
    if (entry->kind == QueueEntry::Kind::kPulse) {
      channel.Remove(*entry);
      channel.pulses.Take(static_cast<Pulse&>(*entry));
    } else {
      FinishSend(
          static_cast<SimThread&>(Thread::FromEntry(*entry)),
          MakeError(Error::kServerDiedBeforeReceive, Describe(Error::kServerDiedBeforeReceive)));
    }
  }
  while (!channel.reply_blocked.empty()) {
    FinishSend(channel.reply_blocked.front(),
               MakeError(Error::kServerDiedAfterReceive, Describe(Error::kServerDiedAfterReceive)));
  }
  while (ReceiverEntry* receiver = channel.FrontReceiver()) {
    auto& thread = static_cast<SimThread&>(Thread::FromReceiver(*receiver));
    inheritance_.RemoveReceiver(thread);
    Wake(thread, MakeError(Error::kNoSuchChannel, "the channel was destroyed"));
  }
  while (!channel.servers().empty()) inheritance_.Unserve(*channel.servers().back(), channel);

  std::vector<Connection*> connections(channel.connections.begin(), channel.connections.end());
  std::sort(connections.begin(), connections.end(),
            [](const Connection* a, const Connection* b) { return a->number < b->number; });
  for (Connection* connection : connections) {
    connection->channel = nullptr;
    if (connection->death_channel == nullptr) continue;
    OfferKernelPulse(*connection->death_channel, KernelPulse::kDeath, connection->death_cookie,
                     connection->client->options.scheduling.priority);
  }
  channel.process.connections.ForEach([&](Connection& connection) {
    if (connection.death_channel == &channel) connection.death_channel = nullptr;
  });
  channel.process.timers.ForEach([&](UserTimer& timer) {
    if (timer.channel != &channel) return;
    timer.channel = nullptr;
    scheduler_.timers().Disarm(timer.timer);
  });
  for (WatchedDescriptor* watch : channel.process.watches.OfChannel(channel)) {
    Disarm(*watch);
    watch->channel = nullptr;
  }
  std::vector<uint64_t> events;
  for (const auto& [number, event] : events_) {
    if (event->channel == &channel) events.push_back(number);
  }
  for (uint64_t number : events) ForgetEvent(number);
  EndCapabilities(capabilities_.KillObject({ObjectKind::kChannel, Raw(channel.id)}));
  channels_.erase(Raw(channel.id));
}

// The client closes it, or has died.
void Simulation::DropConnection(Connection& connection) {
  connection.closed = true;
  connection.death_channel = nullptr;  // which may go before the sends in flight
  ForgetIfUnused(connection);
}

void Simulation::ForgetIfUnused(Connection& connection) {
  if (!connection.closed || connection.sends_in_flight > 0) return;
  if (SimChannel* channel = connection.channel) {
    channel->connections.erase(&connection);
    auto count = channel->client_processes.find(connection.client->id);
    if (--count->second.connections == 0) {
      const uint32_t newest = count->second.newest;
      channel->client_processes.erase(count);
      if (channel->options.disconnect_pulse) {
        // L2: at the lowest level, so that whatever its client queued comes before it.
        OfferKernelPulse(*channel, KernelPulse::kDisconnect, Raw(connection.client->id),
                         kMinPriority, newest);
      }
    }
  }
  connections_by_capability_.Remove(connection.capability, connection);
  connections_.erase(connections_.find(&connection));
}

CapabilityId Simulation::MakeEvent(SimChannel& channel, const PulseSpec& pulse, bool any_value) {
  const uint64_t number = NextNumber();
  auto& event = events_[number];
  event = std::make_unique<SimEvent>();
  event->channel = &channel;
  event->pulse = pulse;
  event->any_value = any_value;
  return capabilities_
      .CreateRoot({ObjectKind::kEvent, number}, channel.process.id,
                  {.rights = Rights::kGrant | Rights::kWrite})
      .id;
}

// The server's token, and so the event, is gone.
void Simulation::ForgetEvent(uint64_t number) {
  capabilities_.KillObject({ObjectKind::kEvent, number});
  events_.erase(number);
}

SimEvent* Simulation::FindEvent(uint64_t number) {
  auto found = events_.find(number);
  return found == events_.end() ? nullptr : found->second.get();
}

// R7. Connections, mappings and leases that rest on a dead capability are dead; sends in flight go
// on.
void Simulation::EndCapabilities(const std::vector<CapabilityId>& killed) {
  for (CapabilityId capability : killed) {
    for (Connection* connection : connections_by_capability_.Take(capability)) {
      connection->revoked = true;
    }
    for (RegionMapping* mapping : grants_by_capability_.Take(capability)) RevokeGrant(*mapping);
  }
  if (!killed.empty() && !lessors_.empty()) EndLeasesOf({killed.begin(), killed.end()});
}

}  // namespace parley::sim
