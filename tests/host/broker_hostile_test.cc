// The broker and peers that keep to the protocol but mean harm: what they cannot do to others.
#include "kernel-sim/host/broker.h"
#include "tests/host/broker_rig.h"

namespace parley::host::tests {
namespace {

constexpr Rights kRead = Rights::kRead;
constexpr Rights kReadWrite = kRead | Rights::kWrite;

Error ErrorOfLast(const BrokerRig& rig) { return rig.ErrorIn(rig.last); }

// -- What a user has

TEST_CASE("broker: a user's launchers are counted, and another user's are not the fewer") {
  BrokerRig rig({.launchers_per_user = 1});
  const auto become = [&](uint32_t uid) {
    const PeerId peer = rig.NewPeer(uid);
    rig.last = rig.Call(peer, BecomeLauncher{kWireVersion}, JoinTail({"client"}));
    return peer;
  };
  const PeerId first = become(1000);
  CHECK(rig.last.As<Done>());
  const PeerId second = become(1000);
  CHECK(ErrorOfLast(rig) == Error::kQuotaExhausted);
  CHECK(rig.outlet.dropped.contains(second));
  become(1001);
  CHECK(rig.last.As<Done>());
  rig.broker.OnGone(first);
  become(1000);
  CHECK(rig.last.As<Done>());
}

TEST_CASE("broker: a user's processes are counted over all its launchers") {
  BrokerRig rig({.processes_per_user = 2});
  const auto become = [&](uint32_t uid) {
    const PeerId peer = rig.NewPeer(uid);
    rig.Expect<Done>(peer, BecomeLauncher{kWireVersion}, JoinTail({"client"}));
    return peer;
  };
  const Spawn spawn = BrokerRig::SpawnAs({});
  const std::string tail = JoinTail({"client", "name"});
  const PeerId one = become(1000), two = become(1000), other = become(1001);
  Spawn others = spawn;
  others.uid = others.gid = 1001;
  rig.Expect<Spawned>(one, spawn, tail);
  rig.Expect<Spawned>(two, spawn, tail);
  CHECK(rig.Refusal(one, spawn, tail) == Error::kQuotaExhausted);
  CHECK(rig.TextOf(rig.last) == "2 processes are all that a user may have");
  rig.Expect<Spawned>(other, others, tail);
  rig.broker.OnGone(two);
  rig.Expect<Spawned>(one, spawn, tail);
}

TEST_CASE("broker: arguments that nobody fetches are counted by the byte, until somebody does") {
  BrokerRig rig({.argument_bytes_per_user = 100});
  const Spawn spawn = BrokerRig::SpawnAs({});
  const auto tail = [](size_t bytes) {
    return JoinTail({"client", "name", std::string(bytes - 1, 'x')});
  };
  CHECK(rig.Refusal(rig.launcher, spawn, tail(101)) == Error::kQuotaExhausted);
  const auto process = rig.Expect<Spawned>(rig.launcher, spawn, tail(100)).process;
  const uint64_t ticket = rig.Notice<Launch>(rig.launcher).first.ticket;
  CHECK(rig.Refusal(rig.launcher, spawn, tail(1)) == Error::kQuotaExhausted);
  const Packet joined = rig.Call(rig.NewPeer(1000), Join{kWireVersion, 0, ticket});
  REQUIRE(joined.As<Joined>());
  CHECK(joined.As<Joined>()->process == process);
  CHECK(joined.Tail<Joined>().size() == sizeof("name") + 100);
  rig.Expect<Spawned>(rig.launcher, spawn, tail(100));
}

TEST_CASE("broker: a user that holds all its descriptors leaves other users theirs") {
  constexpr size_t kDescriptors = 40;
  BrokerRig rig({.descriptors_per_user = kDescriptors});
  const Actor greedy = rig.Start("greedy", {.uid = 1000});
  const Actor other = rig.Start("other", {.uid = 1001});
  size_t channels = 0;
  while (rig.Call(greedy.peer, MakeChannel{}).As<MadeChannel>()) ++channels;
  CHECK(channels > 10);
  CHECK(channels < kDescriptors / 2);
  CHECK(rig.Refusal(greedy.peer, MakeRegion{kPageBytes, 0, 0}) == Error::kQuotaExhausted);
  CHECK(rig.TextOf(rig.last) == "40 descriptors are all that a user may have");
  CHECK(rig.outlet.dropped.contains(rig.NewPeer(1000)));
  rig.Expect<MadeChannel>(other.peer, MakeChannel{});
  rig.Expect<RegionMade>(other.peer, MakeRegion{kPageBytes, 0, 0});
  CHECK_FALSE(rig.outlet.dropped.contains(rig.NewPeer(1001)));
  rig.broker.OnGone(greedy.peer);
  CHECK_FALSE(rig.outlet.dropped.contains(rig.NewPeer(1000)));
}

TEST_CASE("broker: a user that holds all its records leaves other users theirs") {
  BrokerRig rig({.records_per_user = 5});
  const Actor greedy = rig.Start("greedy", {.uid = 1000});
  const Actor other = rig.Start("other", {.uid = 1001});
  const auto channel = rig.Expect<MadeChannel>(other.peer, MakeChannel{}).channel;
  const Token token = rig.GrantTo(other, channel, greedy);
  const auto region = rig.Expect<RegionMade>(greedy.peer, MakeRegion{kPageBytes, 0, 0});
  for (int i = 0; i < 3; ++i) rig.Expect<Connected>(greedy.peer, Connect{token});
  const GrantRegion grant = {region.capability, other.process, kRead, 0, kPageBytes};
  const Token first = rig.Expect<TokenMade>(greedy.peer, grant).token;
  rig.Expect<TokenMade>(greedy.peer, grant);
  CHECK(rig.Refusal(greedy.peer, grant) == Error::kQuotaExhausted);
  CHECK(rig.Refusal(greedy.peer, Connect{token}) == Error::kQuotaExhausted);
  CHECK(rig.Refusal(greedy.peer, MakeChannel{}) == Error::kQuotaExhausted);
  rig.Expect<MadeChannel>(other.peer, MakeChannel{});
  rig.Expect<Done>(greedy.peer, Revoke{first});
  rig.Expect<TokenMade>(greedy.peer, grant);
}

// -- What others are told

TEST_CASE("broker: nobody is drowned by what others make the broker tell it") {
  BrokerRig rig;
  const Actor server = rig.Start("server"), client = rig.Start("client");
  const auto channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const auto connected = rig.ConnectTo(server, channel, client);
  const Token token = rig.GrantTo(server, channel, client);
  const auto region = rig.Expect<RegionMade>(client.peer, MakeRegion{kPageBytes, 0, 0});
  const auto own = rig.Expect<MadeChannel>(client.peer, MakeChannel{}).channel;
  const Token event =
      rig.Expect<TokenMade>(client.peer, RegisterEvent{own, connected.connection, 1, 1, 10, 0, 5})
          .token;
  rig.outlet.behind = {server.peer, client.peer};
  const auto refused = [&](const Actor& actor, const auto& call) {
    return rig.Refusal(actor.peer, call) == Error::kQuotaExhausted;
  };
  CHECK(refused(client, Connect{token}));
  CHECK(refused(client, Extend{connected.connection}));
  CHECK(refused(client, Lend{region.capability, connected.connection, kRead}));
  CHECK(refused(server, OpenEvent{event}));
  CHECK(rig.Silent(server.peer));
  rig.outlet.behind.clear();
  rig.Expect<Connected>(client.peer, Extend{connected.connection});
  rig.Expect<LendMade>(client.peer, Lend{region.capability, connected.connection, kRead});
  rig.Expect<OpenedEvent>(server.peer, OpenEvent{event});
  rig.Expect<RegionMade>(client.peer, RenewRegion{region.capability});
  rig.outlet.behind = {server.peer};
  CHECK(refused(client, CommitRegion{region.capability, 1, 0}));
  rig.outlet.behind.clear();
  rig.Expect<Done>(client.peer, CommitRegion{region.capability, 1, 0});
}

TEST_CASE("broker: a freeze that one process would hear of too often is refused, with no change") {
  constexpr uint32_t kTold = 1024;
  BrokerRig rig;
  const Actor server = rig.Start("server"), client = rig.Start("client");
  const auto channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const Token token = rig.GrantTo(server, channel, client);
  const auto region = rig.Expect<RegionMade>(client.peer, MakeRegion{kPageBytes, 0, 0});
  std::vector<uint32_t> connections;
  for (uint32_t i = 0; i <= kTold; ++i) {  // not by the rig, which looks at everything each time
    rig.broker.OnPacket(client.peer, Packet::Of(1, Connect{token}));
    connections.push_back(rig.TakeAnswer(client.peer, 1).As<Connected>().value().connection);
    rig.broker.OnPacket(client.peer,
                        Packet::Of(1, Lend{region.capability, connections.back(), kRead}));
    rig.outlet.sent.clear();
  }
  rig.Expect<RegionMade>(client.peer, RenewRegion{region.capability});
  CHECK(rig.Refusal(client.peer, CommitRegion{region.capability, 1, 0}) == Error::kQuotaExhausted);
  CHECK(rig.Silent(server.peer));
  rig.Expect<Done>(client.peer, Disconnect{connections[0]});
  rig.Notice<Detached>(server.peer);
  rig.Expect<Done>(client.peer, CommitRegion{region.capability, 1, 0});
  CHECK(rig.outlet.sent[server.peer].size() == kTold);
}

// -- What is said

TEST_CASE("broker: programs are some, with names that fit into any text about them") {
  BrokerRig rig;
  const auto refused = [&](const std::vector<std::string>& programs) {
    const PeerId peer = rig.NewPeer(1000);
    const Error error = rig.Refusal(peer, BecomeLauncher{kWireVersion}, JoinTail(programs));
    return error == Error::kInvalidArgument && rig.outlet.dropped.contains(peer);
  };
  CHECK(refused({std::string(kMaxNameBytes + 1, 'x')}));
  CHECK(refused({"a", ""}));
  CHECK(refused(std::vector<std::string>(1025, "a")));
  CHECK_FALSE(refused(std::vector<std::string>(1024, "a")));
  CHECK_FALSE(refused({std::string(kMaxNameBytes, 'x')}));
}

TEST_CASE("broker: nobody delegates a right to a region without that to read it (R2)") {
  BrokerRig rig;
  const Actor owner = rig.Start("owner"), holder = rig.Start("holder"), other = rig.Start("other");
  const auto region = rig.Expect<RegionMade>(owner.peer, MakeRegion{kPageBytes, 1, 0});
  const Token token =
      rig.Expect<TokenMade>(owner.peer, GrantRegion{region.capability, holder.process,
                                                    kReadWrite | Rights::kGrant, 0, kPageBytes})
          .token;
  const auto delegate = [&](Rights rights) {
    return rig.Refusal(holder.peer, Delegate{token, other.process, rights});
  };
  CHECK(delegate(Rights::kWrite) == Error::kInvalidArgument);
  CHECK(delegate(Rights::kGrant) == Error::kInvalidArgument);
  CHECK(delegate(Rights::kNone) == Error::kInvalidArgument);
  CHECK(delegate(kRead) == Error::kNone);
}

TEST_CASE("broker: who looks on sees the processes of its own user's launchers, uid 0 all") {
  BrokerRig rig;
  const Actor of_root = rig.Start("of root");
  const PeerId other = rig.NewPeer(1001);
  rig.Expect<Done>(other, BecomeLauncher{kWireVersion}, JoinTail({"client"}));
  const ProcessId of_other =
      rig.Expect<Spawned>(other, BrokerRig::SpawnAs({.uid = 1001}), JoinTail({"client", "x"}))
          .process;
  const auto seen = [&](uint32_t uid) {
    const PeerId looker = rig.NewPeer(uid);
    std::vector<ProcessId> processes;
    uint32_t from = 1;
    for (;;) {
      const auto looked = rig.Expect<Looked>(looker, Look{kWireVersion, ProcessId{from}, 0});
      if (looked.process == ProcessId::kNone) return processes;
      processes.push_back(looked.process);
      from = Raw(looked.process) + 1;
    }
  };
  CHECK(seen(0) == std::vector<ProcessId>{of_root.process, of_other});
  CHECK(seen(1001) == std::vector<ProcessId>{of_other});
  CHECK(seen(1000).empty());  // the process runs as 1000, but root's launcher has started it
  CHECK(seen(1002).empty());
}

}  // namespace
}  // namespace parley::host::tests
