// The broker: processes, channels, connections, events, deadlocks.
#include "kernel-sim/host/broker.h"

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/thread_state.h"
#include "tests/host/broker_rig.h"

namespace parley::host::tests {
namespace {

constexpr Rights kConnectAndGrant = Rights::kConnect | Rights::kGrant;

Exited ExitOf(const Actor& actor, int32_t code = 0) {
  return {actor.process, static_cast<uint32_t>(ExitKind::kReturned), code};
}

// -- Processes

TEST_CASE("broker: a process joins with its ticket, once, and learns what it was started as") {
  BrokerRig rig;
  Actor actor = rig.Launched("a", {.uid = 5, .ceiling = 40});
  const PeerId thief = rig.NewPeer(6);
  CHECK(rig.Refusal(thief, Join{kWireVersion, 0, actor.ticket}) == Error::kNotPermitted);
  CHECK(rig.outlet.dropped.contains(thief));
  rig.Join(actor);
  CHECK(actor.joined.process == actor.process);
  CHECK(actor.joined.uid == 5);
  CHECK(actor.joined.ceiling == 40);
  CHECK(actor.joined.start_ns == 77);
  CHECK(actor.joined.has_names == 0);
  CHECK_FALSE(MapShared(actor.fds[1], sizeof(GrantPage), /*writable=*/true).ok());
  const PeerId again = rig.NewPeer(5);
  CHECK(rig.Refusal(again, Join{kWireVersion, 0, actor.ticket}) == Error::kNotPermitted);
}

TEST_CASE("broker: another version is refused by name, and dropped") {
  BrokerRig rig;
  Actor actor = rig.Launched("a");
  CHECK(rig.Refusal(actor.peer, Join{kWireVersion + 1, 0, actor.ticket}) ==
        Error::kInvalidArgument);
  CHECK(rig.TextOf(rig.last) == absl::StrCat("version ", kWireVersion + 1,
                                             " of the protocol; the broker speaks version ",
                                             kWireVersion));
  CHECK(rig.outlet.dropped.contains(actor.peer));
}

TEST_CASE("broker: a packet that breaks the protocol drops its sender and nobody else") {
  BrokerRig rig;
  const Actor good = rig.Start("good");
  const auto dropped_after = [&](auto say) {
    Actor bad = rig.Start("bad");
    say(bad);
    rig.broker.CheckInvariants();
    return rig.outlet.dropped.contains(bad.peer);
  };
  CHECK(dropped_after([&](Actor& bad) { rig.broker.OnPacket(bad.peer, Packet()); }));
  CHECK(dropped_after([&](Actor& bad) { rig.Call(bad.peer, Joined{}); }));
  CHECK(dropped_after([&](Actor& bad) { rig.Call(bad.peer, Join{kWireVersion, 0, bad.ticket}); }));
  CHECK(dropped_after([&](Actor& bad) { rig.Call(bad.peer, BecomeLauncher{kWireVersion}); }));
  CHECK(dropped_after([&](Actor& bad) { rig.Call(bad.peer, ExitOf(good)); }));
  CHECK(dropped_after([&](Actor& bad) {
    Packet packet = Packet::Of(1, Connect{});
    packet.bytes.pop_back();
    rig.broker.OnPacket(bad.peer, packet);
  }));
  const PeerId stranger = rig.NewPeer(1);
  rig.Call(stranger, Connect{});
  CHECK(rig.outlet.dropped.contains(stranger));
  CHECK_FALSE(rig.outlet.dropped.contains(good.peer));
  CHECK_FALSE(rig.outlet.dropped.contains(rig.launcher));
}

TEST_CASE("broker: nobody is welcomed before the name server, and all are connected to it (N5)") {
  BrokerRig rig;
  Actor names = rig.Launched("names", {.uid = 1, .name_server = true});
  Actor early = rig.Launched("early", {.uid = 2});
  rig.broker.OnPacket(early.peer, Packet::Of(900, Join{kWireVersion, 0, early.ticket}));
  CHECK(rig.Silent(early.peer));
  rig.Join(names);
  CHECK(names.joined.has_names == 0);
  CHECK(names.joined.name_channel != ChannelId::kNone);
  CHECK(names.fds.size() == 5);  // its pages and ledger, its channel's bell and knocker
  rig.Accept(early, rig.TakeAnswer(early.peer, 900));
  CHECK(early.joined.has_names == 1);
  CHECK(early.joined.names.channel == names.joined.name_channel);
  CHECK(early.joined.names.server.process == names.process);
  CHECK(early.fds.size() == 7);
  const auto attached = rig.Notice<Attached>(names.peer).first;
  CHECK(attached.connection == early.joined.names.connection);
  CHECK(attached.client.process == early.process);
  CHECK(attached.badge == 0);
  CHECK(rig.Refusal(rig.launcher, rig.SpawnAs({.name_server = true}),
                    JoinTail({"names", "second"})) == Error::kAlreadyExists);
  rig.broker.OnGone(names.peer);
  CHECK(rig.Notice<ChannelGone>(early.peer).first.connection == attached.connection);
  CHECK(rig.Start("late").joined.has_names == 0);
}

TEST_CASE("broker: those that wait for a name server which never comes are welcomed without") {
  BrokerRig rig;
  Actor names = rig.Launched("names", {.name_server = true});
  Actor early = rig.Launched("early");
  rig.broker.OnPacket(early.peer, Packet::Of(900, Join{kWireVersion, 0, early.ticket}));
  rig.Expect<Done>(rig.launcher, ExitOf(names));
  rig.Accept(early, rig.TakeAnswer(early.peer, 900));
  CHECK(early.joined.has_names == 0);
}

TEST_CASE("broker: a spawn is checked as the simulated kernel checks it") {
  BrokerRig rig;
  const Actor maker = rig.Start("maker", {.uid = 7, .ceiling = 50});
  const auto refusal = [&](auto change, const char* program = "client") {
    Spawn spawn = rig.SpawnAs({.uid = 7, .ceiling = 50});
    change(spawn);
    return rig.Refusal(maker.peer, spawn, JoinTail({program, "child"}));
  };
  CHECK(refusal([](Spawn&) {}, "nothing") == Error::kNoSuchName);
  CHECK(rig.TextOf(rig.last) == "no program is called 'nothing'");
  CHECK(refusal([](Spawn& spawn) { spawn.ceiling = 51; }) == Error::kNotPermitted);
  CHECK(rig.TextOf(rig.last) == "ceiling 51 is not 1 to the maker's of 50");
  CHECK(refusal([](Spawn& spawn) { spawn.scheduling.priority = 51; }) == Error::kNotPermitted);
  CHECK(refusal([](Spawn& spawn) { spawn.scheduling.priority = 0; }) == Error::kInvalidArgument);
  CHECK(refusal([](Spawn& spawn) { spawn.scheduling.policy = 3; }) == Error::kInvalidArgument);
  CHECK(refusal([](Spawn& spawn) { spawn.scheduling.policy = 2; }) == Error::kInvalidArgument);
  CHECK(refusal([](Spawn& spawn) { spawn.uid = 0; }) == Error::kNotPermitted);
  CHECK(rig.TextOf(rig.last) == "only uid 0 starts processes as somebody else");
  CHECK(refusal([](Spawn& spawn) { spawn.name_server = 1; }) == Error::kNotPermitted);
  CHECK(refusal([](Spawn&) {}) == Error::kNone);
}

TEST_CASE("broker: a child's exit reaches its maker; only maker and launcher may kill it") {
  BrokerRig rig;
  const Actor maker = rig.Start("maker"), other = rig.Start("other");
  const Launch launch = rig.SpawnedBy(maker, rig.SpawnAs({}), JoinTail({"client", "child", "x"}));
  Actor child;
  child.process = launch.process;
  child.ticket = launch.ticket;
  child.peer = rig.NewPeer(1000);
  rig.Join(child);
  CHECK(rig.Refusal(other.peer, Kill{child.process}) == Error::kNotPermitted);
  CHECK(rig.Refusal(other.peer, Kill{ProcessId{99}}) == Error::kBadHandle);
  rig.Expect<Done>(maker.peer, Kill{child.process});
  CHECK(rig.outlet.killed == std::vector<PeerId>{child.peer});
  rig.broker.OnGone(child.peer);
  rig.broker.OnGone(child.peer);
  CHECK(rig.Silent(maker.peer));
  rig.Expect<Done>(rig.launcher, ExitOf(child, 3), "why");
  const auto [ended, packet] = rig.Notice<ChildEnded>(maker.peer);
  CHECK(ended.process == child.process);
  CHECK(ended.code == 3);
  CHECK(packet.Tail<ChildEnded>() == "why");
  rig.Expect<Done>(maker.peer, Kill{child.process});  // has ended: nothing to do
  CHECK(rig.Refusal(rig.launcher, ExitOf(child)) == Error::kBadHandle);
}

TEST_CASE("broker: a process that has hung up and lives on can still be killed") {
  BrokerRig rig;
  const Actor one = rig.Start("one"), two = rig.Start("two");
  rig.broker.OnGone(one.peer);
  rig.Expect<Done>(rig.launcher, Kill{one.process});
  CHECK(rig.outlet.killed == std::vector<PeerId>{one.peer});
  rig.broker.OnGone(two.peer);
  rig.broker.OnGone(rig.launcher);
  CHECK(rig.outlet.killed == std::vector<PeerId>{one.peer, one.peer, two.peer});
}

TEST_CASE("broker: one killed before it joined never does") {
  BrokerRig rig;
  Actor actor = rig.Launched("a");
  rig.Expect<Done>(rig.launcher, Kill{actor.process});
  CHECK(rig.Refusal(actor.peer, Join{kWireVersion, 0, actor.ticket}) == Error::kProcessEnded);
  CHECK(rig.outlet.dropped.contains(actor.peer));
}

TEST_CASE("broker: the launcher's end is the end of all its processes") {
  BrokerRig rig;
  const Actor one = rig.Start("one"), two = rig.Start("two");
  Actor never = rig.Launched("never");
  rig.broker.OnGone(rig.launcher);
  rig.broker.CheckInvariants();
  CHECK(rig.outlet.killed == std::vector<PeerId>{one.peer, two.peer});
  CHECK(rig.outlet.dropped.contains(two.peer));
  CHECK(rig.broker.launchers() == 0);
  CHECK(rig.Refusal(never.peer, Join{kWireVersion, 0, never.ticket}) == Error::kNotPermitted);
}

// -- Channels and connections

TEST_CASE("broker: the server hears of a connection before its client does") {
  BrokerRig rig;
  const Actor server = rig.Start("server", {.uid = 1}), client = rig.Start("client", {.uid = 2});
  const auto channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}, "/s");
  CHECK(rig.last.fds.size() == 2);
  const Token token = rig.GrantTo(server, channel.channel, client, 0xbad9e, 40);
  rig.outlet.sent.clear();
  const auto connected = rig.Expect<Connected>(client.peer, Connect{token});
  CHECK(rig.last.fds.size() == 4);
  CHECK(rig.last.Tail<Connected>() == "/s");
  CHECK(connected.ceiling == 40);
  CHECK(connected.server.process == server.process);
  const auto [attached, notice] = rig.Notice<Attached>(server.peer);
  CHECK(notice.fds.size() == 4);
  CHECK(attached.connection == connected.connection);
  CHECK(attached.badge == 0xbad9e);
  CHECK(attached.ceiling == 40);
  CHECK(attached.client.uid == 2);
  CHECK(attached.new_bell == 1);
  CHECK(attached.bell == connected.bell);
  CHECK(attached.bell != channel.bell);  // another user's
  // One memory, mapped by both.
  const auto theirs = MapShared(notice.fds[0], sizeof(Link), true).value();
  const auto ours = MapShared(rig.last.fds[0], sizeof(Link), true).value();
  ours.As<Link>()->slots[1].thread = 7;
  CHECK(theirs.As<Link>()->slots[1].thread == 7);
}

