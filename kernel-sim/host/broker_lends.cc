// Lends: regions that a client may name in messages over one connection (R5).
//
// A server knows of each region and connection one thing, the widest rights that a live capability
// stands behind. It is told whenever they change.
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {
namespace {

Rights RightsOf(const LentBy& lent) {
  Rights all = Rights::kNone;
  for (const auto& [capability, rights] : lent) all = all | rights;
  return all;
}

}  // namespace

Packet Broker::MakeLent(uint32_t connection, const RegionRecord& region, Rights rights,
                        UniqueFd memory) {
  auto lent = Zeroed<Lent>();
  lent.connection = connection;
  lent.region = region.id;
  lent.rights = rights;
  lent.memory_bytes = region.bytes;
  Packet packet = Packet::Of(0, lent);
  packet.fds.push_back(std::move(memory));
  return packet;
}

Broker::Answer Broker::OnLend(ProcessRecord& lender, const Lend& call) {
  const auto held = FindHeld(lender, call.capability);
  if (!held.ok()) return held.status();
  ConnectionRecord* connection = FindOwnConnection(lender, call.connection);
  if (connection == nullptr) return Refuse(Error::kBadHandle);
  if (connection->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  if (!Includes(Rights::kRead | Rights::kWrite, call.rights) || call.rights == Rights::kNone) {
    return MakeError(Error::kInvalidArgument, "a region is lent for reading, writing, or both");
  }
  const RegionRecord& region = *held->region;
  const bool write = Includes(call.rights, Rights::kWrite);
  if (!Includes(held->capability->extent.rights, call.rights) || (write && region.frozen)) {
    return MakeError(Error::kNotPermitted, "a region reference beyond the sender's own rights");
  }
  if (write && !region.others_may_write) {
    return MakeError(Error::kNotPermitted, "nobody else may write into this region");
  }
  const Rights rights = call.rights | Rights::kRead;
  auto known = connection->lent.find(region.id);
  const Rights before = known == connection->lent.end() ? Rights::kNone : RightsOf(known->second);
  const Rights after = before | rights;
  const ProcessRecord& server = *connection->channel->owner;
  if (after != before) {
    auto memory = MemoryFor(region, server, after);
    if (!memory.ok()) return memory.status();
    outlet_.Send(server.peer->id, MakeLent(connection->number, region, after, *std::move(memory)));
  }
  LentBy& lent = connection->lent[region.id];
  auto by = lent.begin();
  while (by != lent.end() && by->first != call.capability) ++by;
  if (by == lent.end()) by = lent.insert(by, {call.capability, Rights::kNone});
  by->second = by->second | rights;
  Dependents& dependents = dependents_[call.capability];
  dependents.lends.insert({connection->number, region.id});
  return Packet::Of(0, Done{});
}

// The capability ends, or its region is reclaimed. `before` gets what their servers had until then.
void Broker::EndLends(CapabilityId capability, const std::set<LendKey>& lends,
                      std::map<LendKey, Rights>& before) {
  for (const LendKey& key : lends) {
    ConnectionRecord& connection = *connections_.at(key.first);
    LentBy& lent = connection.lent.at(key.second);
    before.emplace(key, RightsOf(lent));
    std::erase_if(lent, [&](const auto& by) { return by.first == capability; });
    if (lent.empty()) connection.lent.erase(key.second);
  }
}

void Broker::TellLendsEnded(const std::map<LendKey, Rights>& before) {
  for (const auto& [key, rights] : before) {
    const ConnectionRecord& connection = *connections_.at(key.first);
    auto left = connection.lent.find(key.second);
    const Rights after = left == connection.lent.end() ? Rights::kNone : RightsOf(left->second);
    if (after == rights) continue;
    const ProcessRecord& server = *connection.channel->owner;
    Notify(server, Unlent{key.first, key.second});
    if (after == Rights::kNone) continue;
    const RegionRecord& region = *FindRegion(Raw(key.second));
    auto memory = MemoryFor(region, server, after);
    if (memory.ok() && server.stage == ProcessRecord::Stage::kJoined) {
      outlet_.Send(server.peer->id, MakeLent(key.first, region, after, *std::move(memory)));
    }
  }
}

// The connection is over: its server forgets them with it.
void Broker::ForgetLendsOver(ConnectionRecord& connection) {
  for (const auto& [region, lent] : connection.lent) {
    for (const auto& [capability, rights] : lent) {
      auto dependents = dependents_.find(capability);
      if (dependents != dependents_.end()) {
        dependents->second.lends.erase({connection.number, region});
      }
    }
  }
  connection.lent.clear();
}

}  // namespace parley::host
