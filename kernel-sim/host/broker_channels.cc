// Channels and connections: made, granted, and all the ways they end (L1, L2, R7, S8).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {

ChannelRecord* Broker::FindChannel(uint64_t id) {
  auto found = channels_.find(ChannelId{static_cast<uint32_t>(id)});
  return found == channels_.end() ? nullptr : found->second.get();
}

ChannelRecord* Broker::FindOwnChannel(const ProcessRecord& owner, ChannelId id) {
  ChannelRecord* channel = FindChannel(Raw(id));
  return channel == nullptr || channel->owner != &owner ? nullptr : channel;
}

ConnectionRecord* Broker::FindOwnConnection(const ProcessRecord& client, uint32_t number) {
  auto found = connections_.find(number);
  if (found == connections_.end() || found->second->client != &client) return nullptr;
  return found->second.get();
}

// -- Channels

bool Broker::OnMakeChannel(ProcessRecord& owner, const Packet& packet) {
  if (!packet.As<MakeChannel>()) return false;
  Fds fds;
  auto channel = AddChannel(owner, packet.Tail<MakeChannel>(), fds);
  if (!channel.ok()) {
    Conclude(*owner.peer, packet.header()->call, channel.status());
    return true;
  }
  Packet answer = Packet::Of(0, MadeChannel{(*channel)->id, (*channel)->bells[0]->number});
  answer.fds = std::move(fds);
  Conclude(*owner.peer, packet.header()->call, std::move(answer));
  return true;
}

// Appends the bell of the owner's user, and its knocker.
absl::StatusOr<ChannelRecord*> Broker::AddChannel(ProcessRecord& owner, std::string_view name,
                                                  Fds& fds) {
  if (name.size() > kMaxNameBytes) {
    return MakeError(Error::kInvalidArgument, "a channel's name is too long");
  }
  if (owner.channels.size() >= limits_.channels_per_process) {
    return MakeError(
        Error::kQuotaExhausted,
        absl::StrCat(limits_.channels_per_process, " channels are all that a process may have"));
  }
  auto share = record_quota_.Take(owner.uid, 1);
  if (!share.ok()) return share.status();
  auto bell = MakeBell(owner, owner.uid);
  if (!bell.ok()) return bell.status();
  if (absl::Status sent = AppendBell(**bell, fds); !sent.ok()) return sent;
  const ChannelId id{channel_numbers_.Next([&](uint32_t number) { return FindChannel(number); })};
  auto& channel = channels_[id];
  channel = std::make_unique<ChannelRecord>();
  channel->id = id;
  channel->share = *std::move(share);
  channel->owner = &owner;
  channel->name = std::string(name);
  channel->bells.push_back(*std::move(bell));
  owner.channels.insert(id);
  const Capability& root = capabilities_.CreateRoot({ObjectKind::kChannel, Raw(id)}, owner.id,
                                                    {.rights = Rights::kConnect | Rights::kGrant});
  Enter(*channel, root.id, /*is_names=*/false);
  Enter(*channel, *channel->bells[0]);
  return channel.get();
}

Broker::Answer Broker::OnDestroyChannel(ProcessRecord& owner, const DestroyChannel& call) {
  ChannelRecord* channel = FindOwnChannel(owner, call.channel);
  if (channel == nullptr) return Refuse(Error::kBadHandle);
  EndChannel(*channel);
  return Packet::Of(0, Done{});
}

Broker::Answer Broker::OnGrantChannel(ProcessRecord& owner, const GrantChannel& call) {
  const ChannelRecord* channel = FindOwnChannel(owner, call.channel);
  if (channel == nullptr) return Refuse(Error::kBadHandle);
  if (FindProcess(call.holder) == nullptr) {
    return MakeError(Error::kNoSuchName, "the holder is no living process");
  }
  if (call.ceiling < kMinPriority || call.ceiling > kMaxPriority) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("ceiling ", call.ceiling, " is not 1 to 255"));
  }
  if (!Includes(Rights::kConnect | Rights::kGrant, call.rights) || call.rights == Rights::kNone) {
    return MakeError(Error::kInvalidArgument, "rights over a channel are connect and grant");
  }
  const Capability* root = capabilities_.FindRoot({ObjectKind::kChannel, Raw(channel->id)});
  return Grant(root->id, owner, call.holder,
               {.rights = call.rights, .badge = call.badge, .ceiling = call.ceiling});
}

