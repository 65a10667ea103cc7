// What ledgers and claims agree on is there again, all of it at once.
//
// Ledgers are the broker's own word, but of one that may have been killed in the middle of
// something, and their processes have gone on without it. So each entry is looked at as if it were
// a claim, and what does not fit together is left out: its entry goes, and whoever knows of it is
// told that it has ended.
#include "kernel-sim/host/broker_restore.h"

#include <algorithm>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {

using Stage = ProcessRecord::Stage;

void Broker::Restoration::ReturnProcesses() {
  std::vector<ProcessId> ids;
  for (const auto& [id, process] : broker_.processes_) {
    if (broker_.FindRejoined(*process) != nullptr) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());  // hash order must not reach anybody
  for (ProcessId id : ids) {
    ProcessRecord& process = *broker_.processes_.at(id);
    PeerRecord& peer = *broker_.FindRejoined(process);
    Returned& returned = returned_.emplace_back();
    returned.process = &process;
    returned.claims = std::exchange(peer.rejoining, nullptr);
    returned.claims->descriptors.clear();  // each record takes its own
    const LedgerHead& head = returned.claims->ledger->head();
    returned.device = head.device;
    broker_.tickets_.erase(process.ticket);
    process.stage = Stage::kJoined;
    process.name = std::string(head.name.data(), std::min<size_t>(head.name_bytes, kMaxNameBytes));
    process.arguments.clear();
    process.argument_bytes = {};
    process.ceiling = head.ceiling;
    process.uid = head.uid;
    process.gid = head.gid;
    process.region_quota_bytes = head.region_quota_bytes;
    process.page = std::move(returned.claims->page);
    process.grants = std::move(returned.claims->grants);
    process.ledger = returned.claims->ledger;
    process.peer = &peer;
    peer.process = &process;
    peer.far.process = id;
    peer.stranger = {};
    returned.entries = Ledger::ReadAll(process.ledger);
    by_process_[id] = returned_.size() - 1;
  }
  broker_.rejoined_.clear();
}

// -- What is a process's own

void Broker::Restoration::Channel(Returned& owner, const ChannelEntry& was, LedgerEntry& entry) {
  ProcessRecord& process = *owner.process;
  if (!owner.claims->channels.contains(Raw(was.id)) || broker_.channels_.contains(was.id) ||
      !IsNewCapability(was.root)) {
    return;
  }
  auto share = broker_.record_quota_.Take(process.uid, 1);
  if (!share.ok()) return;
  auto& channel = broker_.channels_[was.id];
  channel = std::make_unique<ChannelRecord>();
  channel->share = *std::move(share);
  channel->entry = std::move(entry);
  channel->id = was.id;
  channel->owner = &process;
  channel->name = std::string(was.name.data(), std::min<size_t>(was.name_bytes, kMaxNameBytes));
  process.channels.insert(was.id);
  broker_.capabilities_.CreateRoot({ObjectKind::kChannel, Raw(was.id)}, process.id,
                                   {.rights = Rights::kConnect | Rights::kGrant}, was.root);
  if (was.is_names != 0 && process.set->name_server == process.id) {
    process.set->name_channel = was.id;
  }
}

void Broker::Restoration::Bell(Returned& owner, const BellEntry& was, LedgerEntry& entry) {
  ChannelRecord* channel = broker_.FindOwnChannel(*owner.process, was.channel);
  auto claim = owner.claims->bells.find(was.number);
  if (channel == nullptr || claim == owner.claims->bells.end() ||
      broker_.bells_in_use_.contains(was.number)) {
    return;
  }
  auto& [memory, knocker] = claim->second;
  if (!Is(memory, owner, was.memory) || !knocker.valid() || !IsUnixSocket(knocker) ||
      IdentityOf(knocker).inode != was.knocker) {
    return;
  }
  auto descriptors = broker_.descriptors_.Take(owner.process->uid, 2);
  if (!descriptors.ok()) return;
  auto bell = std::make_unique<BellRecord>();
  bell->descriptors = *std::move(descriptors);
  bell->entry = std::move(entry);
  bell->number = was.number;
  bell->uid = was.uid;
  bell->memory = std::move(memory);
  bell->knocker = std::move(knocker);
  channel->bells.push_back(std::move(bell));
  broker_.bells_in_use_.insert(was.number);
  channel->bells.back()->in_use = &broker_.bells_in_use_;
}