TEST_CASE("broker: a notice leaves before the answer, also to one and the same process") {
  BrokerRig rig;
  const Actor both = rig.Start("both");
  const ChannelId channel = rig.Expect<MadeChannel>(both.peer, MakeChannel{}).channel;
  const auto connection =
      rig.Expect<Connected>(both.peer, Connect{rig.GrantTo(both, channel, both)}).connection;
  const Token event =
      rig.Expect<TokenMade>(both.peer, RegisterEvent{channel, connection, 1, 0, 5, 0, 0}).token;
  const auto region = rig.Expect<RegionMade>(both.peer, MakeRegion{1, 1, 0});
  const auto kinds = [&](const auto& call) {
    rig.outlet.sent.clear();
    rig.broker.OnPacket(both.peer, Packet::Of(1, call));
    std::vector<Kind> kinds;
    for (const Packet& sent : rig.outlet.sent[both.peer]) kinds.push_back(sent.header()->kind);
    return kinds;
  };
  CHECK(kinds(Extend{connection}) == std::vector{Kind::kAttached, Kind::kConnected});
  CHECK(kinds(OpenEvent{event}) == std::vector{Kind::kEventAttached, Kind::kOpenedEvent});
  CHECK(kinds(Lend{region.capability, connection, Rights::kRead}) ==
        std::vector{Kind::kLent, Kind::kLendMade});
  CHECK(kinds(DestroyChannel{channel}) == std::vector{Kind::kChannelGone, Kind::kDone});
}

