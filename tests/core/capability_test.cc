// The table of capabilities: named cases, and random operations beside a plain list.
#include "kernel-sim/core/capability.h"

#include <doctest/doctest.h>

#include "kernel-sim/core/errors.h"
#include "tests/core/capability_rig.h"
#include "tests/core/death.h"

namespace parley {

class CapabilityTableTestAccess {
 public:
  static Capability& At(CapabilityTable& table, CapabilityId id) { return *table.by_id_.at(id); }
  static void ForgetHolder(CapabilityTable& table, ProcessId holder, CapabilityId id) {
    table.by_holder_.at(holder).erase(id);
  }
  static void KeepToken(CapabilityTable& table, const Token& token, CapabilityId id) {
    table.by_token_[token] = table.by_id_.at(id).get();
  }
};

namespace {

constexpr ProcessId kOwner{1}, kFirst{2}, kSecond{3};
constexpr ObjectRef kRegion{ObjectKind::kRegion, 1};
constexpr ObjectRef kChannel{ObjectKind::kChannel, 1};
constexpr Rights kAll = Rights::kRead | Rights::kWrite | Rights::kGrant;

Extent Range(uint64_t offset, uint64_t length, Rights rights = kAll) {
  return {.rights = rights, .offset = offset, .length = length, .badge = 0, .ceiling = 255};
}
Extent Way(uint64_t badge, int ceiling) {
  return {.rights = Rights::kConnect | Rights::kGrant,
          .offset = 0,
          .length = 0,
          .badge = badge,
          .ceiling = ceiling};
}

TEST_CASE("core: capabilities behave as a plain list under a million random operations") {
  tests::DriveAtRandom<tests::CapabilityRig>();
}

TEST_CASE("core: capabilities behave as a plain list in every sequence of four operations") {
  tests::DriveThroughAll<tests::CapabilityRig>(4);
}

TEST_CASE("core: a token means nothing to any other process") {
  CapabilityTable table;
  const CapabilityId root = table.CreateRoot(kRegion, kOwner, Range(0, 4096)).id;
  REQUIRE(table.Grant(root, kOwner, kFirst, Range(0, 4096), {1, 1}).ok());
  CHECK(table.FindByToken({1, 1}, kFirst).ok());
  CHECK(ErrorOf(table.FindByToken({1, 1}, kSecond).status()) == Error::kNotPermitted);
  CHECK(ErrorOf(table.FindByToken({1, 1}, kOwner).status()) == Error::kNotPermitted);
  const absl::Status wrong = table.FindByToken({1, 2}, kFirst).status();
  CHECK(wrong == table.FindByToken({1, 1}, kSecond).status());  // existing ones are not told apart
}

TEST_CASE("core: revoking kills the capability and all that was granted from it, at once") {
  CapabilityTable table;
  const CapabilityId root = table.CreateRoot(kRegion, kOwner, Range(0, 8192)).id;
  const CapabilityId first = (*table.Grant(root, kOwner, kFirst, Range(0, 8192), {1, 1}))->id;
  const CapabilityId second = (*table.Grant(first, kFirst, kSecond, Range(0, 4096), {2, 2}))->id;
  CHECK(ErrorOf(table.FindRevocable({1, 1}, kSecond).status()) == Error::kNotPermitted);
  CHECK(table.FindRevocable({1, 1}, kOwner).ok());
  CHECK(table.FindRevocable({1, 1}, kFirst).ok());
  CHECK(table.Kill(first) == std::vector<CapabilityId>{first, second});
  CHECK_FALSE(table.IsLive(second));
  CHECK(table.IsLive(root));
  CHECK(ErrorOf(table.FindByToken({2, 2}, kSecond).status()) == Error::kNotPermitted);
  CHECK(ErrorOf(table.CheckGrant(second, kSecond, Range(0, 1))) == Error::kLeaseEnded);
  CHECK(table.Kill(first).empty());
}

TEST_CASE("core: a range that wraps around the end of addresses is refused") {
  CapabilityTable table;
  constexpr uint64_t kMost = ~uint64_t{0};
  const CapabilityId root = table.CreateRoot(kRegion, kOwner, Range(0, kMost)).id;
  CHECK(table.CheckGrant(root, kOwner, Range(0, kMost)).ok());
  CHECK(table.CheckGrant(root, kOwner, Range(kMost - 1, 1)).ok());
  CHECK(ErrorOf(table.CheckGrant(root, kOwner, Range(kMost, 1))) == Error::kInvalidArgument);
  CHECK(ErrorOf(table.CheckGrant(root, kOwner, Range(1, kMost))) == Error::kInvalidArgument);
  CHECK(ErrorOf(table.CheckGrant(root, kOwner, Range(5, 0))) == Error::kInvalidArgument);
}

TEST_CASE("core: a grant cannot exceed the rights, the range or the ceiling it is made from") {
  CapabilityTable table;
  const auto refused = [](const absl::Status& s) { return ErrorOf(s) == Error::kNotPermitted; };
  const Rights read = Rights::kRead | Rights::kGrant;
  const CapabilityId region = table.CreateRoot(kRegion, kOwner, Range(4096, 4096, read)).id;
  CHECK(table.CheckGrant(region, kOwner, Range(4096, 4096, Rights::kRead)).ok());
  CHECK(refused(table.CheckGrant(region, kOwner, Range(4096, 4096, Rights::kWrite))));
  CHECK(refused(table.CheckGrant(region, kOwner, Range(4095, 4096, read))));
  CHECK(refused(table.CheckGrant(region, kOwner, Range(4096, 4097, read))));
  CHECK(refused(table.CheckGrant(region, kFirst, Range(4096, 4096, read))));
  const CapabilityId channel = table.CreateRoot(kChannel, kOwner, Way(0, 100)).id;
  CHECK(table.CheckGrant(channel, kOwner, Way(0, 100)).ok());
  CHECK(refused(table.CheckGrant(channel, kOwner, Way(0, 101))));
}

TEST_CASE("core: a badge is fixed by the server's own grant and cannot be changed further down") {
  CapabilityTable table;
  const CapabilityId root = table.CreateRoot(kChannel, kOwner, Way(0, 255)).id;
  const auto first = table.Grant(root, kOwner, kFirst, Way(7, 255), {1, 1});
  REQUIRE(first.ok());
  CHECK((*first)->extent.badge == 7);
  const auto second = table.Grant((*first)->id, kFirst, kSecond, Way(8, 255), {2, 2});
  REQUIRE(second.ok());
  CHECK((*second)->extent.badge == 7);
}

TEST_CASE("core: the death of a holder drops what it held and granted, not what it was made from") {
  CapabilityTable table;
  const CapabilityId root = table.CreateRoot(kRegion, kOwner, Range(0, 4096)).id;
  const CapabilityId first = (*table.Grant(root, kOwner, kFirst, Range(0, 4096), {1, 1}))->id;
  const CapabilityId second = (*table.Grant(first, kFirst, kSecond, Range(0, 4096), {2, 2}))->id;
  const CapabilityId other = (*table.Grant(root, kOwner, kSecond, Range(0, 4096), {3, 3}))->id;
  CHECK(table.KillHolder(kFirst) == std::vector<CapabilityId>{first, second});
  CHECK(table.IsLive(root));
  CHECK(table.IsLive(other));
}

TEST_CASE(
    "core: a process grants at most so many capabilities, and no holder is filled by another") {
  CapabilityTable table;
  const CapabilityId root = table.CreateRoot(kRegion, kOwner, Range(0, 4096)).id;
  CapabilityId last = CapabilityId::kNone;
  for (uint64_t i = 1; i <= CapabilityTable::kMaxGrantsPerProcess; ++i) {
    const auto granted = table.Grant(root, kOwner, kFirst, Range(0, 4096), {1, i});
    if (!granted.ok()) FAIL("the grant numbered ", i, " was refused");
    last = (*granted)->id;
  }
  const size_t live = table.live_count();
  const absl::Status past = table.Grant(root, kOwner, kSecond, Range(0, 4096), {2, 1}).status();
  CHECK(ErrorOf(past) == Error::kQuotaExhausted);
  CHECK(table.live_count() == live);
  CHECK(table.Grant(last, kFirst, kFirst, Range(0, 4096), {2, 2}).ok());
  table.Kill(last);
  CHECK(table.Grant(root, kOwner, kSecond, Range(0, 4096), {2, 3}).ok());
}

TEST_CASE("core: the checker of capabilities sees each broken invariant") {
  CapabilityTable table;
  const CapabilityId root = table.CreateRoot(kRegion, kOwner, Range(0, 4096)).id;
  const CapabilityId first = (*table.Grant(root, kOwner, kFirst, Range(0, 4096), {1, 1}))->id;
  using Access = CapabilityTableTestAccess;
  const auto breaks = [&](auto harm) {
    return tests::BreaksAnInvariant([&] {
      harm();
      table.CheckInvariants();
    });
  };
  CHECK_FALSE(breaks([] {}));
  CHECK(breaks([&] { Access::At(table, first).extent.length = 4097; }));
  CHECK(breaks([&] { Access::At(table, root).children.clear(); }));
  CHECK(breaks([&] { Access::At(table, root).children.push_back(nullptr); }));
  CHECK(breaks([&] { Access::ForgetHolder(table, kFirst, first); }));
  CHECK(breaks([&] { Access::KeepToken(table, {9, 9}, first); }));
  CHECK(breaks([&] { Access::At(table, first).object.id = 2; }));
  CHECK(breaks([&] { Access::At(table, first).place = 1; }));
  CHECK(breaks([&] { Access::At(table, first).granter = kFirst; }));
  CHECK(tests::BreaksAnInvariant([&] { table.CreateRoot(kRegion, kOwner, Range(0, 1)); }));
  CHECK(tests::BreaksAnInvariant([&] {
    (void)table.Grant(root, kOwner, kFirst, Range(0, 1), {1, 1});
  }));
}

}  // namespace
}  // namespace parley
