// Regions: made, granted, redeemed, frozen, reclaimed, ended (R1 to R4, R7, R8).
#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {
namespace {

constexpr Rights kReadWrite = Rights::kRead | Rights::kWrite;
// What one process is told of one freeze: far from what makes an unread socket overflow.
constexpr size_t kMaxNoticesOfAFreeze = 1024;

// The live capabilities made from `from`, it included.
std::vector<const Capability*> TreeOf(const Capability& from) {
  std::vector<const Capability*> tree = {&from};
  for (size_t i = 0; i < tree.size(); ++i) {
    const auto& children = tree[i]->children;
    tree.insert(tree.end(), children.begin(), children.end());
  }
  return tree;
}

}  // namespace

RegionRecord* Broker::FindRegion(uint64_t id) {
  auto found = regions_.find(RegionId{static_cast<uint32_t>(id)});
  return found == regions_.end() ? nullptr : found->second.get();
}

absl::StatusOr<Broker::Held> Broker::FindHeld(const ProcessRecord& holder, CapabilityId id) {
  const Capability* capability = capabilities_.Find(id);
  if (capability == nullptr) return Refuse(Error::kLeaseEnded);
  if (capability->holder != holder.id || capability->object.kind != ObjectKind::kRegion) {
    return MakeError(Error::kNotPermitted, "the capability is another process's, or no region's");
  }
  RegionRecord* region = FindRegion(capability->object.id);
  PARLEY_CHECK(region != nullptr);
  return Held{capability, region};
}

absl::StatusOr<RegionRecord*> Broker::FindOwned(const ProcessRecord& owner, CapabilityId id) {
  const auto held = FindHeld(owner, id);
  if (!held.ok()) return held.status();
  if (held->region->root != id) {
    return MakeError(Error::kNotPermitted, "only the region's owner may");
  }
  return held->region;
}

// The region's memory as `reader` may have it: no more than `rights`, and by nobody but the owner
// for writing where others may not (R4).
absl::StatusOr<UniqueFd> Broker::MemoryFor(const RegionRecord& region, const ProcessRecord& reader,
                                           Rights rights) {
  if (&reader != region.owner && !region.others_may_write) {
    if (absl::Status sealed = ForbidNewWriters(region.memory); !sealed.ok()) return sealed;
  }
  const bool write = Includes(rights, Rights::kWrite) && !region.frozen;
  PARLEY_CHECK(!write || region.others_may_write || &reader == region.owner);
  return write ? Duplicate(region.memory) : ReopenReadOnly(region.memory);
}

// -- Made, granted, redeemed

Broker::Answer Broker::OnMakeRegion(ProcessRecord& owner, const MakeRegion& call) {
  if (call.bytes == 0 || call.bytes > kMaxRegionBytes) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("a region of ", call.bytes, " bytes; 1 to ", kMaxRegionBytes,
                                  " are possible"));
  }
  const uint64_t size = (call.bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  const uint64_t quota = owner.region_quota_bytes;
  if (size > quota - std::min(owner.region_bytes, quota)) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat("regions of ", owner.region_bytes, " bytes are held, ", size,
                                  " more would pass the quota of ", quota));
  }
  auto descriptors = descriptors_.Take(owner.uid, 2);  // one for when it is renewed
  if (!descriptors.ok()) return descriptors.status();
  auto memory = MakeBrokerMemory("parley-region", size, FurtherSeals::kPossible);
  if (!memory.ok()) return memory.status();
  auto sent = Duplicate(*memory);
  if (!sent.ok()) return sent.status();
  const uint64_t value = last_value_ + 1;
  const auto word = TakeWord(owner, value);
  if (!word.ok()) return word.status();
  last_value_ = value;

  const RegionId id{region_numbers_.Next([&](uint32_t number) { return FindRegion(number); })};
  auto& region = regions_[id];
  region = std::make_unique<RegionRecord>();
  region->id = id;
  region->descriptors = *std::move(descriptors);
  region->owner = &owner;
  region->bytes = size;
  region->others_may_write = call.others_may_write != 0;
  region->memory = *std::move(memory);
  region->owner_word = *word;
  region->owner_value = value;
  region->root = capabilities_
                     .CreateRoot({ObjectKind::kRegion, Raw(id)}, owner.id,
                                 {.rights = kReadWrite | Rights::kGrant, .length = size})
                     .id;
  Dependents& dependents = dependents_[region->root];
  dependents.holder = &owner;
  dependents.grant_words.push_back({*word, {}});
  Enter(*region);
  owner.regions.insert(id);
  owner.region_bytes += size;
  return DescribeToOwner(*region, *std::move(sent));
}

Broker::Answer Broker::DescribeToOwner(const RegionRecord& region, UniqueFd memory) {
  auto made = Zeroed<RegionMade>();
  made.region = region.id;
  made.rights = kReadWrite;
  made.capability = region.root;
  made.memory_bytes = made.length = region.bytes;
  made.grant_word = region.owner_word;
  made.others_may_write = region.others_may_write;
  made.grant_value = region.owner_value;
  Packet answer = Packet::Of(0, made);
  answer.fds.push_back(std::move(memory));
  return answer;
}