TEST_CASE("broker: tokens are their holder's, rights narrow, revoking kills what hangs on them") {
  BrokerRig rig;
  const Actor server = rig.Start("server"), one = rig.Start("one"), two = rig.Start("two");
  const ChannelId channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const Token token = rig.GrantTo(server, channel, one, 5, 60, kConnectAndGrant);
  CHECK(rig.Refusal(two.peer, Connect{token}) == Error::kNotPermitted);
  CHECK(rig.Refusal(two.peer, Delegate{token, two.process, Rights::kConnect}) ==
        Error::kNotPermitted);
  CHECK(rig.Refusal(one.peer, Delegate{token, ProcessId{77}, Rights::kConnect}) ==
        Error::kNoSuchName);
  const Token grandchild =
      rig.Expect<TokenMade>(one.peer, Delegate{token, two.process, Rights::kConnect}).token;
  CHECK(rig.Refusal(two.peer, Delegate{grandchild, one.process, Rights::kConnect}) ==
        Error::kNotPermitted);
  const auto connected = rig.Expect<Connected>(two.peer, Connect{grandchild});
  CHECK(rig.Notice<Attached>(server.peer).first.badge == 5);  // S8
  CHECK(rig.Refusal(two.peer, Revoke{token}) == Error::kNotPermitted);
  rig.Expect<Done>(server.peer, Revoke{token});
  CHECK(rig.Notice<Detached>(server.peer).first.connection == connected.connection);
  const auto gone = rig.Notice<ChannelGone>(two.peer).first;
  CHECK(gone.connection == connected.connection);
  CHECK(gone.revoked == 1);
  CHECK(rig.Refusal(two.peer, Connect{grandchild}) == Error::kNotPermitted);
  CHECK(rig.Refusal(two.peer, Extend{connected.connection}) == Error::kNoSuchChannel);
  rig.Expect<Done>(two.peer, Disconnect{connected.connection});
  CHECK(rig.Refusal(two.peer, Disconnect{connected.connection}) == Error::kBadHandle);
}

