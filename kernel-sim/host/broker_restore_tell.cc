// What processes are told once things are there again: what has ended, and which memory is theirs.
#include <algorithm>

#include "kernel-sim/host/broker_memory.h"
#include "kernel-sim/host/broker_restore.h"

namespace parley::host {

void Broker::Restoration::TellWhatEnded(const Returned& returned) {
  const ProcessRecord& process = *returned.process;
  const Rejoining& claims = *returned.claims;
  uint64_t told = 0;  // its links follow each other
  for (const auto& [number, first_bit] : claims.links) {
    const auto connection = static_cast<uint32_t>(number);
    if (number == told || broker_.FindOwnConnection(process, connection) != nullptr) continue;
    told = number;
    broker_.Notify(process, ChannelGone{connection, 0});
  }
  const auto serves = [&](uint64_t number) {
    auto found = broker_.connections_.find(static_cast<uint32_t>(number));
    const bool is_its = found != broker_.connections_.end() && found->second->channel != nullptr &&
                        found->second->channel->owner == &process;
    return is_its ? found->second.get() : nullptr;
  };
  told = 0;
  for (const auto& [number, first_bit] : claims.served_links) {
    if (number == told || serves(number) != nullptr) continue;
    told = number;
    broker_.Notify(process, Detached{static_cast<uint32_t>(number)});
  }
  for (const Rejoining::Numbered& claim : claims.served_lends) {
    const uint64_t number = claim.first;
    const uint32_t lend = claim.second;
    const ConnectionRecord* connection = serves(number);
    if (connection == nullptr) continue;
    const bool stands = std::any_of(connection->lent.begin(), connection->lent.end(),
                                    [&](const auto& lent) { return lent.second.number == lend; });
    if (!stands) broker_.Notify(process, Unlent{static_cast<uint32_t>(number), lend});
  }
  const auto tell_if_ended = [&](uint64_t id) {
    const Capability* capability = broker_.capabilities_.Find(CapabilityId{id});
    if (capability != nullptr && capability->holder == process.id) return;
    broker_.Notify(process, GrantEnded{CapabilityId{id}});
  };
  for (uint64_t id : claims.grants_held) tell_if_ended(id);
  for (const auto& [id, memories] : claims.regions) tell_if_ended(id);
}

// Of what was lent or frozen last, the word may have been lost. It does no harm twice.
void Broker::Restoration::TellMemories() {
  for (const auto& [number, connection] : broker_.connections_) {
    for (const auto& [id, lent] : connection->lent) {
      const RegionRecord& region = *broker_.FindRegion(Raw(id));
      const ProcessRecord& server = *connection->channel->owner;
      auto memory = broker_.MemoryFor(region, server, lent.by.rights());
      if (!memory.ok()) continue;
      Packet packet = MakeLent(number, lent.number, region, lent.by.rights());
      packet.fds.push_back(*std::move(memory));
      broker_.outlet_.Send(server.peer->id, std::move(packet));
    }
  }
  for (const auto& [id, dependents] : broker_.dependents_) {
    const Capability& capability = *broker_.capabilities_.Find(id);
    if (dependents.grant_words.empty() || capability.object.kind != ObjectKind::kRegion) continue;
    const RegionRecord& region = *broker_.FindRegion(capability.object.id);
    if (!region.frozen || region.root == id) continue;
    auto memory = ReopenReadOnly(region.memory);
    if (!memory.ok()) continue;
    Fds fds;
    fds.push_back(*std::move(memory));
    broker_.Notify(*dependents.holder, Replaced{id}, std::move(fds));
  }
}

}  // namespace parley::host