Broker::Answer Broker::OnGrantRegion(ProcessRecord& granter, const GrantRegion& call) {
  const auto held = FindHeld(granter, call.capability);
  if (!held.ok()) return held.status();
  if (FindProcess(call.holder) == nullptr) {
    return MakeError(Error::kNoSuchName, "the holder is no living process");
  }
  const Extent& own = held->capability->extent;
  if (call.offset % kPageBytes != 0 || call.length % kPageBytes != 0 || call.length == 0 ||
      call.offset < own.offset || call.offset - own.offset > own.length ||
      call.length > own.length - (call.offset - own.offset)) {
    return MakeError(Error::kInvalidArgument, absl::StrCat("a grant is of whole pages of ",
                                                           kPageBytes, " bytes within the region"));
  }
  if (!Includes(kReadWrite | Rights::kGrant, call.rights) ||
      !Includes(call.rights, Rights::kRead)) {
    return MakeError(Error::kInvalidArgument, "rights over a region are read, and write and grant");
  }
  if (Includes(call.rights, Rights::kWrite) &&
      (!held->region->others_may_write || held->region->frozen)) {
    return MakeError(Error::kNotPermitted, "nobody else may write into this region");
  }
  return Grant(call.capability, granter, call.holder,
               {.rights = call.rights, .offset = call.offset, .length = call.length});
}

Broker::Answer Broker::OnRedeem(ProcessRecord& holder, const Redeem& call) {
  auto found = capabilities_.FindByToken(call.token, holder.id);
  if (!found.ok()) return found.status();
  const Capability& capability = **found;
  if (capability.object.kind != ObjectKind::kRegion) {
    return MakeError(Error::kNotPermitted, "the token is no region's");
  }
  if (!Includes(capability.extent.rights, Rights::kRead)) {
    return MakeError(Error::kNotPermitted, "the token does not grant to read");
  }
  const RegionRecord& region = *FindRegion(capability.object.id);
  Rights rights = capability.extent.rights & kReadWrite;
  if (region.frozen) rights = Rights::kRead;
  auto memory = MemoryFor(region, holder, rights);
  if (!memory.ok()) return memory.status();
  const uint64_t value = last_value_ + 1;
  const auto word = TakeWord(holder, value);
  if (!word.ok()) return word.status();
  last_value_ = value;
  Dependents& dependents = dependents_[capability.id];
  dependents.holder = &holder;
  dependents.grant_words.push_back(
      {*word, LedgerEntry(holder.ledger, GrantWordEntry{capability.id, *word, value})});

  auto made = Zeroed<RegionMade>();
  made.region = region.id;
  made.rights = rights;
  made.capability = capability.id;
  made.memory_bytes = region.bytes;
  made.offset = capability.extent.offset;
  made.length = capability.extent.length;
  made.grant_word = *word;
  made.others_may_write = region.others_may_write;
  made.grant_value = value;
  Packet answer = Packet::Of(0, made);
  answer.fds.push_back(*std::move(memory));
  return answer;
}

// -- Frozen, reclaimed

Broker::Answer Broker::OnRenewRegion(ProcessRecord& owner, const RenewRegion& call) {
  const auto region = FindOwned(owner, call.capability);
  if (!region.ok()) return region.status();
  if ((*region)->frozen) {
    return MakeError(Error::kNotPermitted, "the region is frozen: its memory stays as it is");
  }
  auto memory = MakeBrokerMemory("parley-region", (*region)->bytes, FurtherSeals::kPossible);
  if (!memory.ok()) return memory.status();
  auto sent = Duplicate(*memory);
  if (!sent.ok()) return sent.status();
  (*region)->renewed = *std::move(memory);
  (*region)->was_reclaimed = false;  // what it commits next is this
  Enter(**region);
  return DescribeToOwner(**region, *std::move(sent));
}

// Of a frozen region nothing is renewed: nobody can change it. A reclaim then ends the grants, and
// a freeze does nothing.
Broker::Answer Broker::OnCommitRegion(ProcessRecord& owner, const CommitRegion& call) {
  const auto found = FindOwned(owner, call.capability);
  if (!found.ok()) return found.status();
  RegionRecord& region = **found;
  if (call.freeze == 0 && std::exchange(region.was_reclaimed, false)) return Packet::Of(0, Done{});
  if (!region.frozen && !region.renewed.valid()) {
    return MakeError(Error::kInvalidArgument, "the region has not been renewed");
  }
  if (call.freeze != 0) {
    if (absl::Status frozen = Freeze(region); !frozen.ok()) return frozen;
    return Packet::Of(0, Done{});
  }
  EndGrants(region);
  if (!region.frozen) {
    UniqueFd old = std::exchange(region.memory, std::move(region.renewed));
    region.renewed.Reset();
    Enter(region);
    Empty(old, region.bytes);
  }
  return Packet::Of(0, Done{});
}