TEST_CASE("broker: a server turns away a client that it cannot take, and nobody else does") {
  BrokerRig rig;
  const Actor server = rig.Start("a server"), other = rig.Start("another");
  const Actor client = rig.Start("a client");
  const ChannelId channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const auto connected =
      rig.Expect<Connected>(client.peer, Connect{rig.GrantTo(server, channel, client, 5, 60)});
  CHECK(rig.Notice<Attached>(server.peer).first.connection == connected.connection);
  for (const Actor& stranger : {std::cref(other), std::cref(client)}) {
    CHECK(rig.Refusal(stranger.peer, TurnAway{connected.connection}) == Error::kBadHandle);
  }
  rig.Expect<Done>(server.peer, TurnAway{connected.connection});
  CHECK(rig.Notice<Detached>(server.peer).first.connection == connected.connection);
  const auto gone = rig.Notice<ChannelGone>(client.peer).first;
  CHECK(gone.connection == connected.connection);
  CHECK(gone.revoked == 0);
  CHECK(rig.Refusal(server.peer, TurnAway{connected.connection}) == Error::kBadHandle);
  CHECK(rig.Refusal(client.peer, Extend{connected.connection}) == Error::kNoSuchChannel);
  rig.Expect<Done>(client.peer, Disconnect{connected.connection});
}