// L1. The connections to it are dead; their clients close them.
void Broker::EndChannel(ChannelRecord& channel) {
  ProgramSet& set = *channel.owner->set;
  if (set.name_channel == channel.id) set.name_channel = ChannelId::kNone;
  for (uint32_t number : channel.connections) {
    ConnectionRecord& connection = *connections_.at(number);
    ForgetLendsOver(connection);
    connection.channel = nullptr;
    connection.places.clear();
    connection.entries.clear();
    Notify(*connection.client, ChannelGone{number, 0});
  }
  while (!channel.events.empty()) ForgetEvent(*channel.events.begin());
  channel.owner->channels.erase(channel.id);
  const std::vector<CapabilityId> killed =
      capabilities_.KillObject({ObjectKind::kChannel, Raw(channel.id)});
  channels_.erase(channels_.find(channel.id));
  EndCapabilities(killed);
}

// -- Connections

Broker::Answer Broker::OnConnect(ProcessRecord& client, const Connect& call) {
  auto capability = capabilities_.FindByToken(call.token, client.id);
  if (!capability.ok()) return capability.status();
  if ((*capability)->object.kind != ObjectKind::kChannel ||
      !Includes((*capability)->extent.rights, Rights::kConnect)) {
    return MakeError(Error::kNotPermitted, "the token does not grant to connect");
  }
  ChannelRecord& channel = *FindChannel((*capability)->object.id);
  if (absl::Status ok = CheckKeepsUp(*channel.owner); !ok.ok()) return ok;
  Connected connected = {};
  Fds fds;
  auto connection = MakeConnection(client, channel, *capability, connected, fds);
  if (!connection.ok()) return connection.status();
  Packet answer = Packet::Of(0, connected, channel.name);
  answer.fds = std::move(fds);
  return answer;
}

// Fills `connected` and appends its descriptors. The server knows of it when this returns.
absl::StatusOr<ConnectionRecord*> Broker::MakeConnection(ProcessRecord& client,
                                                         ChannelRecord& channel,
                                                         const Capability* capability,
                                                         Connected& connected, Fds& fds) {
  if (client.connections.size() >= limits_.connections_per_process) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat(limits_.connections_per_process,
                                  " connections are all that a process may have"));
  }
  auto share = record_quota_.Take(client.uid, 1);
  if (!share.ok()) return share.status();
  const uint32_t number =
      connection_numbers_.Next([&](uint32_t used) { return connections_.contains(used); });
  auto record = std::make_unique<ConnectionRecord>();
  ConnectionRecord& connection = *record;
  connection.share = *std::move(share);
  connection.number = number;
  connection.client = &client;
  connection.channel = &channel;
  connection.ceiling = client.ceiling;
  if (capability != nullptr) {
    connection.capability = capability->id;
    connection.badge = capability->extent.badge;
    connection.ceiling = std::min(client.ceiling, capability->extent.ceiling);
  }
  if (absl::Status linked = AddLink(connection, connected, fds); !linked.ok()) return linked;
  if (capability != nullptr) dependents_[capability->id].connections.insert(number);
  channel.connections.insert(number);
  client.connections.insert(number);
  connections_[number] = std::move(record);
  return &connection;
}