// R4. Everything that can be refused is made before the seal, and the seal before any change here.
absl::Status Broker::Freeze(RegionRecord& region) {
  if (region.frozen) return absl::OkStatus();
  auto notices = PrepareFreeze(region);
  if (!notices.ok()) return notices.status();
  if (absl::Status sealed = ForbidWrites(region.renewed); !sealed.ok()) return sealed;
  region.memory = std::move(region.renewed);
  region.renewed.Reset();
  region.frozen = true;
  Enter(region);
  for (const Capability* capability : TreeOf(*capabilities_.Find(region.root))) {
    auto dependents = dependents_.find(capability->id);
    if (dependents == dependents_.end()) continue;
    for (const auto& [connection, id] : dependents->second.lends) {
      connections_.at(connection)->lent.at(id).by.MakeReadOnly(capability->id);
    }
  }
  for (Outgoing& notice : *notices) outlet_.Send(notice.to->peer->id, std::move(notice.packet));
  return absl::OkStatus();
}

// The new memory, for all who have redeemed a grant, and for the servers that it is lent to.
absl::StatusOr<std::vector<Broker::Outgoing>> Broker::PrepareFreeze(const RegionRecord& region) {
  std::vector<Outgoing> notices;
  absl::flat_hash_map<const ProcessRecord*, size_t> told;
  const auto tell = [&](const ProcessRecord& process, Packet packet) -> absl::Status {
    if (absl::Status ok = CheckKeepsUp(process); !ok.ok()) return ok;
    if (++told[&process] > kMaxNoticesOfAFreeze) {
      return MakeError(Error::kQuotaExhausted,
                       absl::StrCat("a process would have to be told more than ",
                                    kMaxNoticesOfAFreeze, " times that the region is frozen"));
    }
    auto memory = ReopenReadOnly(region.renewed);
    if (!memory.ok()) return memory.status();
    notices.push_back({&process, std::move(packet)});
    notices.back().packet.fds.push_back(*std::move(memory));
    return absl::OkStatus();
  };
  std::set<LendKey> lends;
  for (const Capability* capability : TreeOf(*capabilities_.Find(region.root))) {
    auto found = dependents_.find(capability->id);
    if (found == dependents_.end()) continue;
    const Dependents& dependents = found->second;
    lends.insert(dependents.lends.begin(), dependents.lends.end());
    if (dependents.grant_words.empty() || capability->id == region.root) continue;
    Packet replaced = Packet::Of(0, Replaced{capability->id});
    if (absl::Status ok = tell(*dependents.holder, std::move(replaced)); !ok.ok()) return ok;
  }
  for (const auto& [connection, id] : lends) {
    const ConnectionRecord& over = *connections_.at(connection);
    Packet lent = MakeLent(connection, over.lent.at(id).number, region, Rights::kRead);
    if (absl::Status ok = tell(*over.channel->owner, std::move(lent)); !ok.ok()) return ok;
  }
  return notices;
}

// R7: of all but its owner; what the owner has lent, too.
void Broker::EndGrants(RegionRecord& region) {
  std::vector<CapabilityId> killed;
  const Capability& root = *capabilities_.Find(region.root);
  while (!root.children.empty()) {
    const std::vector<CapabilityId> some = capabilities_.Kill(root.children.back()->id);
    killed.insert(killed.end(), some.begin(), some.end());
  }
  EndCapabilities(killed);
  LentBefore before;
  const std::set<LendKey> lends = std::exchange(dependents_.at(region.root).lends, {});
  EndLends(region.root, lends, before);
  TellLendsEnded(before);
}

// -- The end

Broker::Answer Broker::OnCloseRegion(ProcessRecord& holder, const CloseRegion& call) {
  const auto held = FindHeld(holder, call.capability);
  if (!held.ok()) return held.status();
  // Who closes it is not told that it has ended.
  auto dependents = dependents_.find(call.capability);
  if (dependents != dependents_.end()) {
    for (const GrantWord& word : std::exchange(dependents->second.grant_words, {})) {
      ClearWord(holder, word.word);
    }
  }
  if (held->region->root == call.capability) {
    EndRegion(*held->region);
  } else {
    EndCapabilities(capabilities_.Kill(call.capability));
  }
  return Packet::Of(0, Done{});
}

// R8. Servers that hold a lease out of it keep the memory until the lease has ended.
void Broker::EndRegion(RegionRecord& region) {
  const std::vector<CapabilityId> killed =
      capabilities_.KillObject({ObjectKind::kRegion, Raw(region.id)});
  region.owner->regions.erase(region.id);
  region.owner->region_bytes -= region.bytes;
  EndCapabilities(killed);
  regions_.erase(regions_.find(region.id));
}

}  // namespace parley::host
