// Lends: regions that a client may name in messages over one connection (R5).
//
// A server knows of each region and connection one thing, the widest rights that a live capability
// stands behind. It is told whenever they change.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {

// Without the descriptor of its memory.
Packet Broker::MakeLent(uint32_t connection, uint32_t lend, const RegionRecord& region,
                        Rights rights) {
  auto lent = Zeroed<Lent>();
  lent.connection = connection;
  lent.lend = lend;
  lent.region = region.id;
  lent.rights = rights;
  lent.memory_bytes = region.bytes;
  return Packet::Of(0, lent);
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
  auto known = connection->lent.find(region.id);
  const bool fresh = known == connection->lent.end();
  const Rights before = fresh ? Rights::kNone : known->second.by.rights();
  const Rights after = before | call.rights | Rights::kRead;
  if (fresh && connection->lent.size() >= limits_.lends_per_connection) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat(limits_.lends_per_connection,
                                  " regions are lent over one connection already"));
  }
  const auto is_lend = [&](uint32_t used) {
    return std::any_of(connection->lent.begin(), connection->lent.end(),
                       [&](const auto& lent) { return lent.second.number == used; });
  };
  const uint32_t number = fresh ? lend_numbers_.Next(is_lend) : known->second.number;
  const ProcessRecord& server = *connection->channel->owner;
  if (after != before) {
    if (absl::Status ok = CheckKeepsUp(server); !ok.ok()) return ok;
    auto memory = MemoryFor(region, server, after);
    if (!memory.ok()) return memory.status();
    Packet lent = MakeLent(connection->number, number, region, after);
    lent.fds.push_back(*std::move(memory));
    outlet_.Send(server.peer->id, std::move(lent));
  }
  LentRegion& lent = connection->lent[region.id];
  lent.number = number;
  if (lent.by.Lacks(call.capability, write)) {
    lent.by.Add(call.capability, write,
                LedgerEntry(lender.ledger, LendEntry{connection->number, number, region.id,
                                                     call.capability, write ? 1u : 0u}));
  }
  Dependents& dependents = dependents_[call.capability];
  dependents.lends.insert({connection->number, region.id});
  return Packet::Of(0, LendMade{number});
}

// The capability ends, or its region is reclaimed. `before` gets what their servers had until then.
void Broker::EndLends(CapabilityId capability, const std::set<LendKey>& lends, LentBefore& before) {
  for (const LendKey& key : lends) {
    ConnectionRecord& connection = *connections_.at(key.first);
    LentRegion& lent = connection.lent.at(key.second);
    before.emplace(key, Before{lent.number, lent.by.rights()});
    lent.by.Remove(capability);
    if (lent.by.rights() == Rights::kNone) connection.lent.erase(key.second);
  }
}

void Broker::TellLendsEnded(const LentBefore& before) {
  for (const auto& [key, lent] : before) {
    const ConnectionRecord& connection = *connections_.at(key.first);
    auto left = connection.lent.find(key.second);
    const Rights after = left == connection.lent.end() ? Rights::kNone : left->second.by.rights();
    if (after == lent.rights) continue;
    const ProcessRecord& server = *connection.channel->owner;
    Notify(server, Unlent{key.first, lent.number});
    if (after == Rights::kNone) continue;
    const RegionRecord& region = *FindRegion(Raw(key.second));
    auto memory = MemoryFor(region, server, after);
    if (!memory.ok() || server.stage != ProcessRecord::Stage::kJoined) continue;
    Packet packet = MakeLent(key.first, lent.number, region, after);
    packet.fds.push_back(*std::move(memory));
    outlet_.Send(server.peer->id, std::move(packet));
  }
}

// The connection is over: its server forgets them with it.
void Broker::ForgetLendsOver(ConnectionRecord& connection) {
  for (const auto& [region, lent] : connection.lent) {
    for (const auto& [capability, right] : lent.by.capabilities()) {
      auto dependents = dependents_.find(capability);
      if (dependents != dependents_.end()) {
        dependents->second.lends.erase({connection.number, region});
      }
    }
  }
  connection.lent.clear();
}

}  // namespace parley::host