// Another three slots. The notice to the server leaves before the answer to the client: its first
// ring is about a link that the server knows, or is about to hear of.
absl::Status Broker::AddLink(ConnectionRecord& connection, Connected& connected, Fds& fds) {
  ProcessRecord& client = *connection.client;
  ChannelRecord& channel = *connection.channel;
  const ProcessRecord& server = *channel.owner;
  if (connection.links >= limits_.links_per_connection ||
      client.links >= limits_.links_per_process) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat(limits_.links_per_connection, " links of a connection, or ",
                                  limits_.links_per_process, " of a process, are all there are"));
  }
  auto link = MakeBrokerMemory("parley-link", sizeof(Link), FurtherSeals::kNone);
  if (!link.ok()) return link.status();
  std::unique_ptr<BellRecord> fresh;
  const auto place = FindPlace(channel, client.peer->far.uid, fresh);
  if (!place.ok()) return place.status();
  const BellRecord& bell = *place->bell;
  auto server_link = Duplicate(*link);
  if (!server_link.ok()) return server_link.status();
  auto client_pidfd = Duplicate(client.peer->pidfd);
  if (!client_pidfd.ok()) return client_pidfd.status();
  auto server_pidfd = Duplicate(server.peer->pidfd);
  if (!server_pidfd.ok()) return server_pidfd.status();
  Fds server_fds;
  server_fds.push_back(*std::move(server_link));
  server_fds.push_back(*std::move(client_pidfd));
  if (fresh != nullptr) {
    if (absl::Status appended = AppendBell(bell, server_fds); !appended.ok()) return appended;
  }
  fds.push_back(*std::move(link));
  if (absl::Status appended = AppendBell(bell, fds); !appended.ok()) return appended;
  fds.push_back(*std::move(server_pidfd));

  const uint32_t new_bell = fresh != nullptr ? 1 : 0;
  TakePlace(channel, *place, std::move(fresh));
  Enter(connection, *place);
  connection.places.push_back(*place);
  ++connection.links;
  ++client.links;
  connected = {connection.number,  channel.id,         bell.number,
               place->first_bit(), connection.ceiling, server.peer->far};
  Notify(server,
         Attached{connection.number, channel.id, bell.number, place->first_bit(),
                  connection.ceiling, new_bell, connection.badge, client.peer->far},
         std::move(server_fds));
  return absl::OkStatus();
}

Broker::Answer Broker::OnExtend(ProcessRecord& client, const Extend& call) {
  ConnectionRecord* connection = FindOwnConnection(client, call.connection);
  if (connection == nullptr) return Refuse(Error::kBadHandle);
  if (connection->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  if (absl::Status ok = CheckKeepsUp(*connection->channel->owner); !ok.ok()) return ok;
  Connected connected = {};
  Fds fds;
  if (absl::Status linked = AddLink(*connection, connected, fds); !linked.ok()) return linked;
  Packet answer = Packet::Of(0, connected, connection->channel->name);
  answer.fds = std::move(fds);
  return answer;
}

Broker::Answer Broker::OnDisconnect(ProcessRecord& client, const Disconnect& call) {
  ConnectionRecord* connection = FindOwnConnection(client, call.connection);
  if (connection == nullptr) return Refuse(Error::kBadHandle);
  CloseConnection(*connection);
  return Packet::Of(0, Done{});
}

Broker::Answer Broker::OnTurnAway(ProcessRecord& server, const TurnAway& call) {
  auto found = connections_.find(call.connection);
  if (found == connections_.end()) return Refuse(Error::kBadHandle);
  ConnectionRecord& connection = *found->second;
  if (connection.channel == nullptr || connection.channel->owner != &server) {
    return Refuse(Error::kBadHandle);
  }
  CutConnection(connection, /*revoked=*/false);
  return Packet::Of(0, Done{});
}

// R7, or its server cannot serve it. Its client closes it later.
void Broker::CutConnection(ConnectionRecord& connection, bool revoked) {
  if (connection.channel == nullptr) return;
  ForgetLendsOver(connection);
  FreePlaces(connection);
  ChannelRecord& channel = *std::exchange(connection.channel, nullptr);
  channel.connections.erase(connection.number);
  Notify(*channel.owner, Detached{connection.number});
  Notify(*connection.client, ChannelGone{connection.number, revoked ? 1u : 0u});
}

// The client closes it, or has died (L2).
void Broker::CloseConnection(ConnectionRecord& connection) {
  ForgetLendsOver(connection);
  FreePlaces(connection);
  if (connection.channel != nullptr) {
    connection.channel->connections.erase(connection.number);
    Notify(*connection.channel->owner, Detached{connection.number});
  }
  auto dependents = dependents_.find(connection.capability);
  if (dependents != dependents_.end()) dependents->second.connections.erase(connection.number);
  connection.client->links -= connection.links;
  connection.client->connections.erase(connection.number);
  connections_.erase(connections_.find(connection.number));
}

}  // namespace parley::host
