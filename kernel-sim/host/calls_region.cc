// Kernel calls: regions. The broker makes their memory and keeps who may have it; a process maps it
// once, and one load of a word that only the broker writes tells whether its right stands (R6).
#include "absl/strings/str_cat.h"
#include "kernel-sim/host/answer_in_use.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/slot.h"

namespace parley::host {
namespace {

constexpr Rights kReadWrite = Rights::kRead | Rights::kWrite;

// Puts other memory, of the same size, in the place of what is mapped. What is read only is frozen,
// so a private mapping shows the same; a shared one of sealed memory Linux before 6.7 refuses to
// who may write into the file.
absl::Status MapOver(const SharedMapping& mapping, const UniqueFd& memory, bool writable) {
  void* mapped =
      mmap(mapping.address(), mapping.bytes(), writable ? PROT_READ | PROT_WRITE : PROT_READ,
           (writable ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED, memory.get(), 0);
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
absl::StatusOr<HeldRegion*> Process::Hold(Packet& packet, bool owner) {
  const auto made = packet.As<RegionMade>();
  if (!made || packet.fds.empty()) {
    return MakeError(Error::kQuotaExhausted, "no descriptor is left");
  }
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
  if (owner) record->memory = std::move(packet.fds[0]);
  return held_regions_.insert(std::move(record)).first->get();
}

absl::StatusOr<Mapping> Process::RegionCreate(uint64_t bytes, const RegionOptions& options) {
  PARLEY_ENTER();
  auto call = Zeroed<MakeRegion>();
  call.bytes = bytes;
  call.others_may_write = options.others_may_write ? 1 : 0;
  auto answer = Ask(call);
  const AnswerInUse in_use(answers_in_use_, answer);
  if (!answer.ok()) return answer.status();
  Locked locked(lock_);
  auto held = Hold(*answer, /*owner=*/true);
  if (!held.ok()) {
    if (const auto made = answer->As<RegionMade>()) {
      TellBroker(Packet::Of(0, CloseRegion{made->capability}));
    }
    return held.status();
  }
  (*held)->handles = 1;
  Tracer::Region(RegionEvent::kCreated, (*held)->id);
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
      if (asked) {         // it ended meanwhile, perhaps before it was held here
        EndedRegions own;  // none: it is not
        if (known != redeemed_.end()) EndHeldIfUnused(*known->second, own);
        return Refuse(Error::kLeaseEnded);
      }
      ++redeeming_;
    }
    auto answer = Ask(Redeem{token});
    const AnswerInUse in_use(answers_in_use_, answer);
    Locked locked(lock_);
    auto held = answer.ok() ? Hold(*answer, /*owner=*/false) : answer.status();
    if (held.ok()) {
      redeemed_[token] = *held;
      Tracer::Region(RegionEvent::kRedeemed, (*held)->id);
    }
    // One that was frozen after the broker's answer, and before it was held here.
    for (const Packet& replaced : early_replaced_) Replace(replaced);
    if (--redeeming_ == 0) early_replaced_.clear();
    if (!held.ok()) return held.status();
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
    return contested.server->dead || HasLetGo(slot.answer.load(), contested.sequence);
  });
  return !held.contested.empty();
}

// -- Frozen, reclaimed: one thread at a time, without the lock while it copies and asks. No thread
// of the owner may write meanwhile: what comes after the copy would be lost.

// The lock is held. Until EndChange the region stays, though it be closed.
absl::StatusOr<HeldRegion*> Process::BeginChange(RegionHandle handle) {
  auto held = FindOwned(handle);
  if (!held.ok()) return held;
  if ((*held)->changing) {
    return MakeError(Error::kContested, "another thread freezes or reclaims the region");
  }
  (*held)->changing = true;
  return held;
}

void Process::EndChange(HeldRegion& held, EndedRegions& ended) {
  held.changing = false;
  EndHeldIfUnused(held, ended);
}

// New memory for the region, with its contents; nothing of it stays mapped.
absl::Status Process::CopyToRenewed(HeldRegion& held) {
  auto renewed = Ask(RenewRegion{held.capability});
  const AnswerInUse in_use(answers_in_use_, renewed);
  if (!renewed.ok()) return renewed.status();
  if (renewed->fds.empty()) return Refuse(Error::kQuotaExhausted);
  auto copy = MapShared(renewed->fds[0], held.mapping.bytes(), /*writable=*/true);
  if (!copy.ok()) return copy.status();
  std::memcpy(copy->address(), held.mapping.address(), copy->bytes());
  Locked locked(lock_);
  held.renewed = std::move(renewed->fds[0]);
  return absl::OkStatus();
}

absl::Status Process::RegionFreeze(RegionHandle handle) {
  PARLEY_ENTER();
  HeldRegion* held = nullptr;
  {
    Locked locked(lock_);
    auto owned = BeginChange(handle);
    if (!owned.ok()) return owned.status();
    held = *owned;
    const bool writing = held->out_leases > 0 || IsContested(*held);
    if (held->frozen || writing) {
      held->changing = false;
      if (held->frozen) return absl::OkStatus();
      return MakeError(Error::kContested, "a server may still be writing into the region");
    }
  }
  absl::Status frozen = Freeze(*held);
  EndedRegions ended;
  {
    Locked locked(lock_);
    EndChange(*held, ended);
  }
  EndAtBroker(ended);
  return frozen;
}

absl::Status Process::Freeze(HeldRegion& held) {
  if (absl::Status copied = CopyToRenewed(held); !copied.ok()) return copied;
  if (auto done = Ask(CommitRegion{held.capability, 1, 0}); !done.ok()) return done.status();
  Locked locked(lock_);
  held.memory = std::move(held.renewed);
  held.renewed.Reset();
  held.frozen = true;
  held.rights = Rights::kRead;
  Tracer::Region(RegionEvent::kFrozen, held.id);
  return MapOver(held.mapping, held.memory, /*writable=*/false);
}

absl::StatusOr<Mapping> Process::RegionReclaim(RegionHandle handle) {
  PARLEY_ENTER();
  HeldRegion* held = nullptr;
  {
    Locked locked(lock_);
    auto owned = BeginChange(handle);
    if (!owned.ok()) return owned.status();
    held = *owned;
  }
  const absl::Status reclaimed = Reclaim(*held);
  Mapping mapping;
  EndedRegions ended;
  {
    Locked locked(lock_);
    mapping = MappingOf(handle, *held);
    EndChange(*held, ended);
  }
  EndAtBroker(ended);
  if (!reclaimed.ok()) return reclaimed;
  return mapping;
}

// A frozen one keeps its memory: nobody can write into it, and only the grants end.
absl::Status Process::Reclaim(HeldRegion& held) {
  if (!held.frozen) {
    if (absl::Status copied = CopyToRenewed(held); !copied.ok()) return copied;
  }
  if (auto done = Ask(CommitRegion{held.capability, 0, 0}); !done.ok()) return done.status();
  Locked locked(lock_);
  ++held.reclaims;
  Tracer::Region(RegionEvent::kReclaimed, held.id);
  held.out_leases = 0;
  held.contested.clear();
  ForgetLendsOf(held.capability);
  if (held.frozen) return absl::OkStatus();
  held.memory = std::move(held.renewed);
  held.renewed.Reset();
  return MapOver(held.mapping, held.memory, /*writable=*/true);
}

// -- Held no more

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
  EndedRegions ended;
  {
    Locked locked(lock_);
    HeldRegion* held = region_handles_.Remove(handle);
    if (held == nullptr) return;
    --held->handles;
    EndHeldIfUnused(*held, ended);
  }
  EndAtBroker(ended);
}

