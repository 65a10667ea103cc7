// Region references in messages (R5): what a client may refer to, and what its server may touch.
//
// A region is lent to a server once, through the broker, which hands the server its memory; from
// then on a reference costs no more than its words in the slot (R6). A lease is good while the
// message is unanswered, which one load tells (Inbound::lease_word).
#include <time.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/host/sending.h"
#include "kernel-sim/host/slot.h"

namespace parley::host {
namespace {

constexpr int64_t kLendArrivesNs = 100'000'000;  // it left the broker before the message was sent

Rights RightsFor(Direction direction) {
  switch (direction) {
    case Direction::kIn:
      return Rights::kRead;
    case Direction::kOut:
      return Rights::kWrite;
    case Direction::kInOut:
      return Rights::kRead | Rights::kWrite;
  }
  return Rights::kNone;
}

}  // namespace

// -- By the client

// Fills send.references. `missing`: what has to be lent before they are good.
absl::Status Process::CheckReferences(Sending& send, const OutConnection& connection,
                                      std::optional<Lend>& missing) {
  const auto& references = send.arguments.regions;
  send.references.clear();
  if (references.size() > kMaxRegionReferences) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat(references.size(), " region references; ", kMaxRegionReferences,
                                  " are possible"));
  }
  for (const RegionReference& reference : references) {
    HeldRegion* held = region_handles_.Find(reference.region);
    if (held == nullptr) return Refuse(Error::kBadHandle);
    if (!IsLive(*held)) return Refuse(Error::kLeaseEnded);
    if (reference.length == 0 || reference.offset > held->length ||
        reference.length > held->length - reference.offset) {
      return MakeError(Error::kInvalidArgument, "a region reference past the end of its region");
    }
    const Rights wanted = RightsFor(reference.direction);
    if (wanted == Rights::kNone) {
      return MakeError(Error::kInvalidArgument, "a region reference without a direction");
    }
    if (Includes(wanted, Rights::kWrite) && (held->frozen || !held->others_may_write)) {
      return MakeError(Error::kNotPermitted, "nobody else may write into this region");
    }
    if (!Includes(held->rights, wanted)) {
      return MakeError(Error::kNotPermitted, "a region reference beyond the sender's own rights");
    }
    auto known = lends_.find({connection.number, held->capability});
    if (known == lends_.end() || !Includes(known->second, wanted)) {
      missing = Zeroed<Lend>();
      missing->capability = held->capability;
      missing->connection = connection.number;
      missing->rights = wanted;
    }
    SharedReference shared;
    shared.region = Raw(held->id);
    shared.direction = static_cast<uint8_t>(reference.direction);
    shared.offset = held->offset + reference.offset;
    shared.length = reference.length;
    send.references.push_back({held, shared});
  }
  return absl::OkStatus();
}

// The lock is held. Of a message that was left, what its server may still write is contested.
void Process::EndReferences(const Sending& send) {
  if (send.references.empty()) return;
  const Slot& slot = send.slot();
  const bool left = PhaseOf(slot.state.load()) == Phase::kLeft;
  for (const Sending::Reference& reference : send.references) {
    HeldRegion& held = *reference.held;
    --held.leases;
    numbers().bytes_leased += reference.shared.length;
    if (left && reference.shared.direction != static_cast<uint8_t>(Direction::kIn)) {
      held.contested.push_back({send.out.link->memory, send.out.index, slot.sequence.load(),
                                send.out.connection->server});
    }
  }
  for (const Sending::Reference& reference : send.references) EndHeldIfUnused(*reference.held);
}

// -- By the server

void Process::OnLent(Packet packet) {
  const auto lent = packet.As<Lent>();
  if (!lent || packet.fds.empty()) return;
  auto links = served_connections_.find(lent->connection);
  if (links == served_connections_.end()) return;
  ServedLends& lends = *links->second.front()->lends;
  ServedLends::Lent& known = lends.lent[lent->region];
  if (known.mapping.address() != nullptr) lends.ended.push_back(std::move(known.mapping));
  known.rights = lent->rights;
  known.bytes = lent->memory_bytes;
  known.memory = std::move(packet.fds[0]);
}