TEST_CASE("broker: arguments of channels are refused as the simulated kernel refuses them") {
  BrokerRig rig;
  const Actor server = rig.Start("server"), other = rig.Start("other");
  const ChannelId channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const auto grant = [&](const Actor& by, ProcessId holder, int ceiling, Rights rights) {
    return rig.Refusal(by.peer, GrantChannel{channel, holder, 0, ceiling, rights});
  };
  CHECK(grant(other, other.process, 9, Rights::kConnect) == Error::kBadHandle);
  CHECK(grant(server, ProcessId{99}, 9, Rights::kConnect) == Error::kNoSuchName);
  CHECK(grant(server, other.process, 0, Rights::kConnect) == Error::kInvalidArgument);
  CHECK(grant(server, other.process, 9, Rights::kRead) == Error::kInvalidArgument);
  CHECK(grant(server, other.process, 9, Rights{0xf0}) == Error::kInvalidArgument);
  CHECK(rig.Refusal(other.peer, DestroyChannel{channel}) == Error::kBadHandle);
  CHECK(rig.Refusal(server.peer, MakeChannel{}, std::string(256, 'x')) == Error::kInvalidArgument);
}

TEST_CASE("broker: no two links share bits of a bell, and no two users a bell") {
  BrokerRig rig;
  const Actor server = rig.Start("server", {.uid = 1});
  const Actor clients[] = {rig.Start("a", {.uid = 2}), rig.Start("b", {.uid = 2}),
                           rig.Start("c", {.uid = 3})};
  const ChannelId channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  std::map<uint32_t, uint32_t> user_of_bell;
  std::set<std::pair<uint32_t, uint32_t>> taken;
  const auto take = [&](const Connected& link, uint32_t uid) {
    CHECK(link.first_bit % kBitsPerLink == 0);
    CHECK(link.first_bit < kBellBits);
    CHECK(taken.insert({link.bell, link.first_bit}).second);
    CHECK(user_of_bell.insert({link.bell, uid}).first->second == uid);
  };
  std::vector<uint32_t> connections;
  for (int i = 0; i < 9; ++i) {
    const Actor& client = clients[i % 3];
    const auto connected = rig.ConnectTo(server, channel, client);
    connections.push_back(connected.connection);
    take(connected, i % 3 == 2 ? 3 : 2);
  }
  for (int i = 0; i < 60; ++i) {
    const auto extended = rig.Expect<Connected>(clients[0].peer, Extend{connections[0]});
    CHECK(rig.Notice<Attached>(server.peer).first.connection == connections[0]);
    take(extended, 2);
  }
  for (int i = 0; i < 3; ++i) rig.Call(clients[0].peer, Extend{connections[0]});
  CHECK(rig.Refusal(clients[0].peer, Extend{connections[0]}) == Error::kQuotaExhausted);
  CHECK(rig.Refusal(clients[1].peer, Extend{connections[0]}) == Error::kBadHandle);
}

TEST_CASE("broker: a bell that is full is followed by another") {
  BrokerRig rig({.links_per_connection = 2000});
  const Actor both = rig.Start("both");
  const auto channel = rig.Expect<MadeChannel>(both.peer, MakeChannel{});
  const auto first = rig.ConnectTo(both, channel.channel, both);  // to itself
  CHECK(first.bell == channel.bell);
  for (size_t i = 1; i < BellRecord::kPlaces; ++i) {
    rig.broker.OnPacket(both.peer, Packet::Of(1, Extend{first.connection}));
  }
  rig.outlet.sent.clear();
  const auto next = rig.Expect<Connected>(both.peer, Extend{first.connection});
  CHECK(next.bell != first.bell);
  CHECK(rig.Notice<Attached>(both.peer).first.new_bell == 1);
  rig.Expect<Done>(both.peer, Disconnect{first.connection});
}

