// A broker with nobody behind its sockets: what tests say on behalf of launchers and processes, and
// what they are told.
#ifndef PARLEY_TESTS_HOST_BROKER_RIG_H_
#define PARLEY_TESTS_HOST_BROKER_RIG_H_

#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernel-sim/host/broker.h"
#include "kernel-sim/kernel.h"

namespace parley::host::tests {

struct FakeOutlet final : BrokerOutlet {
  void Send(PeerId peer, Packet packet) override { sent[peer].push_back(std::move(packet)); }
  bool IsBehind(PeerId peer) const override { return behind.contains(peer); }
  void Drop(PeerId peer) override { dropped.insert(peer); }
  void Kill(PeerId peer, const UniqueFd&) override { killed.push_back(peer); }
  uint64_t Random() override { return random(); }
  int64_t Now() override { return now_ns; }
  void Warn(const std::string& line) override { warnings.push_back(line); }

  std::map<PeerId, std::deque<Packet>> sent;
  std::set<PeerId> dropped, behind;
  std::vector<PeerId> killed;
  std::vector<std::string> warnings;
  std::mt19937_64 random{1};
  int64_t now_ns = 0;
};

// How a process is started.
struct As {
  uint32_t uid = 1000;
  int ceiling = kMaxPriority;
  bool name_server = false;
  uint64_t quota = kDefaultRegionQuotaBytes;
};

struct Actor {
  PeerId peer = PeerId::kNone;
  ProcessId process = ProcessId::kNone;
  uint64_t ticket = 0;
  Launch launch = {};
  Joined joined = {};
  Fds fds;  // of Joined
  SharedMapping page, grants;
};

class BrokerRig {
 public:
  explicit BrokerRig(const BrokerLimits& limits = {}, const BrokerLife& life = {},
                     uint32_t adopts = 0)
      : broker(outlet, 77, limits, {}, life) {
    launcher = NewPeer(0);
    const Packet done = Call(launcher, BecomeLauncher{kWireVersion, adopts},
                             JoinTail({"server", "client", "names"}));
    REQUIRE(done.As<Done>());
  }