// The lender has lost the region: leases out of it are dead, though their memory stays.
void Process::OnUnlent(const Unlent& unlent) {
  auto links = served_connections_.find(unlent.connection);
  if (links == served_connections_.end()) return;
  ServedLends& lends = *links->second.front()->lends;
  auto known = lends.lent.find(unlent.region);
  if (known == lends.lent.end()) return;
  if (known->second.mapping.address() != nullptr) {
    lends.ended.push_back(std::move(known->second.mapping));
  }
  lends.lent.erase(known);
  for (ServedLink* link : links->second) {
    for (const auto& inbound : link->inbound) {
      const auto* end = inbound->references.begin() + inbound->reference_count;
      const bool refers =
          std::any_of(std::as_const(inbound->references).begin(), end,
                      [&](const SharedReference& at) { return at.region == Raw(unlent.region); });
      if (inbound->serial != 0 && refers) inbound->lease_word.store(0);
    }
  }
}

absl::StatusOr<Mapping> Process::MessageLease(MessageHandle message, uint32_t index) {
  PARLEY_ENTER();
  const int64_t until = MonotonicNs() + kLendArrivesNs;
  for (;;) {
    {
      Locked locked(lock_);
      Inbound* inbound = FindMessage(message);
      if (inbound == nullptr || inbound->gone) return Refuse(Error::kMessageGone);
      if (index >= inbound->reference_count) {
        return MakeError(Error::kInvalidArgument, absl::StrCat("region reference ", index, " of ",
                                                               int{inbound->reference_count}));
      }
      const SharedReference& claim = inbound->references[index];
      ServedLends& lends = *inbound->link.lends;
      auto lent = lends.lent.find(RegionId{claim.region});
      const Rights rights = RightsFor(static_cast<Direction>(claim.direction));
      if (lent != lends.lent.end() && Includes(lent->second.rights, rights)) {
        return MapLease(*inbound, claim, rights, lent->second);
      }
      if (inbound->link.detached || inbound->lease_word.load() != inbound->serial ||
          MonotonicNs() >= until) {
        return Refuse(Error::kLeaseEnded);
      }
    }
    const timespec while_the_agent_hears_of_it = {0, 50'000};
    nanosleep(&while_the_agent_hears_of_it, nullptr);
  }
}

// `claim` is the client's word: checked against what the broker has said.
absl::StatusOr<Mapping> Process::MapLease(Inbound& inbound, const SharedReference& claim,
                                          Rights rights, ServedLends::Lent& lent) {
  if (rights == Rights::kNone || claim.length == 0 || claim.offset > lent.bytes ||
      claim.length > lent.bytes - claim.offset) {
    return Refuse(Error::kLeaseEnded);
  }
  if (lent.mapping.address() == nullptr) {
    auto mapped = MapShared(lent.memory, lent.bytes, Includes(lent.rights, Rights::kWrite));
    if (!mapped.ok()) return mapped.status();
    lent.mapping = *std::move(mapped);
  }
  return Mapping{.region = RegionHandle::kNone,
                 .id = RegionId{claim.region},
                 .address = lent.mapping.address() + claim.offset,
                 .length = claim.length,
                 .rights = rights,
                 .live = &inbound.lease_word,
                 .live_value = inbound.serial};
}

absl::StatusOr<Direction> Process::MessageLeaseDirection(MessageHandle message, uint32_t index) {
  PARLEY_ENTER();
  Locked locked(lock_);
  Inbound* inbound = FindMessage(message);
  if (inbound == nullptr || inbound->gone) return Refuse(Error::kMessageGone);
  if (index >= inbound->reference_count) return Refuse(Error::kInvalidArgument);
  const auto direction = static_cast<Direction>(inbound->references[index].direction);
  if (RightsFor(direction) == Rights::kNone) return Refuse(Error::kLeaseEnded);
  return direction;
}

}  // namespace parley::host