// Its owner had not heard of it yet, or has shown what is not its bell.
void Broker::Restoration::EndSilentChannels() {
  std::vector<ChannelRecord*> silent;
  for (const auto& [id, channel] : broker_.channels_) {
    if (channel->bells.empty()) silent.push_back(channel.get());
  }
  for (ChannelRecord* channel : silent) broker_.EndChannel(*channel);
}

void Broker::Restoration::Region(Returned& owner, const RegionEntry& was, LedgerEntry& entry) {
  ProcessRecord& process = *owner.process;
  auto claim = owner.claims->regions.find(Raw(was.root));
  if (claim == owner.claims->regions.end() || broker_.regions_.contains(was.id) ||
      !IsNewCapability(was.root) || !CanHaveWord(owner, was.owner_word, was.owner_value)) {
    return;
  }
  auto& [memory, renewed] = claim->second;
  // The last broker has committed what its owner still takes for renewed.
  const bool committed = !Is(memory, owner, was.memory);
  if (committed && !Is(renewed, owner, was.memory)) return;
  auto descriptors = broker_.descriptors_.Take(process.uid, 2);
  if (!descriptors.ok()) return;
  auto& region = broker_.regions_[was.id];
  region = std::make_unique<RegionRecord>();
  region->descriptors = *std::move(descriptors);
  region->entry = std::move(entry);
  region->id = was.id;
  region->owner = &process;
  region->root = was.root;
  region->bytes = was.bytes;
  region->others_may_write = was.others_may_write != 0;
  region->frozen = was.frozen != 0;
  region->owner_word = was.owner_word;
  region->owner_value = was.owner_value;
  region->memory = committed ? std::move(renewed) : std::move(memory);
  region->was_reclaimed = committed && !region->frozen;
  if (region->was_reclaimed && IsSharedMemory(memory)) Empty(memory, was.bytes);
  if (!committed && Is(renewed, owner, was.renewed)) region->renewed = std::move(renewed);
  process.regions.insert(was.id);
  process.region_bytes += was.bytes;
  broker_.capabilities_.CreateRoot(
      {ObjectKind::kRegion, Raw(was.id)}, process.id,
      {.rights = Rights::kRead | Rights::kWrite | Rights::kGrant, .length = was.bytes}, was.root);
  Dependents& dependents = broker_.dependents_[was.root];
  dependents.holder = &process;
  dependents.grant_words.push_back({was.owner_word, {}});
  owner.words.insert(was.owner_word);
}

// One that was opened is of use only while both ends know of it.
void Broker::Restoration::Event(Returned& owner, const EventEntry& was, LedgerEntry& entry) {
  ProcessRecord& process = *owner.process;
  ChannelRecord* channel = broker_.FindOwnChannel(process, was.spec.channel);
  ProcessRecord* target = broker_.FindProcess(was.target);
  if (channel == nullptr || target == nullptr || broker_.events_.contains(was.number) ||
      !IsNewCapability(was.root)) {
    return;
  }
  UniqueFd* link = nullptr;
  BellPlace place;
  Returned* opener = Find(was.target);
  if (was.opened != 0) {
    auto claim = owner.claims->served_events.find({was.number, was.place * kBitsPerLink});
    if (opener == nullptr || claim == owner.claims->served_events.end() ||
        !Is(claim->second, owner, was.link) || !CanHaveWord(*opener, was.grant_word, was.number)) {
      return;
    }
    place = FreePlace(*channel, was.bell, was.place, target->uid);
    if (place.bell == nullptr) return;
    link = &claim->second;
  }
  auto share = broker_.record_quota_.Take(process.uid, 1);
  auto descriptor = broker_.descriptors_.Take(process.uid, 1);
  if (!share.ok() || !descriptor.ok()) return;
  auto& event = broker_.events_[was.number];
  event = std::make_unique<EventRecord>();
  event->share = *std::move(share);
  event->descriptor = *std::move(descriptor);
  event->entry = std::move(entry);
  event->number = was.number;
  event->channel = channel;
  event->target = target;
  event->spec = was.spec;
  channel->events.insert(was.number);
  broker_.capabilities_.CreateRoot({ObjectKind::kEvent, was.number}, process.id,
                                   {.rights = Rights::kGrant | Rights::kWrite}, was.root);
  if (link == nullptr) return;
  event->link = std::move(*link);
  event->place = place;
  event->grant_word = was.grant_word;
  place.bell->taken.set(place.place);
  ++target->opened_events[process.id];
  opener->words.insert(was.grant_word);
}

