// Kernel calls: regions. The broker makes their memory and keeps who may have it; a process maps it
// once, and one load of a word that only the broker writes tells whether its right stands (R6).
#include "absl/strings/str_cat.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/slot.h"

namespace parley::host {
namespace {

constexpr Rights kReadWrite = Rights::kRead | Rights::kWrite;

// Puts other memory, of the same size, in the place of what is mapped.
absl::Status MapOver(const SharedMapping& mapping, const UniqueFd& memory, bool writable) {
  void* mapped =
      mmap(mapping.address(), mapping.bytes(), writable ? PROT_READ | PROT_WRITE : PROT_READ,
           MAP_SHARED | MAP_FIXED, memory.get(), 0);
  return mapped == MAP_FAILED ? Refuse(Error::kQuotaExhausted) : absl::OkStatus();
}

}  // namespace

Mapping Process::MappingOf(RegionHandle handle, const HeldRegion& held) const {
  return {.region = handle,
          .id = held.id,
          .address = held.address(),
          .length = held.length,
          .rights = held.rights & kReadWrite,
          .live = &grants().words[held.grant_word],
          .live_value = held.grant_value};
}

// What a RegionMade tells of. The lock is held.
absl::StatusOr<HeldRegion*> Process::Hold(const Packet& packet, bool owner) {
  const auto made = packet.As<RegionMade>();
  if (!made || packet.fds.empty()) return Refuse(Error::kQuotaExhausted);
  if (region_handles_.full()) return Refuse(Error::kQuotaExhausted);
  auto mapped =
      MapShared(packet.fds[0], made->memory_bytes, Includes(made->rights, Rights::kWrite));
  if (!mapped.ok()) return mapped.status();
  auto record = std::make_unique<HeldRegion>();
  record->id = made->region;
  record->capability = made->capability;
  record->rights = made->rights;
  record->offset = made->offset;
  record->length = made->length;
  record->owner = owner;
  record->others_may_write = made->others_may_write != 0;
  record->grant_word = made->grant_word;
  record->grant_value = made->grant_value;
  record->mapping = *std::move(mapped);
  return held_regions_.insert(std::move(record)).first->get();
}

absl::StatusOr<Mapping> Process::RegionCreate(uint64_t bytes, const RegionOptions& options) {
  PARLEY_ENTER();
  auto call = Zeroed<MakeRegion>();
  call.bytes = bytes;
  call.others_may_write = options.others_may_write ? 1 : 0;
  auto answer = Ask(call);
  if (!answer.ok()) return answer.status();
  Locked locked(lock_);
  auto held = Hold(*answer, /*owner=*/true);
  if (!held.ok()) return held.status();
  (*held)->handles = 1;
  return MappingOf(region_handles_.Add(*held), **held);
}

absl::StatusOr<Token> Process::RegionGrant(RegionHandle handle, ProcessId holder, uint64_t offset,
                                           uint64_t length, Rights rights) {
  PARLEY_ENTER();
  auto call = Zeroed<GrantRegion>();
  {
    Locked locked(lock_);
    HeldRegion* held = region_handles_.Find(handle);
    if (held == nullptr) return Refuse(Error::kBadHandle);
    if (!IsLive(*held)) return Refuse(Error::kLeaseEnded);
    if (offset > held->length || length > held->length - offset) {
      return MakeError(
          Error::kInvalidArgument,
          absl::StrCat("a grant is of whole pages of ", kPageBytes, " bytes within the region"));
    }
    call.capability = held->capability;
    call.offset = held->offset + offset;
  }
  call.holder = holder;
  call.rights = rights;
  call.length = length;
  auto answer = Ask(call);
  if (!answer.ok()) return answer.status();
  return answer->As<TokenMade>()->token;
}

absl::StatusOr<Mapping> Process::RegionRedeem(const Token& token) {
  PARLEY_ENTER();
  for (bool asked = false;; asked = true) {
    {
      Locked locked(lock_);
      auto known = redeemed_.find(token);
      if (known != redeemed_.end() && IsLive(*known->second)) {
        if (region_handles_.full()) return Refuse(Error::kQuotaExhausted);
        ++known->second->handles;
        return MappingOf(region_handles_.Add(known->second), *known->second);
      }
      if (asked) return Refuse(Error::kLeaseEnded);  // it ended meanwhile
    }
    auto answer = Ask(Redeem{token});
    if (!answer.ok()) return answer.status();
    Locked locked(lock_);
    auto held = Hold(*answer, /*owner=*/false);
    if (!held.ok()) return held.status();
    redeemed_[token] = *held;
  }
}

absl::StatusOr<HeldRegion*> Process::FindOwned(RegionHandle handle) {
  HeldRegion* held = region_handles_.Find(handle);
  if (held == nullptr) return Refuse(Error::kBadHandle);
  if (!held->owner) return MakeError(Error::kNotPermitted, "only the region's owner may");
  return held;
}

// R5: whether a server may still be writing for a client that has left.
bool Process::IsContested(HeldRegion& held) {
  std::erase_if(held.contested, [](const HeldRegion::Contested& contested) {
    const Slot& slot = contested.link->As<Link>()->slots[contested.slot];
    return contested.server->dead || PhaseOf(slot.state.load()) != Phase::kLeft ||
           slot.sequence.load() != contested.sequence;
  });
  return !held.contested.empty();
}

// New memory for the region, with its contents; nothing of it stays mapped.
absl::Status Process::CopyToRenewed(RegionHandle handle, UniqueFd& memory) {
  CapabilityId capability;
  {
    Locked locked(lock_);
    auto held = FindOwned(handle);
    if (!held.ok()) return held.status();
    capability = (*held)->capability;
  }
  auto renewed = Ask(RenewRegion{capability});
  if (!renewed.ok()) return renewed.status();
  const auto made = renewed->As<RegionMade>();
  if (!made || renewed->fds.empty()) return Refuse(Error::kQuotaExhausted);
  auto copy = MapShared(renewed->fds[0], made->memory_bytes, /*writable=*/true);
  if (!copy.ok()) return copy.status();
  memory = std::move(renewed->fds[0]);
  Locked locked(lock_);
  auto held = FindOwned(handle);
  if (!held.ok()) return held.status();
  std::memcpy(copy->address(), (*held)->mapping.address(), copy->bytes());
  return absl::OkStatus();
}

absl::Status Process::RegionFreeze(RegionHandle handle) {
  PARLEY_ENTER();
  CapabilityId capability;
  {
    Locked locked(lock_);
    auto held = FindOwned(handle);
    if (!held.ok()) return held.status();
    if ((*held)->frozen) return absl::OkStatus();
    if ((*held)->leases > 0 || IsContested(**held)) return Refuse(Error::kContested);
    capability = (*held)->capability;
  }
  UniqueFd memory;
  if (absl::Status copied = CopyToRenewed(handle, memory); !copied.ok()) return copied;
  if (auto done = Ask(CommitRegion{capability, 1, 0}); !done.ok()) return done.status();
  Locked locked(lock_);
  auto held = FindOwned(handle);
  if (!held.ok()) return held.status();
  (*held)->frozen = true;
  (*held)->rights = Rights::kRead;
  return MapOver((*held)->mapping, memory, /*writable=*/false);
}

absl::StatusOr<Mapping> Process::RegionReclaim(RegionHandle handle) {
  PARLEY_ENTER();
  CapabilityId capability;
  bool frozen = false;
  {
    Locked locked(lock_);
    auto held = FindOwned(handle);
    if (!held.ok()) return held.status();
    capability = (*held)->capability;
    frozen = (*held)->frozen;  // then nobody can write, and only the grants end
  }
  UniqueFd memory;
  if (!frozen) {
    if (absl::Status copied = CopyToRenewed(handle, memory); !copied.ok()) return copied;
  }
  if (auto done = Ask(CommitRegion{capability, 0, 0}); !done.ok()) return done.status();
  Locked locked(lock_);
  auto held = FindOwned(handle);
  if (!held.ok()) return held.status();
  if (!frozen) {
    if (absl::Status mapped = MapOver((*held)->mapping, memory, /*writable=*/true); !mapped.ok()) {
      return mapped;
    }
  }
  (*held)->contested.clear();
  ForgetLendsOf(capability);
  return MappingOf(handle, **held);
}

absl::Status Process::RegionCheck(RegionHandle handle) {
  PARLEY_ENTER();
  Locked locked(lock_);
  HeldRegion* held = region_handles_.Find(handle);
  if (held == nullptr) return Refuse(Error::kBadHandle);
  if (!IsLive(*held)) return Refuse(Error::kLeaseEnded);
  return IsContested(*held) ? Refuse(Error::kContested) : absl::OkStatus();
}

void Process::RegionClose(RegionHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Locked locked(lock_);
  HeldRegion* held = region_handles_.Remove(handle);
  if (held == nullptr) return;
  --held->handles;
  EndHeldIfUnused(*held);
}

// R8: the owner's end ends the region, once its leases have ended. What was redeemed stays mapped
// for the next redeem, until its right ends.
void Process::EndHeldIfUnused(HeldRegion& held) {
  if (held.handles > 0 || held.leases > 0) return;
  if (held.owner) {
    ForgetLendsOf(held.capability);
    TellBroker(Packet::Of(0, CloseRegion{held.capability}));
  } else if (IsLive(held)) {
    return;
  }
  absl::erase_if(redeemed_, [&](const auto& known) { return known.second == &held; });
  held_regions_.erase(held_regions_.find(&held));
}

void Process::ForgetLendsOf(CapabilityId capability) {
  absl::erase_if(lends_, [&](const auto& lend) { return lend.first.second == capability; });
}

// The broker has cleared the word already.
void Process::OnGrantEnded(CapabilityId capability) {
  ForgetLendsOf(capability);
  std::vector<HeldRegion*> ended;
  for (const auto& held : held_regions_) {
    if (held->capability == capability) ended.push_back(held.get());
  }
  for (HeldRegion* held : ended) EndHeldIfUnused(*held);
}

// Frozen by its owner: the new memory takes the old one's place.
void Process::OnReplaced(const Packet& packet) {
  const auto replaced = packet.As<Replaced>();
  if (!replaced || packet.fds.empty()) return;
  for (const auto& held : held_regions_) {
    if (held->capability != replaced->capability) continue;
    held->frozen = true;
    held->rights = Rights::kRead;
    // Where that fails the old memory stays, which nobody else sees any more.
    MapOver(held->mapping, packet.fds[0], /*writable=*/false).IgnoreError();
  }
}

}  // namespace parley::host
