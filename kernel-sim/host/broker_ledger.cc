// What is written down of each process, for the broker that comes next (ledger.h).
//
// An entry that takes another's place is there before that goes: killed in between, a broker leaves
// two of one thing, never none.
#include <algorithm>

#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {

// Makes the ledger of a process that is being welcomed, and appends it, to be read only.
absl::Status Broker::OpenLedger(ProcessRecord& process, const UniqueFd& page,
                                const UniqueFd& grants, Fds& fds) {
  auto memory = MakeBrokerMemory("parley-ledger", sizeof(LedgerMemory), FurtherSeals::kNone);
  if (!memory.ok()) return memory.status();
  LedgerHead head = {};
  head.version = kWireVersion;
  head.process = process.id;
  head.pid = process.peer->far.pid;
  head.uid = process.uid;
  head.gid = process.gid;
  head.ceiling = process.ceiling;
  head.is_name_server = process.is_name_server ? 1 : 0;
  head.region_quota_bytes = process.region_quota_bytes;
  head.device = IdentityOf(*memory).device;
  head.page = IdentityOf(page).inode;
  head.grants = IdentityOf(grants).inode;
  head.ledger = IdentityOf(*memory).inode;
  head.name_bytes = static_cast<uint32_t>(std::min(process.name.size(), kMaxNameBytes));
  std::copy_n(process.name.data(), head.name_bytes, head.name.data());
  auto ledger = Ledger::Make(*memory, head, life_.key);
  if (!ledger.ok()) return ledger.status();
  auto read_only = ReopenReadOnly(*memory);
  if (!read_only.ok()) return read_only.status();
  process.ledger = *std::move(ledger);
  fds.push_back(*std::move(read_only));
  return absl::OkStatus();
}

void Broker::Enter(ChannelRecord& channel, CapabilityId root, bool is_names) {
  ChannelEntry entry = {};
  entry.id = channel.id;
  entry.root = root;
  entry.is_names = is_names ? 1 : 0;
  entry.name_bytes = static_cast<uint32_t>(channel.name.size());
  std::copy_n(channel.name.data(), channel.name.size(), entry.name.data());
  channel.entry = LedgerEntry(channel.owner->ledger, entry);
}

void Broker::Enter(const ChannelRecord& channel, BellRecord& bell) {
  bell.entry = LedgerEntry(channel.owner->ledger, BellEntry{bell.number, channel.id, bell.uid,
                                                            IdentityOf(bell.memory).inode,
                                                            IdentityOf(bell.knocker).inode});
}

void Broker::Enter(ConnectionRecord& connection, const BellPlace& place) {
  connection.entries.push_back(LedgerEntry(
      connection.client->ledger,
      LinkEntry{connection.number, connection.channel->id, place.bell->number, place.place,
                connection.capability, connection.badge, connection.ceiling}));
}

void Broker::Enter(const Capability& granted, const ProcessRecord& granter,
                   Dependents& dependents) {
  dependents.entry =
      LedgerEntry(granter.ledger, CapabilityEntry{granted.id, granted.parent->id, granted.holder,
                                                  granted.extent, granted.token});
}

void Broker::Enter(RegionRecord& region) {
  region.entry = LedgerEntry(
      region.owner->ledger,
      RegionEntry{region.id, region.root, region.bytes, region.others_may_write ? 1u : 0u,
                  region.frozen ? 1u : 0u, region.owner_word, region.owner_value,
                  IdentityOf(region.memory).inode,
                  region.renewed.valid() ? IdentityOf(region.renewed).inode : 0});
}

void Broker::Enter(EventRecord& event) {
  EventEntry entry = {};
  entry.number = event.number;
  entry.root = capabilities_.FindRoot({ObjectKind::kEvent, event.number})->id;
  entry.target = event.target->id;
  entry.spec = event.spec;
  if (event.opened()) {
    entry.opened = 1;
    entry.bell = event.place.bell->number;
    entry.place = event.place.place;
    entry.grant_word = event.grant_word;
    entry.link = IdentityOf(event.link).inode;
  }
  event.entry = LedgerEntry(event.channel->owner->ledger, entry);
}

}  // namespace parley::host
