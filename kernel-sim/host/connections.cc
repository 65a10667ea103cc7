// A client's connections: how they come, and how they die (L1, R7). And ringing.
#include <sys/socket.h>

#include <cstdint>

#include "kernel-sim/host/bell.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/slot.h"

namespace parley::host {

void Process::Knock(const UniqueFd& knocker) {
  // One that is full has been knocked at often enough.
  [[maybe_unused]] const ssize_t sent = send(knocker.get(), "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Wakes the server if it sleeps; if all who serve run below `level`, its agent learns of it (P4).
void Process::RingOut(const OutBell& out, uint32_t bit, int level) {
  Bell& bell = out.bell();
  const Door door = Ring(bell, bit);
  if (door == Door::kSleeping) OpenDoor(bell);
  if (door == Door::kPolling || static_cast<uint32_t>(level) > bell.served_level.load()) {
    Knock(out.knocker);
  }
}

std::shared_ptr<OutBell> Process::MapOutBell(uint32_t number, const UniqueFd& memory,
                                             UniqueFd knocker) {
  if (auto known = out_bells_.Find(number)) return known;
  auto mapped = MapShared(memory, sizeof(Bell), /*writable=*/true);
  if (!mapped.ok()) return nullptr;
  auto bell = std::make_shared<OutBell>();
  bell->memory = *std::move(mapped);
  bell->knocker = std::move(knocker);
  out_bells_.Add(number, bell);
  return bell;
}

// Descriptors: link, bell, knocker, pidfd of the server.
absl::Status Process::AddLink(OutConnection& connection, const Connected& connected,
                              Packet& packet) {
  if (packet.fds.size() < 4) return MakeError(Error::kQuotaExhausted, "no descriptor is left");
  auto mapped = MapShared(packet.fds[0], sizeof(Link), /*writable=*/true);
  if (!mapped.ok()) return mapped.status();
  auto link = std::make_unique<OutLink>();
  link->memory = std::make_shared<const SharedMapping>(*std::move(mapped));
  link->bell = MapOutBell(connected.bell, packet.fds[1], std::move(packet.fds[2]));
  if (link->bell == nullptr) return Refuse(Error::kQuotaExhausted);
  link->first_bit = connected.first_bit;
  connection.server = KnowFar(connected.server, std::move(packet.fds[3]));
  connection.links.push_back(std::move(link));
  return absl::OkStatus();
}

// What a Connected tells of: a new connection, or a further link of one. The agent does it before
// the caller has the answer, so whatever the broker says next finds it here.
absl::Status Process::OnConnected(Packet& packet) {
  const auto connected = packet.As<Connected>();
  PARLEY_CHECK(connected.has_value());
  auto found = connections_.find(connected->connection);
  if (found != connections_.end()) return AddLink(*found->second, *connected, packet);
  auto record = std::make_unique<OutConnection>();
  record->number = connected->connection;
  record->channel = connected->channel;
  record->ceiling = connected->ceiling;
  if (absl::Status linked = AddLink(*record, *connected, packet); !linked.ok()) {
    TellBroker(Packet::Of(0, host::Disconnect{connected->connection}));
    return linked;
  }
  if (record->server->dead) record->dead = true;
  connections_[connected->connection] = std::move(record);
  return absl::OkStatus();
}

void Process::ForgetIfUnused(OutConnection& connection) {
  if (!connection.closed || connection.sends_in_flight > 0) return;
  connections_.erase(connection.number);
}

// Those who are blocked on it wake with the error that fits how far they got.
void Process::KillConnection(OutConnection& connection, bool revoked) {
  if (connection.dead) return;
  connection.dead = true;
  connection.revoked = revoked;
  for (const auto& link : connection.links) {
    for (uint32_t i = 0; i < kSlotsPerLink; ++i) {
      if (!link->uses[i].claimed) continue;
      // Whether it sleeps or not: a server that dies between its answer and the wake has taken the
      // word that its client sleeps along.
      Slot& slot = link->link().slots[i];
      slot.answer.fetch_or(kServerGone);
      WakeClient(slot);
    }
  }
  if (connection.death_channel != nullptr && !connection.closed) {
    OfferKernelPulse(*connection.death_channel, KernelPulse::kDeath, connection.death_cookie,
                     main_priority_);
  }
}

}  // namespace parley::host