// -- Capabilities

// A grant's id is higher than that of what it was made from.
void Broker::Restoration::Capabilities() {
  struct Granted {
    Returned* granter;
    CapabilityEntry was;
    LedgerEntry* entry;
  };
  std::vector<Granted> all;
  for (Returned& returned : returned_) {
    for (ReadEntry& read : returned.entries) {
      if (read.kind != EntryKind::kCapability) continue;
      all.push_back({&returned, read.As<CapabilityEntry>(), &read.entry});
    }
  }
  std::sort(all.begin(), all.end(),
            [](const Granted& a, const Granted& b) { return a.was.id < b.was.id; });
  for (const Granted& granted : all) Grant(*granted.granter, granted.was, *granted.entry);
  std::vector<uint64_t> nobodys;
  for (const auto& [number, event] : broker_.events_) {
    const Capability& root = *broker_.capabilities_.FindRoot({ObjectKind::kEvent, number});
    if (root.children.empty()) nobodys.push_back(number);
  }
  for (uint64_t number : nobodys) broker_.ForgetEvent(number);
}

void Broker::Restoration::Grant(Returned& granter, const CapabilityEntry& was, LedgerEntry& entry) {
  const ProcessRecord& process = *granter.process;
  const Capability* parent = broker_.capabilities_.Find(was.parent);
  if (parent == nullptr || !IsNewCapability(was.id) || was.token == Token{} ||
      broker_.FindProcess(was.holder) == nullptr || !tokens_.insert(was.token).second) {
    return;
  }
  const bool is_event = parent->object.kind == ObjectKind::kEvent;
  auto share = broker_.record_quota_.Take(process.uid, is_event ? 0 : 1);
  if (!share.ok()) return;
  auto granted = broker_.capabilities_.Grant(was.parent, process.id, was.holder, was.extent,
                                             was.token, was.id);
  if (!granted.ok()) return;
  Dependents& dependents = broker_.dependents_[was.id];
  dependents.share = *std::move(share);
  dependents.entry = std::move(entry);
  if (is_event) dependents.event = (*granted)->object.id;
}

void Broker::Restoration::Word(Returned& holder, const GrantWordEntry& was, LedgerEntry& entry) {
  const Capability* capability = broker_.capabilities_.Find(was.capability);
  if (capability == nullptr || capability->holder != holder.process->id ||
      !holder.claims->grants_held.contains(Raw(was.capability)) ||
      !CanHaveWord(holder, was.word, was.value)) {
    return;
  }
  Dependents& dependents = broker_.dependents_[was.capability];
  dependents.holder = holder.process;
  dependents.grant_words.push_back({was.word, std::move(entry)});
  holder.words.insert(was.word);
}

// -- Connections

void Broker::Restoration::Connections() {
  std::map<uint32_t, std::pair<Returned*, std::vector<Link>>> connections;
  for (Returned& returned : returned_) {
    for (ReadEntry& read : returned.entries) {
      if (read.kind != EntryKind::kLink) continue;
      const auto was = read.As<LinkEntry>();
      auto& [client, links] = connections[was.connection];
      if (client == nullptr) client = &returned;
      if (client == &returned) links.push_back({was, &read.entry});
    }
  }
  for (const auto& [number, connection] : connections) {
    Connection(*connection.first, connection.second);
  }
}

bool Broker::Restoration::MayConnect(const Returned& client, const LinkEntry& was) const {
  if (was.capability == CapabilityId::kNone) {
    return broker_.NamesOf(*client.process->set).name_channel == was.channel;
  }
  const Capability* capability = broker_.capabilities_.Find(was.capability);
  return capability != nullptr && capability->holder == client.process->id &&
         capability->object == ObjectRef{ObjectKind::kChannel, Raw(was.channel)} &&
         Includes(capability->extent.rights, Rights::kConnect);
}

