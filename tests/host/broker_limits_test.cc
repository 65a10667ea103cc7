// What one process may take of what the broker has for all, and numbers that run out.
#include "kernel-sim/core/thread_state.h"
#include "kernel-sim/host/broker_numbers.h"
#include "tests/host/broker_rig.h"

namespace parley::host::tests {
namespace {

TEST_CASE("numbers begin again after the last, and leave out those in use") {
  Numbers numbers(~0u - 2);
  const auto none = [](uint32_t) { return false; };
  CHECK_FALSE(numbers.WasUsed(0));
  CHECK_FALSE(numbers.WasUsed(~0u));
  CHECK(numbers.Next(none) == ~0u - 1);
  CHECK(numbers.Next(none) == ~0u);
  CHECK(numbers.Next([](uint32_t number) { return number <= 3; }) == 4);
  CHECK(numbers.Next(none) == 5);
  CHECK(numbers.WasUsed(6));
  CHECK_FALSE(numbers.WasUsed(0));
}

TEST_CASE("broker: who connects without end comes by every number again, but for those in use") {
  BrokerRig rig({.last_number = ~0u - 4});
  const Actor server = rig.Start("server"), client = rig.Start("client");
  const ChannelId channel = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const uint32_t kept = rig.ConnectTo(server, channel, client).connection;
  CHECK(kept == ~0u - 3);
  std::set<uint32_t> numbers;
  for (int i = 0; i < 10; ++i) {
    const uint32_t number = rig.ConnectTo(server, channel, client).connection;
    CHECK(number != 0);
    CHECK(numbers.insert(number).second);
    if (i > 5) continue;  // the last of them stay
    rig.Expect<Done>(client.peer, Disconnect{number});
    CHECK(rig.Notice<Detached>(server.peer).first.connection == number);
  }
  CHECK_FALSE(numbers.contains(kept));
  std::set<ChannelId> channels = {channel};
  std::set<uint32_t> bells;
  std::set<RegionId> regions;
  for (int i = 0; i < 10; ++i) {
    const auto made = rig.Expect<MadeChannel>(client.peer, MakeChannel{});
    CHECK(channels.insert(made.channel).second);
    CHECK(bells.insert(made.bell).second);
    CHECK(regions.insert(rig.Expect<RegionMade>(client.peer, MakeRegion{1, 1, 0}).region).second);
  }
  std::set<ProcessId> processes = {server.process, client.process};
  for (int i = 0; i < 10; ++i) CHECK(processes.insert(rig.Launched("another").process).second);
}

TEST_CASE("broker: events of one process take a bounded part of another's grant words (U4)") {
  BrokerRig rig({.opened_events_of_one_process = 2});
  const Actor server = rig.Start("server"), greedy = rig.Start("greedy"),
              other = rig.Start("other");
  const ChannelId to = rig.Expect<MadeChannel>(server.peer, MakeChannel{}).channel;
  const auto registered = [&](const Actor& client) {
    const ChannelId events = rig.Expect<MadeChannel>(client.peer, MakeChannel{}).channel;
    const uint32_t connection = rig.ConnectTo(server, to, client).connection;
    return rig.Expect<TokenMade>(client.peer, RegisterEvent{events, connection, 9, 1, 12, 0, 0})
        .token;
  };
  const Token first = registered(greedy), second = registered(greedy), third = registered(greedy);
  rig.Expect<OpenedEvent>(server.peer, OpenEvent{first});
  rig.Expect<OpenedEvent>(server.peer, OpenEvent{second});
  rig.Expect<OpenedEvent>(server.peer, OpenEvent{second});  // it is open already
  CHECK(rig.Refusal(server.peer, OpenEvent{third}) == Error::kQuotaExhausted);
  CHECK(rig.TextOf(rig.last) == "2 events of one process are all that another may have open");
  rig.Expect<OpenedEvent>(server.peer, OpenEvent{registered(other)});
  rig.Expect<Done>(greedy.peer, Revoke{first});
  rig.Expect<OpenedEvent>(server.peer, OpenEvent{third});
  rig.broker.OnGone(greedy.peer);
  rig.broker.CheckInvariants();
}

TEST_CASE("broker: who asks for circles without end is told of none for a while (L4)") {
  BrokerRig rig;
  const Actor a = rig.Start("a");
  const ChannelId of_a = rig.Expect<MadeChannel>(a.peer, MakeChannel{}).channel;
  ThreadEntry& thread = a.page.As<ProcessPage>()->threads[0];
  thread.id = 1;
  thread.state = static_cast<uint8_t>(ThreadState::kSend);
  thread.blocked_on = rig.ConnectTo(a, of_a, a).connection;
  thread.serves[0] = Raw(of_a);
  const auto told = [&] {
    rig.Expect<FoundDeadlock>(a.peer, FindDeadlock{ThreadId{1}});
    return !rig.last.Tail<FoundDeadlock>().empty();
  };
  rig.outlet.now_ns = 1'000'000'000;
  for (int i = 0; i < 64; ++i) CHECK(told());
  for (int i = 0; i < 100; ++i) CHECK_FALSE(told());
  rig.outlet.now_ns += 1'000'000'000;
  CHECK(told());
}

TEST_CASE("broker: a child has at most its maker's quota of regions (R1)") {
  BrokerRig rig;
  const Actor maker = rig.Start("maker", {.quota = 8192});
  const Launch child =
      rig.SpawnedBy(maker, rig.SpawnAs({.quota = 1 << 20}), JoinTail({"client", "child"}));
  Actor actor;
  actor.process = child.process;
  actor.ticket = child.ticket;
  actor.peer = rig.NewPeer(1000);
  rig.Join(actor);
  CHECK(rig.Refusal(actor.peer, MakeRegion{8193, 1, 0}) == Error::kQuotaExhausted);
  rig.Expect<RegionMade>(actor.peer, MakeRegion{8192, 1, 0});
}

}  // namespace
}  // namespace parley::host::tests