  PeerId NewPeer(uint32_t uid) {
    last_peer_ = PeerId{Raw(last_peer_) + 1};
    broker.OnPeer(last_peer_, {ProcessId::kNone, static_cast<uint32_t>(getpid()), uid, uid},
                  UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0))));
    return last_peer_;
  }

  // Says it, and takes the answer out of what was sent. Empty if there is none.
  template <WireStruct T>
  Packet Call(PeerId peer, const T& body, std::string_view tail = {}) {
    const uint32_t number = ++last_call_;
    broker.OnPacket(peer, Packet::Of(number, body, tail));
    broker.CheckInvariants();
    return TakeAnswer(peer, number);
  }
  template <typename Answer, WireStruct T>
  Answer Expect(PeerId peer, const T& body, std::string_view tail = {}) {
    last = Call(peer, body, tail);
    INFO(TextOf(last));
    REQUIRE(last.As<Answer>());
    return *last.As<Answer>();
  }
  template <WireStruct T>
  Error Refusal(PeerId peer, const T& body, std::string_view tail = {}) {
    last = Call(peer, body, tail);
    return ErrorIn(last);
  }
  static Error ErrorIn(const Packet& packet) {
    const auto failed = packet.As<Failed>();
    return failed ? static_cast<Error>(failed->error) : Error::kNone;
  }
  static std::string TextOf(const Packet& packet) {
    return packet.As<Failed>() ? std::string(packet.Tail<Failed>()) : "";
  }
  Packet TakeAnswer(PeerId peer, uint32_t number) {
    auto& packets = outlet.sent[peer];
    auto found = std::find_if(packets.begin(), packets.end(), [&](const Packet& packet) {
      return packet.header()->call == number;
    });
    if (found == packets.end()) return {};
    Packet answer = std::move(*found);
    packets.erase(found);
    return answer;
  }
  // The oldest notice to the peer, which has to be a T.
  template <WireStruct T>
  std::pair<T, Packet> Notice(PeerId peer) {
    auto& packets = outlet.sent[peer];
    REQUIRE_FALSE(packets.empty());
    Packet packet = std::move(packets.front());
    packets.pop_front();
    REQUIRE(packet.header()->call == 0);
    REQUIRE(packet.As<T>());
    const T body = *packet.As<T>();
    return {body, std::move(packet)};
  }
  bool Silent(PeerId peer) { return outlet.sent[peer].empty(); }

  static Spawn SpawnAs(const As& as) {
    Spawn spawn = {};
    spawn.scheduling = {0, 10, 4'000'000, 0, 0, 1, 8};
    if (as.ceiling < 10) spawn.scheduling.priority = as.ceiling;
    spawn.ceiling = as.ceiling;
    spawn.has_uid = spawn.has_gid = 1;
    spawn.uid = spawn.gid = as.uid;
    spawn.name_server = as.name_server;
    spawn.region_quota_bytes = as.quota;
    return spawn;
  }

  // By a process. The launcher says that it has forked it.
  Launch SpawnedBy(const Actor& maker, const Spawn& spawn, std::string_view tail) {
    const uint32_t number = ++last_call_;
    broker.OnPacket(maker.peer, Packet::Of(number, spawn, tail));
    CHECK(TakeAnswer(maker.peer, number).bytes.empty());
    const auto launch = Notice<Launch>(launcher).first;
    broker.OnPacket(launcher, Packet::Of(0, host::Launched{launch.process}));
    broker.CheckInvariants();
    CHECK(TakeAnswer(maker.peer, number).As<Spawned>()->process == launch.process);
    return launch;
  }

  Actor Launched(const std::string& name, const As& as = {}) {
    Actor actor;
    actor.process = Expect<Spawned>(launcher, SpawnAs(as),
                                    JoinTail({as.name_server ? "names" : "client", name}))
                        .process;
    actor.launch = Notice<Launch>(launcher).first;
    CHECK(actor.launch.process == actor.process);
    actor.ticket = actor.launch.ticket;
    actor.peer = NewPeer(as.uid);
    return actor;
  }
  void Join(Actor& actor) {
    Accept(actor, Call(actor.peer, host::Join{kWireVersion, 0, actor.ticket}));
  }
  void Accept(Actor& actor, Packet answer) {
    REQUIRE(answer.As<Joined>());
    actor.joined = *answer.As<Joined>();
    actor.fds = std::move(answer.fds);
    actor.page = MapShared(actor.fds[0], sizeof(ProcessPage), true).value();
    actor.grants = MapShared(actor.fds[1], sizeof(GrantPage), false).value();
  }
  Actor Start(const std::string& name, const As& as = {}) {
    Actor actor = Launched(name, as);
    Join(actor);
    return actor;
  }

  uint64_t Word(const Actor& actor, uint32_t word) {
    return actor.grants.As<GrantPage>()->words[word].load();
  }

  // A channel of `server`, and a way to it for `client`.
  Token GrantTo(const Actor& server, ChannelId channel, const Actor& client, uint64_t badge = 0,
                int ceiling = kMaxPriority, Rights rights = Rights::kConnect) {
    return Expect<TokenMade>(server.peer,
                             GrantChannel{channel, client.process, badge, ceiling, rights})
        .token;
  }
  // Made, connected; the server's notices are consumed, the client's answer is in `last`.
  Connected ConnectTo(const Actor& server, ChannelId channel, const Actor& client) {
    const auto connected =
        Expect<Connected>(client.peer, Connect{GrantTo(server, channel, client)});
    Notice<Attached>(server.peer);
    return connected;
  }

  FakeOutlet outlet;
  Broker broker;
  PeerId launcher = PeerId::kNone;
  Packet last;

 private:
  PeerId last_peer_ = PeerId::kNone;
  uint32_t last_call_ = 0;
};

}  // namespace parley::host::tests

#endif  // PARLEY_TESTS_HOST_BROKER_RIG_H_