// Waits for the broker: then the grants are dead in every process, whoever looks.
void Process::EndAtBroker(const EndedRegions& ended) {
  for (CapabilityId capability : ended)
    Ask(CloseRegion{capability}).IgnoreError();  // or it is gone
}

// R8: the owner's end ends the region, once its leases have ended. What was redeemed stays mapped
// for the next redeem, until its right ends.
void Process::EndHeldIfUnused(HeldRegion& held, EndedRegions& ended) {
  if (held.handles > 0 || held.leases > 0 || held.changing) return;
  if (held.owner) {
    ForgetLendsOf(held.capability);
    ended.push_back(held.capability);
  } else if (IsLive(held)) {
    return;
  }
  absl::erase_if(redeemed_, [&](const auto& known) { return known.second == &held; });
  held_regions_.erase(held_regions_.find(&held));
}

void Process::ForgetLendsOf(CapabilityId capability) {
  for (const auto& [number, connection] : connections_) connection->lends.erase(capability);
}

// The broker has cleared the word already.
void Process::OnGrantEnded(CapabilityId capability) {
  ForgetLendsOf(capability);
  std::vector<HeldRegion*> ended;
  for (const auto& held : held_regions_) {
    if (held->capability == capability) ended.push_back(held.get());
  }
  for (const HeldRegion* held : ended) Tracer::Region(RegionEvent::kRevoked, held->id);
  EndedRegions own;  // none: an owner's right does not end
  for (HeldRegion* held : ended) EndHeldIfUnused(*held, own);
}

// Frozen by its owner: the new memory takes the old one's place.
void Process::OnReplaced(Packet packet) {
  Replace(packet);
  if (redeeming_ > 0) early_replaced_.push_back(std::move(packet));
}

void Process::Replace(const Packet& packet) {
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
