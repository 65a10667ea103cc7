// The broker's invariants, as broker.h numbers them.
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"

namespace parley::host {

void Broker::CheckInvariants() const {
  capabilities_.CheckInvariants();
  CheckProcesses();
  CheckBells();
  CheckDependents();
  size_t launchers = 0, strangers = 0, processes = 0, tickets = 0;
  for (const auto& [id, peer] : peers_) {
    PARLEY_CHECK(peer->id == id);
    const bool stranger = peer->set == nullptr && peer->process == nullptr;
    PARLEY_CHECK(peer->stranger.empty() != stranger);
    if (stranger) ++strangers;
    if (peer->process != nullptr) {
      PARLEY_CHECK(peer->process->peer == peer.get() && peer->process->alive());  // 1
    }
    if (peer->set == nullptr) continue;
    ++launchers;
    processes += peer->set->processes.size();
  }
  for (const auto& [id, process] : processes_) {
    if (process->stage != ProcessRecord::Stage::kLaunched) continue;
    PARLEY_CHECK(tickets_.at(process->ticket) == id);
    ++tickets;
  }
  PARLEY_CHECK(processes == processes_.size() && tickets == tickets_.size());  // 1
  PARLEY_CHECK(launchers == launchers_ && strangers == strangers_.taken());
  PARLEY_CHECK(launchers == launcher_quota_.taken());         // 6
  PARLEY_CHECK(processes_.size() == process_quota_.taken());  // 6
  CheckShares();
}

// Of what there is, each takes its share; and nobody takes one for what there is not.
void Broker::CheckShares() const {
  size_t descriptors = peers_.size() * PeerRecord::kDescriptors, arguments = 0, records = 0;
  for (const auto& [id, process] : processes_) {
    if (process->pidfd.valid()) ++descriptors;
    arguments += process->arguments.size();
  }
  for (const auto& [id, channel] : channels_) descriptors += 2 * channel->bells.size();
  for (const auto& [id, dependents] : dependents_) records += dependents.share.empty() ? 0 : 1;
  descriptors += 2 * regions_.size() + events_.size();
  for (const auto& [id, peer] : peers_) {
    if (peer->rejoining != nullptr) descriptors += peer->rejoining->descriptor_count;
  }
  records += channels_.size() + connections_.size() + events_.size();
  PARLEY_CHECK(descriptors == descriptors_.taken());                     // 6
  PARLEY_CHECK(arguments == argument_bytes_.taken());                    // 6
  PARLEY_CHECK(records == record_quota_.taken());                        // 6
  PARLEY_CHECK(!processes_.empty() || capabilities_.live_count() == 0);  // 5
}

void Broker::CheckProcesses() const {
  size_t channels = 0, connections = 0, regions = 0;
  for (const auto& [id, process] : processes_) {
    PARLEY_CHECK(process->id == id && process->set->processes.contains(id));
    PARLEY_CHECK((process->peer != nullptr) == (process->stage == ProcessRecord::Stage::kWaiting ||
                                                process->stage == ProcessRecord::Stage::kJoined));
    uint64_t bytes = 0;
    size_t links = 0;
    for (RegionId region : process->regions) {
      PARLEY_CHECK(regions_.at(region)->owner == process.get());
      bytes += regions_.at(region)->bytes;
    }
    for (uint32_t number : process->connections) {
      PARLEY_CHECK(connections_.at(number)->client == process.get());
      links += connections_.at(number)->links;
    }
    for (ChannelId channel : process->channels) {
      PARLEY_CHECK(channels_.at(channel)->owner == process.get());
    }
    PARLEY_CHECK(bytes == process->region_bytes && links == process->links);
    channels += process->channels.size();
    connections += process->connections.size();
    regions += process->regions.size();
    if (process->alive()) continue;
    PARLEY_CHECK(process->channels.empty() && process->connections.empty());  // 5
    PARLEY_CHECK(process->regions.empty() && process->page.address() == nullptr);
  }
  PARLEY_CHECK(channels == channels_.size() && connections == connections_.size());  // 1
  PARLEY_CHECK(regions == regions_.size());
}

void Broker::CheckBells() const {
  size_t events = 0;
  for (const auto& [id, channel] : channels_) {
    absl::flat_hash_map<const BellRecord*, std::bitset<BellRecord::kPlaces>> taken;
    const auto take = [&](const BellPlace& place, uint32_t uid) {
      PARLEY_CHECK(place.bell->uid == uid && !taken[place.bell][place.place]);
      taken[place.bell].set(place.place);
    };
    for (uint32_t number : channel->connections) {
      const ConnectionRecord& connection = *connections_.at(number);
      PARLEY_CHECK(connection.channel == channel.get());
      PARLEY_CHECK(connection.places.size() == connection.links);
      for (const BellPlace& place : connection.places)
        take(place, connection.client->peer->far.uid);
    }
    for (uint64_t number : channel->events) {
      const EventRecord& event = *events_.at(number);
      PARLEY_CHECK(event.channel == channel.get() && event.target->alive());
      if (event.opened()) take(event.place, event.target->peer->far.uid);
    }
    for (const auto& bell : channel->bells) PARLEY_CHECK(bell->taken == taken[bell.get()]);  // 2
    events += channel->events.size();
  }
  PARLEY_CHECK(events == events_.size());
  for (const auto& [number, connection] : connections_) {
    PARLEY_CHECK(connection->channel != nullptr || connection->places.empty());
    PARLEY_CHECK(connection->channel != nullptr || connection->lent.empty());
  }
}

void Broker::CheckDependents() const {
  absl::flat_hash_map<ProcessId, size_t> words;
  for (const auto& [id, dependents] : dependents_) {
    PARLEY_CHECK(capabilities_.IsLive(id));  // 3
    for (uint32_t number : dependents.connections) {
      PARLEY_CHECK(connections_.at(number)->capability == id);
    }
    for (const auto& [number, region] : dependents.lends) {
      PARLEY_CHECK(connections_.at(number)->lent.contains(region));
    }
    for (const GrantWord& word : dependents.grant_words) {
      PARLEY_CHECK(dependents.holder->grants.As<GrantPage>()->words[word.word].load() != 0);  // 4
      ++words[dependents.holder->id];
    }
  }
  for (const auto& [number, event] : events_) {
    if (!event->opened()) continue;
    PARLEY_CHECK(event->target->grants.As<GrantPage>()->words[event->grant_word].load() == number);
    ++words[event->target->id];
  }
  for (const auto& [id, process] : processes_) {
    if (process->stage != ProcessRecord::Stage::kJoined) continue;
    PARLEY_CHECK(words[id] == process->words_used - process->free_words.size());  // 4
  }
}

}  // namespace parley::host