// Both ends have to know each link that its client may use. One that only its server knows of stays
// its own, so that nobody else gets the place in the bell.
void Broker::Restoration::Connection(Returned& client, const std::vector<Link>& links) {
  const LinkEntry& first = links.front().was;
  ChannelRecord* channel = broker_.FindChannel(Raw(first.channel));
  if (channel == nullptr || broker_.connections_.contains(first.connection) ||
      !MayConnect(client, first)) {
    return;
  }
  const Returned* server = Find(channel->owner->id);
  if (server == nullptr) return;
  std::vector<std::pair<BellPlace, LedgerEntry*>> kept;
  bool client_knows = false;
  for (const auto& [was, entry] : links) {
    const Rejoining::Numbered link = {was.connection, was.place * kBitsPerLink};
    const bool by_client = client.claims->links.contains(link);
    const BellPlace place = FreePlace(*channel, was.bell, was.place, client.process->uid);
    if (!server->claims->served_links.contains(link) || place.bell == nullptr) {
      if (by_client) return;
      continue;
    }
    const bool twice = std::any_of(kept.begin(), kept.end(), [&](const auto& other) {
      return other.first.bell == place.bell && other.first.place == place.place;
    });
    if (twice) continue;
    client_knows |= by_client;
    kept.emplace_back(place, entry);
  }
  if (!client_knows) return;
  auto share = broker_.record_quota_.Take(client.process->uid, 1);
  if (!share.ok()) return;
  auto& connection = broker_.connections_[first.connection];
  connection = std::make_unique<ConnectionRecord>();
  connection->share = *std::move(share);
  connection->number = first.connection;
  connection->client = client.process;
  connection->channel = channel;
  connection->capability = first.capability;
  connection->badge = first.badge;
  connection->ceiling = first.ceiling;
  for (auto& [place, entry] : kept) {
    place.bell->taken.set(place.place);
    connection->places.push_back(place);
    connection->entries.push_back(std::move(*entry));
    ++connection->links;
    ++client.process->links;
  }
  if (first.capability != CapabilityId::kNone) {
    broker_.dependents_[first.capability].connections.insert(first.connection);
  }
  channel->connections.insert(first.connection);
  client.process->connections.insert(first.connection);
}

void Broker::Restoration::Lend(Returned& lender, const LendEntry& was, LedgerEntry& entry) {
  ConnectionRecord* connection = broker_.FindOwnConnection(*lender.process, was.connection);
  const auto held = broker_.FindHeld(*lender.process, was.capability);
  if (connection == nullptr || !held.ok() || held->region->id != was.region) return;
  const RegionRecord& region = *held->region;
  const bool write = was.write != 0 && !region.frozen && region.others_may_write &&
                     Includes(held->capability->extent.rights, Rights::kWrite);
  LentRegion& lent = connection->lent[was.region];
  if (lent.number == 0) lent.number = was.number;
  if (lent.number != was.number || !lent.by.Lacks(was.capability, write)) return;
  lent.by.Add(was.capability, write, std::move(entry));
  broker_.dependents_[was.capability].lends.insert({was.connection, was.region});
}

// -- What its processes are told

// R6: whatever ended while nobody could say so reads 0 from here on.
void Broker::Restoration::ClearOtherWords(Returned& returned) {
  ProcessRecord& process = *returned.process;
  auto& words = process.grants.As<GrantPage>()->words;
  process.words_used = 0;
  for (uint32_t word : returned.words) {
    process.words_used = std::max(process.words_used, word + 1);
  }
  for (uint32_t word = 0; word < kGrantWords; ++word) {
    if (returned.words.contains(word)) continue;
    if (words[word].load() != 0) words[word].store(0);
    if (word < process.words_used) process.free_words.push_back(word);
  }
}

// Who comes later is refused, and ended.
void Broker::Restore() {
  PARLEY_CHECK(restoring_);
  Restoration(*this).Run();
  restoring_ = false;
  std::vector<PeerRecord*> nobodys;
  for (const auto& [id, peer] : peers_) {
    if (peer->set != nullptr) peer->set->adopts = 0;
    if (peer->rejoining != nullptr) nobodys.push_back(peer.get());
  }
  for (PeerRecord* peer : nobodys) DropPeer(*peer);
  WelcomeWaiting();
  TakeEarly(early_joins_);
  TakeEarly(early_exits_);
}

}  // namespace parley::host
