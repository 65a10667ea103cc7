// The operations of the rig, on the table and on the list.
#include "tests/core/capability_rig.h"

#include <algorithm>

namespace tests {

using parley::Capability;
using parley::CapabilityId;
using parley::Error;
using parley::ErrorOf;
using parley::Extent;
using parley::ObjectKind;
using parley::ObjectRef;
using parley::ProcessId;
using parley::Rights;
using parley::Token;

void CapabilityRig::Step(Choices& choices) {
  const uint32_t what = choices.Below(size_ == Size::kSmall ? 4 : 8);
  if (known_.empty() || what == 0) {
    CreateRoot(choices);
  } else if (what == 1) {
    Kill(choices);
  } else if (what == 2) {
    LookUp(choices);
  } else {
    Grant(choices);
  }
  constexpr size_t kRemembered = 24;
  if (known_.size() > kRemembered) {
    std::erase_if(known_, [](const Known& known) { return !known.live; });
    if (known_.size() > kRemembered) Kill(choices);
  }
  Compare();
}

ProcessId CapabilityRig::DrawProcess(Choices& choices) const {
  return ProcessId{1 + choices.Below(size_ == Size::kSmall ? 2 : 4)};
}

// Small: two rights over one range. Large: ranges that end anywhere, past the end of numbers too.
Extent CapabilityRig::DrawExtent(Choices& choices) const {
  const Rights most = Rights::kRead | Rights::kWrite | Rights::kGrant | Rights::kConnect;
  if (size_ == Size::kSmall) {
    return {.rights = choices.Below(2) == 0 ? most : Rights::kRead, .offset = 0, .length = 4096};
  }
  constexpr uint64_t kPoints[] = {
      0, 1, 4096, 8192, uint64_t{1} << 63, ~uint64_t{0} - 4095, ~uint64_t{0}};
  Extent extent;
  extent.rights = choices.Below(2) == 0 ? most : static_cast<Rights>(choices.Below(16));
  extent.offset = choices.Below(2) == 0 ? 0 : kPoints[choices.Below(7)];
  extent.length = choices.Below(2) == 0 ? 4096 : kPoints[choices.Below(7)];
  extent.badge = choices.Below(3);
  extent.ceiling = choices.Below(2) == 0 ? 255 : 1 + static_cast<int>(choices.Below(255));
  return extent;
}

const CapabilityRig::Known* CapabilityRig::Find(CapabilityId id) const {
  for (const Known& known : known_) {
    if (known.id == id && known.live) return &known;
  }
  return nullptr;
}

bool CapabilityRig::IsUnder(const Known& known, CapabilityId top) const {
  for (const Known* at = &known; at != nullptr; at = Find(at->parent)) {
    if (at->id == top) return true;
  }
  return false;
}

void CapabilityRig::CreateRoot(Choices& choices) {
  const ObjectRef object{static_cast<ObjectKind>(choices.Below(size_ == Size::kSmall ? 1 : 3)),
                         choices.Below(2)};
  const ProcessId owner = DrawProcess(choices);
  const Capability* present = table_.FindRoot(object);
  const auto same = std::find_if(known_.begin(), known_.end(), [&](const Known& known) {
    return known.live && known.object == object && known.parent == CapabilityId::kNone;
  });
  REQUIRE((present == nullptr) == (same == known_.end()));
  if (present != nullptr) {
    REQUIRE(present->id == same->id);
    return;
  }
  const Extent extent{.rights = Rights::kRead | Rights::kWrite | Rights::kGrant | Rights::kConnect,
                      .offset = 0,
                      .length = choices.Below(2) == 0 ? 8192 : ~uint64_t{0}};
  const Capability& root = table_.CreateRoot(object, owner, extent);
  known_.push_back({root.id, CapabilityId::kNone, object, owner, extent, {}});
}

Error CapabilityRig::Expect(const Known& from, ProcessId granter, const Extent& extent) const {
  using Wide = unsigned __int128;
  const auto end = [](const Extent& range) { return Wide{range.offset} + range.length; };
  if (!from.live) return Error::kLeaseEnded;
  if (from.holder != granter || !Includes(from.extent.rights, Rights::kGrant)) {
    return Error::kNotPermitted;
  }
  const bool region = from.object.kind == ObjectKind::kRegion;
  if (region && (extent.length == 0 || end(extent) > ~uint64_t{0})) {
    return Error::kInvalidArgument;
  }
  bool within = Includes(from.extent.rights, extent.rights);
  if (region) {
    within = within && extent.offset >= from.extent.offset && end(extent) <= end(from.extent);
  } else {
    within = within && extent.ceiling <= from.extent.ceiling;
  }
  return within ? Error::kNone : Error::kNotPermitted;
}

void CapabilityRig::Grant(Choices& choices) {
  const Known from = choices.OneOf(known_);
  const ProcessId granter =
      size_ == Size::kSmall || choices.Below(4) > 0 ? from.holder : DrawProcess(choices);
  const ProcessId holder = DrawProcess(choices);
  const Extent extent = DrawExtent(choices);
  const Token token{1, ++tokens_};
  const auto granted = table_.Grant(from.id, granter, holder, extent, token);
  REQUIRE(ErrorOf(granted.status()) == Expect(from, granter, extent));
  if (!granted.ok()) return;
  Known made{(*granted)->id, from.id, from.object, holder, extent, token};
  if (from.parent != CapabilityId::kNone) made.extent.badge = from.extent.badge;
  known_.push_back(made);
}

void CapabilityRig::LookUp(Choices& choices) {
  const Known& known = choices.OneOf(known_);
  const ProcessId by = DrawProcess(choices);
  const bool has_token = known.live && known.token != Token{};
  const auto found = table_.FindByToken(known.token, by);
  REQUIRE(found.ok() == (has_token && known.holder == by));
  if (found.ok()) REQUIRE((*found)->id == known.id);
  const Known* parent = Find(known.parent);
  const bool may_revoke =
      has_token && (known.holder == by || (parent != nullptr && parent->holder == by));
  const auto revocable = table_.FindRevocable(known.token, by);
  REQUIRE(revocable.ok() == may_revoke);
  if (!found.ok()) REQUIRE(ErrorOf(found.status()) == Error::kNotPermitted);
}

// `killed` are exactly the live ones under any of those for which doomed(known) holds.
template <typename Doomed>
void CapabilityRig::KillAll(const std::vector<CapabilityId>& killed, Doomed doomed) {
  std::vector<CapabilityId> expected;
  for (const Known& known : known_) {
    if (!known.live) continue;
    const bool dies = std::any_of(known_.begin(), known_.end(), [&](const Known& top) {
      return top.live && doomed(top) && IsUnder(known, top.id);
    });
    if (dies) expected.push_back(known.id);
  }
  std::vector<CapabilityId> sorted = killed;
  std::sort(sorted.begin(), sorted.end());
  std::sort(expected.begin(), expected.end());
  REQUIRE(sorted == expected);
  for (Known& known : known_) {
    if (std::binary_search(expected.begin(), expected.end(), known.id)) known.live = false;
  }
}

void CapabilityRig::Kill(Choices& choices) {
  const Known chosen = choices.OneOf(known_);
  const uint32_t how = choices.Below(size_ == Size::kSmall ? 4 : 16);
  if (how == 1) {
    KillAll(table_.KillHolder(chosen.holder),
            [&](const Known& known) { return known.holder == chosen.holder; });
  } else if (how == 2) {
    KillAll(table_.KillGrantsTo(chosen.holder), [&](const Known& known) {
      return known.holder == chosen.holder && known.parent != CapabilityId::kNone;
    });
  } else if (how == 3) {
    KillAll(table_.KillObject(chosen.object),
            [&](const Known& known) { return known.object == chosen.object; });
  } else {
    const std::vector<CapabilityId> killed = table_.Kill(chosen.id);
    if (!killed.empty()) REQUIRE(killed[0] == chosen.id);
    KillAll(killed, [&](const Known& known) { return known.id == chosen.id; });
  }
}

void CapabilityRig::Compare() const {
  table_.CheckInvariants();
  size_t live = 0;
  for (const Known& known : known_) {
    const Capability* capability = table_.Find(known.id);
    REQUIRE((capability != nullptr) == known.live);
    REQUIRE(table_.IsLive(known.id) == known.live);
    if (!known.live) continue;
    ++live;
    REQUIRE(capability->holder == known.holder);
    REQUIRE(capability->object == known.object);
    REQUIRE(capability->extent.badge == known.extent.badge);
    REQUIRE(capability->extent.offset == known.extent.offset);
    REQUIRE(capability->extent.length == known.extent.length);
  }
  REQUIRE(table_.live_count() == live);
}

}  // namespace tests
