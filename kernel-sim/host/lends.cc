// Region references in messages (R5): what a client may refer to, and what its server may touch.
//
// A region is lent to a server once, through the broker, which hands the server its memory; from
// then on a reference costs no more than its words in the slot (R6). It names the lend by the
// broker's number, so that memory which a reclaim has replaced (R7) is never taken for the new. A
// lease is good while the message is unanswered and the lend stands, which one load tells
// (Inbound::lease_words).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/host/sending.h"
#include "kernel-sim/host/slot.h"

namespace parley::host {
namespace {

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
bool IsOut(const SharedReference& reference) {
  return Includes(RightsFor(static_cast<Direction>(reference.direction)), Rights::kWrite);
}

}  // namespace

// -- By the client

// Fills send.references, unless something is `missing`.
absl::Status Process::CheckReferences(Sending& send, const OutConnection& connection,
                                      std::optional<MissingLend>& missing) {
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
    if (Includes(wanted, Rights::kWrite) && held->changing) {
      return MakeError(Error::kContested, "another thread freezes or reclaims the region");
    }
    auto known = connection.lends.find(held->capability);
    if (known == connection.lends.end() || !Includes(known->second.rights, wanted)) {
      missing = {reference.region, held->reclaims, Zeroed<Lend>()};
      missing->call.capability = held->capability;
      missing->call.connection = connection.number;
      missing->call.rights = wanted;
      return absl::OkStatus();
    }
    SharedReference shared;
    shared.lend = known->second.number;
    shared.direction = static_cast<uint8_t>(reference.direction);
    shared.offset = held->offset + reference.offset;
    shared.length = reference.length;
    send.references.push_back({held, shared, held->reclaims});
  }
  return absl::OkStatus();
}

// Whatever has ended meanwhile, the caller finds when it looks again.
absl::Status Process::LendMissing(const MissingLend& missing) {
  const Lend& call = missing.call;
  auto answer = Ask(call);
  if (!answer.ok()) return answer.status();
  const auto made = answer->As<LendMade>();
  PARLEY_CHECK(made.has_value());
  Locked locked(lock_);
  auto connection = connections_.find(call.connection);
  const HeldRegion* held = region_handles_.Find(missing.region);
  if (connection == connections_.end() || held == nullptr || held->capability != call.capability ||
      held->reclaims != missing.reclaims) {
    return absl::OkStatus();
  }
  OutConnection::Lending& known = connection->second->lends[call.capability];
  known = {made->lend, known.rights | call.rights};
  return absl::OkStatus();
}

// The lock is held.
void Process::BeginReferences(const Sending& send) {
  for (const Sending::Reference& reference : send.references) {
    ++reference.held->leases;
    if (IsOut(reference.shared)) ++reference.held->out_leases;
  }
}

// The lock is held. Of a message that was received and not answered, what its server may still
// write is contested, unless it has been reclaimed.
void Process::EndReferences(const Sending& send, EndedRegions& ended) {
  if (send.references.empty()) return;
  const Slot& slot = send.slot();
  const bool unanswered =
      IsTaken(slot, send.sequence) && !IsAnswer(slot.answer.load(), send.sequence);
  for (const Sending::Reference& reference : send.references) {
    HeldRegion& held = *reference.held;
    numbers().bytes_leased += reference.shared.length;
    if (!IsOut(reference.shared) || reference.reclaims != held.reclaims) continue;
    --held.out_leases;
    if (unanswered) {
      held.contested.push_back(
          {send.out.link->memory, send.out.index, send.sequence, send.out.connection->server});
    }
  }
  // Each holds it until here, also when several refer to the same.
  for (const Sending::Reference& reference : send.references) {
    --reference.held->leases;
    EndHeldIfUnused(*reference.held, ended);
  }
}

// -- By the server

// New, or with other rights, or frozen. What is leased of the old memory stays mapped.
void Process::OnLent(Packet packet) {
  const auto lent = packet.As<Lent>();
  if (!lent || packet.fds.empty()) return;
  auto links = served_connections_.find(lent->connection);
  if (links == served_connections_.end()) return;
  ServedLends::Lent& known = links->second.front()->lends->lent[lent->lend];
  known.region = lent->region;
  known.rights = lent->rights;
  known.bytes = lent->memory_bytes;
  known.memory = std::move(packet.fds[0]);
  known.mapping = nullptr;
}

// The lender has lost the region: leases out of it are dead, though their memory stays.
void Process::OnUnlent(const Unlent& unlent) {
  auto links = served_connections_.find(unlent.connection);
  if (links == served_connections_.end()) return;
  links->second.front()->lends->lent.erase(unlent.lend);
  for (ServedLink* link : links->second) {
    for (const auto& inbound : link->inbound) {
      for (size_t i = 0; i < inbound->reference_count; ++i) {
        if (inbound->references[i].lend == unlent.lend) inbound->lease_words[i].store(0);
      }
    }
  }
}

// The broker has sent the Lent before the client could refer to it, but the agent may not have seen
// it yet; it has once a later answer of the broker's is there.
absl::StatusOr<Mapping> Process::MessageLease(MessageHandle message, uint32_t index) {
  PARLEY_ENTER();
  for (bool caught_up = false;; caught_up = true) {
    {
      Locked locked(lock_);
      Inbound* inbound = FindMessage(message);
      if (inbound == nullptr || inbound->gone) return Refuse(Error::kMessageGone);
      if (index >= inbound->reference_count) {
        return MakeError(Error::kInvalidArgument, absl::StrCat("region reference ", index, " of ",
                                                               int{inbound->reference_count}));
      }
      const SharedReference& claim = inbound->references[index];
      auto& lends = inbound->link.lends->lent;
      auto lent = lends.find(claim.lend);
      const Rights rights = RightsFor(static_cast<Direction>(claim.direction));
      if (lent != lends.end() && Includes(lent->second.rights, rights)) {
        return MapLease(*inbound, index, rights, lent->second);
      }
      if (caught_up) return MakeError(Error::kLeaseEnded, "the region was revoked or reclaimed");
    }
    Ask(CatchUp{}).IgnoreError();  // without a broker nothing more will come
  }
}

// The client's word is checked against what the broker has said.
absl::StatusOr<Mapping> Process::MapLease(Inbound& inbound, uint32_t index, Rights rights,
                                          ServedLends::Lent& lent) {
  const SharedReference& claim = inbound.references[index];
  if (rights == Rights::kNone || claim.length == 0 || claim.offset > lent.bytes ||
      claim.length > lent.bytes - claim.offset) {
    return Refuse(Error::kLeaseEnded);
  }
  if (lent.mapping == nullptr) {
    auto mapped = MapShared(lent.memory, lent.bytes, Includes(lent.rights, Rights::kWrite));
    if (!mapped.ok()) return mapped.status();
    lent.mapping = std::make_shared<const SharedMapping>(*std::move(mapped));
    lent.memory.Reset();
  }
  if (std::find(inbound.leased.begin(), inbound.leased.end(), lent.mapping) ==
      inbound.leased.end()) {
    inbound.leased.push_back(lent.mapping);
  }
  std::atomic<uint64_t>& word = inbound.lease_words[index];
  if (word.load() == 0) word.store(++last_lease_);
  return Mapping{.region = RegionHandle::kNone,
                 .id = lent.region,
                 .address = lent.mapping->address() + claim.offset,
                 .length = claim.length,
                 .rights = rights | Rights::kRead,
                 .live = &word,
                 .live_value = word.load()};
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
