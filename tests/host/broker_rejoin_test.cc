// What a process of before must show to be one again, and what it gets back: no more than it had,
// and nothing for its word alone.
#include <fcntl.h>

#include <cstring>
#include <optional>

#include "kernel-sim/host/broker_memory.h"
#include "tests/host/broker_rig.h"

namespace parley::host::tests {
namespace {

constexpr LedgerKey kKey = {1, 2, 3};
constexpr int64_t kLongPast = 10'000'000'000;

BrokerLife Reign(uint32_t reign, const LedgerKey& key = kKey) {
  return {.reign = reign, .key = key};
}

UniqueFd CopyOf(const UniqueFd& fd) { return Duplicate(fd).value(); }

// A broker with a server, its channel, a client connected to it, and a region that the client has
// granted to the server; the launcher and both come back to the next one.
struct Restarted {
  Restarted()
      : first({}, Reign(0)),
        server(first.Start("a server", {.uid = 1})),
        client(first.Start("a client", {.uid = 2, .ceiling = 40})) {
    made = first.Expect<MadeChannel>(server.peer, MakeChannel{}, "its channel");
    bell = CopyOf(first.last.fds[0]);
    knocker = CopyOf(first.last.fds[1]);
    connected = first.Expect<Connected>(
        client.peer, Connect{first.GrantTo(server, made.channel, client, 99, 30)});
    const auto [attached, notice] = first.Notice<Attached>(server.peer);
    if (attached.new_bell != 0) {
      client_bell = attached.bell;
      second_bell = CopyOf(notice.fds[2]);
      second_knocker = CopyOf(notice.fds[3]);
    }
    region = first.Expect<RegionMade>(client.peer, MakeRegion{8192, 1, 0});
    memory = CopyOf(first.last.fds[0]);
    granted =
        first
            .Expect<TokenMade>(client.peer, GrantRegion{region.capability, server.process,
                                                        Rights::kRead | Rights::kGrant, 0, 4096})
            .token;
    redeemed = first.Expect<RegionMade>(server.peer, Redeem{granted});
  }

  // The next broker, told of both.
  BrokerRig& Next(const LedgerKey& key = kKey) {
    next.emplace(BrokerLimits{}, Reign(1, key), 2);
    for (Actor* actor : {&server, &client}) {
      CHECK(next->Expect<Done>(next->launcher,
                               Adopt{actor->launch, static_cast<uint32_t>(getpid()), 0},
                               JoinTail({"client", "as launched"}))
                .kKind == Kind::kDone);
    }
    return *next;
  }

  Packet RejoinOf(const Actor& actor) const {
    Packet packet = Packet::Of(500, Rejoin{kWireVersion, actor.process});
    for (size_t i = 0; i < 3; ++i) packet.fds.push_back(CopyOf(actor.fds[i]));
    return packet;
  }
  // Shows it as a new peer. False: it was dropped.
  bool Show(Actor& actor, uint32_t uid, const Packet& packet) {
    actor.peer = next->NewPeer(uid);
    next->broker.OnPacket(actor.peer, packet);
    next->broker.CheckInvariants();
    return !next->outlet.dropped.contains(actor.peer);
  }
  void Claim(const Actor& actor, const std::vector<host::Claim>& claims, Fds fds = {}) {
    Packet packet = Packet::Of(501, Claims{1});
    for (const host::Claim& claim : claims) packet.Append(&claim, sizeof(claim));
    packet.fds = std::move(fds);
    next->broker.OnPacket(actor.peer, packet);
    next->broker.CheckInvariants();
  }
  void ClaimAllOfTheServer(UniqueFd own_bell) {
    Fds fds;
    fds.push_back(std::move(own_bell));
    fds.push_back(CopyOf(knocker));
    fds.push_back(CopyOf(second_bell));
    fds.push_back(CopyOf(second_knocker));
    Claim(server,
          {{Raw(made.channel), ClaimOf::kChannel, {0}},
           {made.bell, ClaimOf::kBell, {0}},
           {client_bell, ClaimOf::kBell, {0}},
           {connected.connection, ClaimOf::kServedLink, {connected.first_bit}},
           {Raw(redeemed.capability), ClaimOf::kGrant, {0}}},
          std::move(fds));
  }
  void ClaimAllOfTheClient() {
    Fds fds;
    fds.push_back(CopyOf(memory));
    Claim(client,
          {{connected.connection, ClaimOf::kLink, {connected.first_bit}},
           {Raw(region.capability), ClaimOf::kRegion, {0}}},
          std::move(fds));
  }
  bool Answered(const Actor& actor) {
    return next->TakeAnswer(actor.peer, 501).As<Done>().has_value();
  }