TEST_CASE("broker: the death of a server, and of a client, is told to the other side (L1, L2)") {
  BrokerRig rig;
  const Actor server = rig.Start("server"), client = rig.Start("client"),
              other = rig.Start("other");
  const ChannelId channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const auto mine = rig.ConnectTo(server, channel, client);
  const auto theirs = rig.ConnectTo(server, channel, other);
  rig.broker.OnGone(client.peer);
  rig.broker.CheckInvariants();
  CHECK(rig.Notice<Detached>(server.peer).first.connection == mine.connection);
  CHECK(rig.Refusal(server.peer, GrantChannel{channel, client.process, 0, 9, Rights::kConnect}) ==
        Error::kNoSuchName);
  rig.broker.OnGone(server.peer);
  rig.broker.CheckInvariants();
  const auto gone = rig.Notice<ChannelGone>(other.peer).first;
  CHECK(gone.connection == theirs.connection);
  CHECK(gone.revoked == 0);
  CHECK(rig.Silent(client.peer));
}

TEST_CASE("broker: quotas are named when they are used up") {
  BrokerRig rig({.channels_per_process = 2,
                 .connections_per_process = 2,
                 .strangers_per_user = 3,
                 .processes_per_user = 2});
  const Actor both = rig.Start("both");
  const ChannelId channel = rig.Expect<MadeChannel>(both.peer, MakeChannel{}).channel;
  rig.Expect<MadeChannel>(both.peer, MakeChannel{});
  CHECK(rig.Refusal(both.peer, MakeChannel{}) == Error::kQuotaExhausted);
  CHECK(rig.TextOf(rig.last) == "2 channels are all that a process may have");
  const Token token = rig.GrantTo(both, channel, both);
  rig.Expect<Connected>(both.peer, Connect{token});
  rig.Expect<Connected>(both.peer, Connect{token});
  CHECK(rig.Refusal(both.peer, Connect{token}) == Error::kQuotaExhausted);
  CHECK(rig.TextOf(rig.last) == "2 connections are all that a process may have");
  rig.Launched("second");
  CHECK(rig.Refusal(rig.launcher, rig.SpawnAs({}), JoinTail({"client", "third"})) ==
        Error::kQuotaExhausted);
  rig.NewPeer(1000);
  CHECK_FALSE(rig.outlet.dropped.contains(rig.NewPeer(1000)));
  CHECK(rig.outlet.dropped.contains(rig.NewPeer(1000)));
  CHECK_FALSE(rig.outlet.dropped.contains(rig.NewPeer(1001)));
}

// -- Events

TEST_CASE("broker: an event is opened by who it was given to, as often as it likes (U4)") {
  BrokerRig rig;
  const Actor server = rig.Start("server", {.uid = 1}), client = rig.Start("client", {.uid = 2});
  const ChannelId to = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const ChannelId events = rig.Expect<MadeChannel>(client.peer, MakeChannel{}).channel;
  const uint32_t connection = rig.ConnectTo(server, to, client).connection;
  RegisterEvent spec = {events, connection, 9, 1, 12, 0, 1234};
  const Token token = rig.Expect<TokenMade>(client.peer, spec).token;
  CHECK(rig.Refusal(client.peer, OpenEvent{token}) == Error::kNotPermitted);
  CHECK(rig.Refusal(server.peer, Connect{token}) == Error::kNotPermitted);
  const auto opened = rig.Expect<OpenedEvent>(server.peer, OpenEvent{token});
  CHECK(rig.last.fds.size() == 3);
  // Words hold either's numbers, so they are never the same.
  CHECK(rig.Expect<RegionMade>(client.peer, MakeRegion{1, 1, 0}).grant_value > opened.event);
  CHECK(opened.value == 1234);
  CHECK(rig.Word(server, opened.grant_word) == opened.event);
  const auto [attached, notice] = rig.Notice<EventAttached>(client.peer);
  CHECK(attached.event == opened.event);
  CHECK(attached.bell == opened.bell);
  CHECK(attached.code == 9);
  CHECK(notice.fds.size() == 3);
  const auto again = rig.Expect<OpenedEvent>(server.peer, OpenEvent{token});
  CHECK(again.first_bit == opened.first_bit);
  CHECK(again.grant_word == opened.grant_word);
  CHECK(rig.Silent(client.peer));
  rig.Expect<Done>(client.peer, Revoke{token});
  CHECK(rig.Word(server, opened.grant_word) == 0);
  CHECK(rig.Refusal(server.peer, OpenEvent{token}) == Error::kNotPermitted);

  spec.code = 200;
  CHECK(rig.Refusal(client.peer, spec) == Error::kInvalidArgument);
  spec.code = 1;
  spec.priority = 256;
  CHECK(rig.Refusal(client.peer, spec) == Error::kInvalidArgument);
  spec.priority = 10;
  CHECK(rig.Refusal(server.peer, spec) == Error::kBadHandle);
  const Token second = rig.Expect<TokenMade>(client.peer, spec).token;
  const auto word = rig.Expect<OpenedEvent>(server.peer, OpenEvent{second}).grant_word;
  rig.broker.OnGone(client.peer);
  rig.broker.CheckInvariants();
  CHECK(rig.Word(server, word) == 0);
}

