// The broker: regions, grants, lends, freezing and reclaiming, with real memory.
#include <fcntl.h>
#include <sys/stat.h>

#include "kernel-sim/host/broker.h"
#include "tests/host/broker_rig.h"

namespace parley::host::tests {
namespace {

constexpr Rights kReadWrite = Rights::kRead | Rights::kWrite;
constexpr uint64_t kSize = 3 * kPageBytes;

struct Shared {
  RegionMade made;
  UniqueFd fd;
};

struct Regions : BrokerRig {
  Actor owner = Start("owner", {.uid = 1}), holder = Start("holder", {.uid = 2});

  Shared Make(uint64_t bytes = kSize, bool others_may_write = true) {
    const auto made = Expect<RegionMade>(owner.peer, MakeRegion{bytes, others_may_write, 0});
    return {made, std::move(last.fds.at(0))};
  }
  Token Grant(const Shared& region, Rights rights, uint64_t offset = 0, uint64_t length = kSize) {
    return Expect<TokenMade>(owner.peer, GrantRegion{region.made.capability, holder.process, rights,
                                                     offset, length})
        .token;
  }
  Shared Redeemed(const Actor& by, const Token& token) {
    const auto made = Expect<RegionMade>(by.peer, Redeem{token});
    return {made, std::move(last.fds.at(0))};
  }
  bool Stands(const Actor& actor, const Shared& region) {
    return Word(actor, region.made.grant_word) == region.made.grant_value;
  }
  // A connection of the owner to the holder, by which it lends.
  uint32_t ConnectToHolder() {
    const ChannelId channel = Expect<MadeChannel>(holder.peer, MakeChannel{}).channel;
    return ConnectTo(holder, channel, owner).connection;
  }
};

bool Writable(const UniqueFd& memory, uint64_t bytes = kSize) {
  return MapShared(memory, bytes, /*writable=*/true).ok();
}

TEST_CASE("broker: a region is whole pages, charged to its owner's quota (R1)") {
  BrokerRig rig;
  const Actor small = rig.Start("small", {.quota = 12288});
  const auto made = rig.Expect<RegionMade>(small.peer, MakeRegion{5000, 1, 0});
  CHECK(made.memory_bytes == 8192);
  CHECK(rig.Refusal(small.peer, MakeRegion{8192, 1, 0}) == Error::kQuotaExhausted);
  CHECK(rig.TextOf(rig.last) ==
        "regions of 8192 bytes are held, 8192 more would pass the quota of 12288");
  CHECK(rig.Refusal(small.peer, MakeRegion{0, 1, 0}) == Error::kInvalidArgument);
  CHECK(rig.Refusal(small.peer, MakeRegion{kMaxRegionBytes + 1, 1, 0}) == Error::kInvalidArgument);
  rig.Expect<Done>(small.peer, CloseRegion{made.capability});
  CHECK(rig.Word(small, made.grant_word) == 0);
  CHECK(rig.Silent(small.peer));
  rig.Expect<RegionMade>(small.peer, MakeRegion{12288, 1, 0});
}

TEST_CASE("broker: grants narrow; what is redeemed is mapped with its rights only (R2, R4)") {
  Regions rig;
  const Shared region = rig.Make();
  const auto mapped = MapShared(region.fd, kSize, true).value();
  const auto grant = [&](const Actor& by, Rights rights, uint64_t offset, uint64_t length) {
    return rig.Refusal(
        by.peer, GrantRegion{region.made.capability, rig.holder.process, rights, offset, length});
  };
  CHECK(grant(rig.holder, Rights::kRead, 0, kSize) == Error::kNotPermitted);
  CHECK(grant(rig.owner, Rights::kRead, 100, kPageBytes) == Error::kInvalidArgument);
  CHECK(grant(rig.owner, Rights::kRead, kPageBytes, kSize) == Error::kInvalidArgument);
  CHECK(grant(rig.owner, Rights::kRead, ~kPageBytes + 1, kPageBytes) == Error::kInvalidArgument);
  CHECK(grant(rig.owner, Rights::kWrite, 0, kSize) == Error::kInvalidArgument);
  CHECK(grant(rig.owner, Rights::kRead | Rights::kConnect, 0, kSize) == Error::kInvalidArgument);

  const Token token = rig.Grant(region, Rights::kRead | Rights::kGrant, kPageBytes, kPageBytes);
  CHECK(rig.Refusal(rig.owner.peer, Redeem{token}) == Error::kNotPermitted);
  const Shared held = rig.Redeemed(rig.holder, token);
  CHECK(held.made.offset == kPageBytes);
  CHECK(held.made.length == kPageBytes);
  CHECK(held.made.rights == Rights::kRead);
  CHECK_FALSE(Writable(held.fd));
  CHECK(pwrite(held.fd.get(), "x", 1, 0) < 0);
  mapped.address()[kPageBytes] = std::byte{42};
  CHECK(MapShared(held.fd, kSize, false).value().address()[kPageBytes] == std::byte{42});
  CHECK(rig.Refusal(rig.holder.peer, GrantRegion{held.made.capability, rig.holder.process,
                                                 kReadWrite, kPageBytes, kPageBytes}) ==
        Error::kNotPermitted);
  CHECK(rig.Refusal(rig.holder.peer, GrantRegion{held.made.capability, rig.holder.process,
                                                 Rights::kRead, 0, kSize}) ==
        Error::kInvalidArgument);
  CHECK(Writable(rig.Redeemed(rig.holder, rig.Grant(region, kReadWrite)).fd));
}

TEST_CASE("broker: where others may not write, Linux does not let them (R4)") {
  Regions rig;
  const Shared region = rig.Make(kSize, false);
  const auto mapped = MapShared(region.fd, kSize, true).value();
  CHECK(rig.Refusal(rig.owner.peer, GrantRegion{region.made.capability, rig.holder.process,
                                                kReadWrite, 0, kSize}) == Error::kNotPermitted);
  CHECK(rig.TextOf(rig.last) == "nobody else may write into this region");
  CHECK(rig.Refusal(rig.owner.peer, Lend{region.made.capability, rig.ConnectToHolder(),
                                         kReadWrite}) == Error::kNotPermitted);
  const Shared held = rig.Redeemed(rig.holder, rig.Grant(region, Rights::kRead));
  CHECK((fcntl(held.fd.get(), F_GET_SEALS) & F_SEAL_FUTURE_WRITE) != 0);
  struct stat status = {};
  CHECK(fstat(held.fd.get(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);  // no other user opens it again for writing
  CHECK_FALSE(Writable(held.fd));
  CHECK_FALSE(Writable(region.fd));  // nor its owner again; what it has mapped stays
  mapped.address()[0] = std::byte{1};
  CHECK(MapShared(held.fd, kSize, false).value().address()[0] == std::byte{1});
}

TEST_CASE("broker: revoking zeroes the words of all that was granted, and tells them (R7)") {
  Regions rig;
  const Shared region = rig.Make();
  const Token token = rig.Grant(region, Rights::kRead | Rights::kGrant);
  const Shared once = rig.Redeemed(rig.holder, token), twice = rig.Redeemed(rig.holder, token);
  CHECK(once.made.grant_word != twice.made.grant_word);
  const Token child =
      rig.Expect<TokenMade>(rig.holder.peer, Delegate{token, rig.owner.process, Rights::kRead})
          .token;
  const Shared returned = rig.Redeemed(rig.owner, child);
  CHECK(rig.Stands(rig.holder, once));
  CHECK(rig.Stands(rig.owner, returned));
  rig.Expect<Done>(rig.owner.peer, Revoke{token});
  CHECK_FALSE(rig.Stands(rig.holder, once));
  CHECK_FALSE(rig.Stands(rig.holder, twice));
  CHECK_FALSE(rig.Stands(rig.owner, returned));
  CHECK(rig.Stands(rig.owner, region));
  CHECK(rig.Notice<GrantEnded>(rig.holder.peer).first.capability == once.made.capability);
  CHECK(rig.Notice<GrantEnded>(rig.owner.peer).first.capability == returned.made.capability);
  CHECK(rig.Silent(rig.holder.peer));
  CHECK(rig.Refusal(rig.holder.peer, Redeem{token}) == Error::kNotPermitted);
  CHECK(rig.Refusal(rig.holder.peer, GrantRegion{once.made.capability, rig.holder.process,
                                                 Rights::kRead, 0, kSize}) == Error::kLeaseEnded);
  // The word is used again, its value never.
  const Shared next = rig.Redeemed(rig.holder, rig.Grant(region, Rights::kRead));
  CHECK(next.made.grant_value > twice.made.grant_value);
  rig.Expect<Done>(rig.holder.peer, CloseRegion{next.made.capability});
  CHECK(rig.Silent(rig.holder.peer));
}

TEST_CASE("broker: a server is lent what its client may show, and told when that ends (R5)") {
  Regions rig;
  const Shared region = rig.Make();
  const uint32_t connection = rig.ConnectToHolder();
  const CapabilityId capability = region.made.capability;
  CHECK(rig.Refusal(rig.holder.peer, Lend{capability, connection, Rights::kRead}) ==
        Error::kNotPermitted);
  CHECK(rig.Refusal(rig.owner.peer, Lend{capability, 99, Rights::kRead}) == Error::kBadHandle);
  CHECK(rig.Refusal(rig.owner.peer, Lend{capability, connection, Rights::kGrant}) ==
        Error::kInvalidArgument);
  const uint32_t lend =
      rig.Expect<LendMade>(rig.owner.peer, Lend{capability, connection, Rights::kRead}).lend;
  auto [lent, packet] = rig.Notice<Lent>(rig.holder.peer);
  CHECK(lent.lend == lend);
  CHECK(lent.region == region.made.region);
  CHECK(lent.rights == Rights::kRead);
  CHECK_FALSE(Writable(packet.fds.at(0)));
  rig.Expect<LendMade>(rig.owner.peer, Lend{capability, connection, Rights::kRead});
  CHECK(rig.Silent(rig.holder.peer));
  CHECK(rig.Expect<LendMade>(rig.owner.peer, Lend{capability, connection, kReadWrite}).lend ==
        lend);
  std::tie(lent, packet) = rig.Notice<Lent>(rig.holder.peer);
  CHECK(lent.rights == kReadWrite);
  CHECK(Writable(packet.fds.at(0)));
  rig.Expect<Done>(rig.owner.peer, CloseRegion{capability});
  CHECK(rig.Notice<Unlent>(rig.holder.peer).first.lend == lent.lend);
  CHECK(rig.Refusal(rig.owner.peer, Lend{capability, connection, Rights::kRead}) ==
        Error::kLeaseEnded);
}

TEST_CASE("broker: a lend that two grants stand behind is as wide as those that live") {
  Regions rig;
  const Actor server = rig.Start("server");
  const ChannelId channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const uint32_t connection = rig.ConnectTo(server, channel, rig.holder).connection;
  const Shared region = rig.Make();
  const Token narrow = rig.Grant(region, Rights::kRead), wide = rig.Grant(region, kReadWrite);
  const CapabilityId reads = rig.Redeemed(rig.holder, narrow).made.capability;
  const CapabilityId writes = rig.Redeemed(rig.holder, wide).made.capability;
  CHECK(rig.Refusal(rig.holder.peer, Lend{reads, connection, kReadWrite}) == Error::kNotPermitted);
  rig.Expect<LendMade>(rig.holder.peer, Lend{writes, connection, kReadWrite});
  rig.Expect<LendMade>(rig.holder.peer, Lend{reads, connection, Rights::kRead});
  CHECK(rig.Notice<Lent>(server.peer).first.rights == kReadWrite);
  rig.Expect<Done>(rig.owner.peer, Revoke{wide});
  rig.Notice<Unlent>(server.peer);
  CHECK(rig.Notice<Lent>(server.peer).first.rights == Rights::kRead);
  const Token same = rig.Grant(region, Rights::kRead);
  rig.Expect<LendMade>(rig.holder.peer, Lend{rig.Redeemed(rig.holder, same).made.capability,
                                             connection, Rights::kRead});
  rig.Expect<Done>(rig.owner.peer, Revoke{same});
  CHECK(rig.Silent(server.peer));     // the other stands behind it still
  rig.broker.OnGone(rig.owner.peer);  // R8
  rig.broker.CheckInvariants();
  rig.Notice<Unlent>(server.peer);
  CHECK(rig.Silent(server.peer));
}

TEST_CASE("broker: what is lent over one connection is bounded") {
  Regions rig;
  const uint32_t connection = rig.ConnectToHolder();
  CapabilityId last = CapabilityId::kNone;
  for (size_t i = 0; i < BrokerLimits().lends_per_connection; ++i) {
    last = rig.Make(kPageBytes).made.capability;
    rig.Expect<LendMade>(rig.owner.peer, Lend{last, connection, Rights::kRead});
    rig.outlet.sent[rig.holder.peer].clear();
  }
  const CapabilityId more = rig.Make(kPageBytes).made.capability;
  CHECK(rig.Refusal(rig.owner.peer, Lend{more, connection, Rights::kRead}) ==
        Error::kQuotaExhausted);
  rig.Expect<LendMade>(rig.owner.peer, Lend{last, connection, kReadWrite});  // is lent already
  rig.Expect<Done>(rig.owner.peer, CloseRegion{last});
  rig.Expect<LendMade>(rig.owner.peer, Lend{more, connection, Rights::kRead});
}

TEST_CASE("broker: a frozen region is new memory that nobody can ever write (R4)") {
  Regions rig;
  const Shared region = rig.Make();
  const CapabilityId root = region.made.capability;
  const Token token = rig.Grant(region, kReadWrite);
  const Shared held = rig.Redeemed(rig.holder, token);
  const uint32_t connection = rig.ConnectToHolder();
  rig.Expect<LendMade>(rig.owner.peer, Lend{root, connection, kReadWrite});
  rig.Notice<Lent>(rig.holder.peer);
  CHECK(rig.Refusal(rig.owner.peer, CommitRegion{root, 1, 0}) == Error::kInvalidArgument);
  CHECK(rig.Refusal(rig.holder.peer, RenewRegion{held.made.capability}) == Error::kNotPermitted);
  CHECK(rig.TextOf(rig.last) == "only the region's owner may");
  rig.Expect<RegionMade>(rig.owner.peer, RenewRegion{root});
  const UniqueFd renewed = std::move(rig.last.fds.at(0));
  {
    const auto mapped = MapShared(renewed, kSize, true).value();
    mapped.address()[5] = std::byte{5};
    CHECK(rig.Refusal(rig.owner.peer, CommitRegion{root, 1, 0}) == Error::kContested);
    CHECK(rig.Silent(rig.holder.peer));
  }
  rig.Expect<Done>(rig.owner.peer, CommitRegion{root, 1, 0});
  CHECK((fcntl(renewed.get(), F_GET_SEALS) & F_SEAL_WRITE) != 0);
  const auto [replaced, packet] = rig.Notice<Replaced>(rig.holder.peer);
  CHECK(replaced.capability == held.made.capability);
  CHECK(MapShared(packet.fds.at(0), kSize, false).value().address()[5] == std::byte{5});
  CHECK_FALSE(Writable(packet.fds.at(0)));
  CHECK(rig.Notice<Lent>(rig.holder.peer).first.rights == Rights::kRead);
  CHECK(rig.Stands(rig.holder, held));
  CHECK(rig.Redeemed(rig.holder, token).made.rights == Rights::kRead);
  CHECK(rig.Refusal(rig.owner.peer, GrantRegion{root, rig.holder.process, kReadWrite, 0, kSize}) ==
        Error::kNotPermitted);
  CHECK(rig.Refusal(rig.owner.peer, Lend{root, connection, kReadWrite}) == Error::kNotPermitted);
  CHECK(rig.Refusal(rig.owner.peer, RenewRegion{root}) == Error::kNotPermitted);
  rig.Expect<Done>(rig.owner.peer, CommitRegion{root, 1, 0});  // is frozen already
  rig.Expect<Done>(rig.owner.peer, CommitRegion{root, 0, 0});  // a reclaim ends the grants
  CHECK_FALSE(rig.Stands(rig.holder, held));
  CHECK(rig.Stands(rig.owner, region));
}

TEST_CASE("broker: a reclaimed region is out of a cheat's reach, and its old memory empty (R7)") {
  Regions rig;
  const Shared region = rig.Make();
  const CapabilityId root = region.made.capability;
  const Token token = rig.Grant(region, kReadWrite);
  const Shared held = rig.Redeemed(rig.holder, token);
  const auto kept = MapShared(held.fd, kSize, true).value();
  kept.address()[100] = std::byte{66};
  const uint32_t connection = rig.ConnectToHolder();
  const Lend call = {root, connection, Rights::kRead};
  const uint32_t lend = rig.Expect<LendMade>(rig.owner.peer, call).lend;
  rig.Notice<Lent>(rig.holder.peer);
  const auto renewed = rig.Expect<RegionMade>(rig.owner.peer, RenewRegion{root});
  CHECK(renewed.grant_value == region.made.grant_value);
  const auto fresh = MapShared(rig.last.fds.at(0), kSize, true).value();
  fresh.address()[100] = kept.address()[100];
  rig.Expect<Done>(rig.owner.peer, CommitRegion{root, 0, 0});
  rig.Notice<GrantEnded>(rig.holder.peer);
  CHECK(rig.Notice<Unlent>(rig.holder.peer).first.lend == lend);
  CHECK(rig.Expect<LendMade>(rig.owner.peer, call).lend != lend);  // it is of other memory
  rig.Notice<Lent>(rig.holder.peer);
  CHECK_FALSE(rig.Stands(rig.holder, held));
  CHECK(rig.Stands(rig.owner, region));
  CHECK(kept.address()[100] == std::byte{0});  // the hole
  kept.address()[100] = std::byte{67};
  CHECK(fresh.address()[100] == std::byte{66});
  const Shared again = rig.Redeemed(rig.holder, rig.Grant(region, Rights::kRead));
  CHECK(MapShared(again.fd, kSize, false).value().address()[100] == std::byte{66});
}

TEST_CASE("broker: death of a holder drops its grants, death of the owner ends the region (R8)") {
  Regions rig;
  const Actor third = rig.Start("third");
  const Shared region = rig.Make();
  const Token token = rig.Grant(region, Rights::kRead | Rights::kGrant);
  const Token onward =
      rig.Expect<TokenMade>(rig.holder.peer, Delegate{token, third.process, Rights::kRead}).token;
  const Shared held = rig.Redeemed(third, onward);
  rig.broker.OnGone(rig.holder.peer);
  rig.broker.CheckInvariants();
  CHECK_FALSE(rig.Stands(third, held));
  CHECK(rig.Notice<GrantEnded>(third.peer).first.capability == held.made.capability);
  const Token direct =
      rig.Expect<TokenMade>(rig.owner.peer, GrantRegion{region.made.capability, third.process,
                                                        Rights::kRead, 0, kSize})
          .token;
  const Shared last = rig.Redeemed(third, direct);
  rig.broker.OnGone(rig.owner.peer);
  rig.broker.CheckInvariants();
  CHECK_FALSE(rig.Stands(third, last));
  CHECK(rig.Refusal(third.peer, Redeem{direct}) == Error::kNotPermitted);
}

TEST_CASE("broker: a process has as many grant words as its page, and gets them back") {
  Regions rig;
  const Token token = rig.Grant(rig.Make(), Rights::kRead);
  CapabilityId capability = CapabilityId::kNone;
  for (size_t i = 0; i < kGrantWords; ++i) {
    rig.broker.OnPacket(rig.holder.peer, Packet::Of(1, Redeem{token}));
    capability = rig.outlet.sent[rig.holder.peer].back().As<RegionMade>()->capability;
    rig.outlet.sent.clear();
  }
  CHECK(rig.Refusal(rig.holder.peer, Redeem{token}) == Error::kQuotaExhausted);
  rig.Expect<Done>(rig.holder.peer, CloseRegion{capability});
  CHECK(rig.Word(rig.holder, 0) == 0);
  CHECK(rig.Word(rig.holder, kGrantWords - 1) == 0);
  rig.Redeemed(rig.holder, rig.Grant(rig.Make(), Rights::kRead));
}

}  // namespace
}  // namespace parley::host::tests