  BrokerRig first;
  Actor server, client;
  MadeChannel made = {};
  uint32_t client_bell = 0;
  UniqueFd bell, knocker, second_bell, second_knocker, memory;
  Connected connected = {};
  RegionMade region = {}, redeemed = {};
  Token granted;
  std::optional<BrokerRig> next;
};

TEST_CASE("rejoin: once both have come they have what they had, and go on with it") {
  Restarted world;
  BrokerRig& next = world.Next();
  REQUIRE(world.Show(world.server, 1, world.RejoinOf(world.server)));
  world.ClaimAllOfTheServer(CopyOf(world.bell));
  CHECK_FALSE(world.Answered(world.server));  // the client has yet to come
  REQUIRE(world.Show(world.client, 2, world.RejoinOf(world.client)));
  world.ClaimAllOfTheClient();
  CHECK(world.Answered(world.server));
  CHECK(world.Answered(world.client));
  CHECK_FALSE(next.broker.restoring());
  CHECK(next.Silent(world.server.peer));
  CHECK(next.Silent(world.client.peer));
  // S8, P6: badge and ceilings are as they were.
  const auto more = next.Expect<Connected>(world.client.peer, Extend{world.connected.connection});
  CHECK(more.ceiling == 30);
  const auto attached = next.Notice<Attached>(world.server.peer).first;
  CHECK(attached.badge == 99);
  CHECK(attached.first_bit != world.connected.first_bit);
  // R1: the quota counts what is there.
  CHECK(next.Refusal(world.client.peer, MakeRegion{kDefaultRegionQuotaBytes, 1, 0}) ==
        Error::kQuotaExhausted);
  // R7: what was granted before can be taken away; the word is 0 then.
  CHECK(next.Word(world.server, world.redeemed.grant_word) == world.redeemed.grant_value);
  next.Expect<Done>(world.client.peer, Revoke{world.granted});
  CHECK(next.Word(world.server, world.redeemed.grant_word) == 0);
  CHECK(next.Notice<GrantEnded>(world.server.peer).first.capability == world.redeemed.capability);
  // Nothing new has the number of something old.
  const auto another = next.Expect<MadeChannel>(world.server.peer, MakeChannel{}, "new");
  CHECK(Raw(another.channel) > 1u << 18);
}

TEST_CASE("rejoin: a third broker takes over from the second") {
  Restarted world;
  world.Next();
  REQUIRE(world.Show(world.server, 1, world.RejoinOf(world.server)));
  world.ClaimAllOfTheServer(CopyOf(world.bell));
  REQUIRE(world.Show(world.client, 2, world.RejoinOf(world.client)));
  world.ClaimAllOfTheClient();
  // It is dropped without a word, as by a kill -9.
  BrokerRig& third = world.Next();
  REQUIRE(world.Show(world.client, 2, world.RejoinOf(world.client)));
  world.ClaimAllOfTheClient();
  REQUIRE(world.Show(world.server, 1, world.RejoinOf(world.server)));
  world.ClaimAllOfTheServer(CopyOf(world.bell));
  CHECK(world.Answered(world.server));
  third.Expect<Connected>(world.client.peer, Extend{world.connected.connection});
}

TEST_CASE("rejoin: what was taken away, closed or ended before the restart does not come back") {
  Restarted world;
  world.first.Expect<Done>(world.client.peer, Revoke{world.granted});
  world.first.Expect<Done>(world.client.peer, Disconnect{world.connected.connection});
  BrokerRig& next = world.Next();
  REQUIRE(world.Show(world.server, 1, world.RejoinOf(world.server)));
  world.ClaimAllOfTheServer(CopyOf(world.bell));
  REQUIRE(world.Show(world.client, 2, world.RejoinOf(world.client)));
  world.ClaimAllOfTheClient();
  CHECK(world.Answered(world.client));
  CHECK(next.Notice<Detached>(world.server.peer).first.connection == world.connected.connection);
  CHECK(next.Notice<GrantEnded>(world.server.peer).first.capability == world.redeemed.capability);
  CHECK(next.Notice<ChannelGone>(world.client.peer).first.connection == world.connected.connection);
  CHECK(next.Word(world.server, world.redeemed.grant_word) == 0);
  CHECK(next.Refusal(world.server.peer, Redeem{world.granted}) == Error::kNotPermitted);
  CHECK(next.Refusal(world.client.peer, Extend{world.connected.connection}) == Error::kBadHandle);
}

TEST_CASE("rejoin: who shows no ledger of its own is refused") {
  Restarted world;
  BrokerRig& next = world.Next();
  const auto refused = [&](uint32_t uid, const Packet& packet) {
    Actor actor;
    const bool stays = world.Show(actor, uid, packet);
    return !stays && BrokerRig::ErrorIn(next.TakeAnswer(actor.peer, 500)) != Error::kNone;
  };
  CHECK(refused(2, world.RejoinOf(world.server)));  // another user's
  Packet wrong = world.RejoinOf(world.server);      // another number
  wrong.bytes = Packet::Of(500, Rejoin{kWireVersion, world.client.process}).bytes;
  CHECK(refused(1, wrong));
  wrong = world.RejoinOf(world.server);  // another's pages
  wrong.fds[1] = CopyOf(world.client.fds[1]);
  CHECK(refused(1, wrong));
  wrong = world.RejoinOf(world.server);
  wrong.fds[0] = CopyOf(world.client.fds[0]);
  CHECK(refused(1, wrong));
  wrong = world.RejoinOf(world.server);
  wrong.fds.pop_back();
  CHECK(refused(1, wrong));
  wrong = world.RejoinOf(world.server);  // no memory at all
  wrong.fds[2] = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(refused(1, wrong));
  wrong = world.RejoinOf(world.server);  // a copy of its own making, with a higher ceiling
  UniqueFd forged = MakeSharedMemory("forged", sizeof(LedgerMemory)).value();
  {
    const auto to = MapShared(forged, sizeof(LedgerMemory), true).value();
    const auto from = MapShared(world.server.fds[2], sizeof(LedgerMemory), false).value();
    std::memcpy(to.address(), from.address(), 4096);
    wrong.fds[2] = CopyOf(forged);
    CHECK(refused(1, wrong));  // the same bytes in other memory
    to.As<LedgerMemory>()->head.ceiling = kMaxPriority;
    CHECK(refused(1, wrong));
  }
  Packet old = world.RejoinOf(world.server);
  old.bytes = Packet::Of(500, Rejoin{kWireVersion + 1, world.server.process}).bytes;
  CHECK(refused(1, old));
  CHECK(next.broker.restoring());
  // Nobody's harm: who it is has still to come, and may.
  CHECK(world.Show(world.server, 1, world.RejoinOf(world.server)));
  CHECK_FALSE(world.Show(world.server, 1, Packet::Of(500, Claims{1})));  // shown nothing
}

TEST_CASE("rejoin: brokers of another launcher's key believe nothing") {
  Restarted world;
  world.Next(LedgerKey{9});
  CHECK_FALSE(world.Show(world.server, 1, world.RejoinOf(world.server)));
}

TEST_CASE("rejoin: a claim beyond the ledger, or with other descriptors, gives nothing") {
  Restarted world;
  BrokerRig& next = world.Next();
  REQUIRE(world.Show(world.server, 1, world.RejoinOf(world.server)));
  world.ClaimAllOfTheServer(CopyOf(world.client.fds[0]));  // not its bell
  REQUIRE(world.Show(world.client, 2, world.RejoinOf(world.client)));
  Fds fds;
  fds.push_back(CopyOf(world.client.fds[0]));  // not its region
  world.Claim(world.client,
              {{Raw(world.made.channel), ClaimOf::kChannel, {0}},
               {world.connected.connection, ClaimOf::kServedLink, {world.connected.first_bit}},
               {Raw(world.redeemed.capability), ClaimOf::kGrant, {0}},
               {Raw(world.region.capability), ClaimOf::kRegion, {0}}},
              std::move(fds));
  CHECK(world.Answered(world.client));
  CHECK(next.Refusal(world.client.peer, DestroyChannel{world.made.channel}) == Error::kBadHandle);
  CHECK(next.Refusal(world.client.peer, CloseRegion{world.region.capability}) ==
        Error::kLeaseEnded);
  CHECK(next.Word(world.server, world.redeemed.grant_word) == 0);  // the region is not there
}

TEST_CASE("rejoin: who does not come is not waited for long, and is refused and ended later") {
  Restarted world;
  BrokerRig& next = world.Next();
  REQUIRE(world.Show(world.client, 2, world.RejoinOf(world.client)));
  world.ClaimAllOfTheClient();
  next.broker.OnTick(0);
  CHECK(next.broker.restoring());
  next.outlet.now_ns = kLongPast;  // the machine has stood still: nobody's fault
  next.broker.OnTick(1);
  CHECK(next.broker.restoring());
  CHECK(next.outlet.warnings.empty());
  next.broker.OnTick(kLongPast);
  REQUIRE(next.outlet.warnings.size() == 1);
  CHECK(next.outlet.warnings[0].find("as launched (pid ") != std::string::npos);
  next.broker.CheckInvariants();
  CHECK(world.Answered(world.client));
  CHECK(next.Notice<ChannelGone>(world.client.peer).first.connection == world.connected.connection);
  CHECK_FALSE(world.Show(world.server, 1, world.RejoinOf(world.server)));
  CHECK(BrokerRig::ErrorIn(next.TakeAnswer(world.server.peer, 500)) == Error::kNotPermitted);
  CHECK(next.Notice<Kill>(next.launcher).first.process == world.server.process);
}

TEST_CASE("rejoin: a name server that comes too late keeps nobody waiting") {
  BrokerRig first({}, Reign(0));
  const Actor names = first.Start("names", {.name_server = true});
  BrokerRig next({}, Reign(1), 1);
  next.Expect<Done>(next.launcher, Adopt{names.launch, static_cast<uint32_t>(getpid()), 0},
                    JoinTail({"names", "names"}));
  next.broker.OnTick(kLongPast);
  Actor newcomer = next.Launched("a newcomer");
  newcomer.peer = next.NewPeer(1000);
  next.broker.OnPacket(newcomer.peer, Packet::Of(500, Join{kWireVersion, 0, newcomer.ticket}));
  CHECK(next.Silent(newcomer.peer));  // it may have been forked just now
  const PeerId late = next.NewPeer(1000);
  next.broker.OnPacket(late, Packet::Of(501, Rejoin{kWireVersion, names.process}));
  next.broker.CheckInvariants();
  CHECK(next.outlet.dropped.contains(late));
  CHECK(next.TakeAnswer(newcomer.peer, 500).As<Joined>().has_value());
}

TEST_CASE("rejoin: who had not joined joins the next broker with its old ticket") {
  BrokerRig first({}, Reign(0));
  Actor child = first.Launched("a child", {.uid = 3});
  BrokerRig next({}, Reign(1), 1);
  child.peer = next.NewPeer(3);
  next.broker.OnPacket(child.peer, Packet::Of(500, Join{kWireVersion, 0, child.ticket}));
  CHECK(next.Silent(child.peer));  // its launcher has not said so yet
  next.Expect<Done>(next.launcher, Adopt{child.launch, 77, 0}, JoinTail({"client", "a child"}));
  CHECK(next.TakeAnswer(child.peer, 500).As<Joined>().has_value());
  CHECK_FALSE(next.broker.restoring());
}

TEST_CASE("rejoin: who has shown its ledger becomes no other process, and no launcher") {
  BrokerRig first({}, Reign(0));
  Actor old = first.Start("old", {.uid = 3});
  const Actor young = first.Launched("young", {.uid = 3});
  for (const Packet& other :
       {Packet::Of(502, Join{kWireVersion, 0, young.ticket}),
        Packet::Of(502, BecomeLauncher{kWireVersion, 0}, JoinTail({"client"})),
        Packet::Of(502, Look{kWireVersion, ProcessId{1}, 0})}) {
    BrokerRig next({}, Reign(1), 2);
    next.Expect<Done>(next.launcher, Adopt{old.launch, static_cast<uint32_t>(getpid()), 0},
                      JoinTail({"client", "old"}));
    next.Expect<Done>(next.launcher, Adopt{young.launch, 77, 0}, JoinTail({"client", "young"}));
    old.peer = next.NewPeer(3);
    Packet rejoin = Packet::Of(500, Rejoin{kWireVersion, old.process});
    for (const UniqueFd& fd : old.fds) rejoin.fds.push_back(CopyOf(fd));
    next.broker.OnPacket(old.peer, rejoin);
    next.broker.OnPacket(old.peer, Packet::Of(501, Claims{1}));
    REQUIRE_FALSE(next.outlet.dropped.contains(old.peer));
    next.broker.OnPacket(old.peer, other);
    CHECK(next.outlet.dropped.contains(old.peer));
    next.broker.OnTick(kLongPast);
    next.broker.CheckInvariants();
  }
}

TEST_CASE("rejoin: the end of a process that nobody had confirmed is told to its maker") {
  BrokerRig first({}, Reign(0));
  Actor maker = first.Start("a maker");
  const Launch launch =
      first.SpawnedBy(maker, BrokerRig::SpawnAs({}), JoinTail({"client", "a child"}));
  const ProcessId child = launch.process;
  BrokerRig next({}, Reign(1), 2);
  next.Expect<Done>(next.launcher, Adopt{maker.launch, static_cast<uint32_t>(getpid()), 0},
                    JoinTail({"client", "a maker"}));
  next.Expect<Done>(next.launcher, Adopt{launch, 0, 0}, JoinTail({"client", "a child"}));
  CHECK(next.Call(next.launcher, Exited{child, 0, 5}).bytes.empty());  // its maker may yet come
  maker.peer = next.NewPeer(1000);
  Packet rejoin = Packet::Of(500, Rejoin{kWireVersion, maker.process});
  for (size_t i = 0; i < 3; ++i) rejoin.fds.push_back(CopyOf(maker.fds[i]));
  next.broker.OnPacket(maker.peer, rejoin);
  next.broker.OnPacket(maker.peer, Packet::Of(501, Claims{1}));
  next.broker.CheckInvariants();
  CHECK(next.TakeAnswer(maker.peer, 501).As<Done>().has_value());
  CHECK(next.Notice<ChildEnded>(maker.peer).first.code == 5);
  next.outlet.sent[next.launcher].clear();  // that its word was booked
  // It asks again, having heard of nothing, and gets the same one; the next time another.
  const Packet again =
      Packet::Of(launch.call, BrokerRig::SpawnAs({}), JoinTail({"client", "a child"}));
  next.broker.OnPacket(maker.peer, again);
  CHECK(next.TakeAnswer(maker.peer, launch.call).As<Spawned>()->process == child);
  CHECK(next.Silent(next.launcher));
  next.broker.OnPacket(maker.peer, again);
  CHECK(next.Notice<Launch>(next.launcher).first.process != child);
}

TEST_CASE("rejoin: a launcher adopts only what it could have spawned") {
  BrokerRig next({}, Reign(1), 4);
  const auto refused = [&](const Launch& launch, const std::string& program = "client") {
    return next.Refusal(next.launcher, Adopt{launch, 7, 0}, JoinTail({program, "x"}));
  };
  const Launch good = {5, ProcessId{1}, ProcessId::kNone, 0, BrokerRig::SpawnAs({})};
  CHECK(refused(good, "nothing") == Error::kNoSuchName);
  CHECK(refused({0, ProcessId{1}, ProcessId::kNone, 0, good.spawn}) == Error::kAlreadyExists);
  next.Expect<Done>(next.launcher, Adopt{good, 7, 0}, JoinTail({"client", "x"}));
  CHECK(refused(good) == Error::kAlreadyExists);
  next.Call(next.launcher, Adopt{good, 7, 0}, JoinTail({"client", "x"}));  // more than announced
  CHECK(next.outlet.dropped.contains(next.launcher));
}

}  // namespace
}  // namespace parley::host::tests