// -- Deadlocks

void Publish(const Actor& actor, size_t entry, const char* name, ThreadState state,
             uint32_t blocked_on, uint32_t serves, uint64_t since) {
  ThreadEntry& thread = actor.page.As<ProcessPage>()->threads[entry];
  thread.id = static_cast<uint32_t>(entry + 1);
  thread.state = static_cast<uint8_t>(state);
  thread.blocked_on = blocked_on;
  thread.serves[0] = serves;
  thread.since = since;
  for (size_t i = 0; i < thread.name.size(); ++i) thread.name[i] = i < strlen(name) ? name[i] : 0;
}

TEST_CASE("broker: a circle of waits is told to the sender that has closed it (L4)") {
  BrokerRig rig;
  const Actor a = rig.Start("a"), b = rig.Start("b");
  const ChannelId of_a = rig.Expect<MadeChannel>(a.peer, MakeChannel{}).channel;
  const ChannelId of_b = rig.Expect<MadeChannel>(b.peer, MakeChannel{}).channel;
  const uint32_t to_b = rig.ConnectTo(b, of_b, a).connection;
  const uint32_t to_a = rig.ConnectTo(a, of_a, b).connection;
  const auto circle = [&](const Actor& asker, uint32_t thread = 1) {
    rig.Expect<FoundDeadlock>(asker.peer, FindDeadlock{ThreadId{thread}});
    return std::string(rig.last.Tail<FoundDeadlock>());
  };
  Publish(a, 0, "main", ThreadState::kReply, to_b, Raw(of_a), 10);
  Publish(b, 0, "ma\x01n", ThreadState::kSend, to_a, Raw(of_b), 20);
  CHECK(circle(b) == "would deadlock: b/ma?n -> a/main -> b/ma?n");
  CHECK(circle(a) == "");
  CHECK(circle(a, 7) == "");
  // Two senders: the later one is told.
  Publish(a, 0, "main", ThreadState::kSend, to_b, Raw(of_a), 30);
  CHECK(circle(b) == "");
  CHECK(circle(a) == "would deadlock: a/main -> b/ma?n -> a/main");
  // A second thread that serves b's channel could free it.
  Publish(b, 1, "pool", ThreadState::kReceive, Raw(of_b), Raw(of_b), 5);
  CHECK(circle(a) == "");
  // One that does not serve matters to who waits for a reply only.
  Publish(b, 1, "other", ThreadState::kReady, 0, 0, 5);
  CHECK(circle(a) != "");
  Publish(b, 1, "other", ThreadState::kReady, 0, ~0u, 5);
  CHECK(circle(a) == "");
  // Through a thread of the same process.
  Publish(b, 1, "other", ThreadState::kSend, to_a, 0, 50);
  Publish(b, 0, "main", ThreadState::kJoin, 2, Raw(of_b), 20);
  CHECK(circle(b, 2) == "would deadlock: b/other -> a/main -> b/main -> b/other");
  Publish(b, 0, "main", ThreadState::kMutex, 9, Raw(of_b), 20);
  CHECK(circle(b, 2) == "");
  // Who says that it waits on a connection of somebody else's waits for nobody.
  Publish(b, 0, "main", ThreadState::kSend, to_b, Raw(of_b), 20);
  Publish(b, 1, "other", ThreadState::kDead, 0, 0, 5);
  CHECK(circle(b) == "");
}

}  // namespace
}  // namespace parley::host::tests
