// The broker under a million packets that mean nothing, or nearly something, from processes that
// come and go, while two that behave go about their business.
#include <dirent.h>

#include <algorithm>
#include <array>

#include "tests/core/drive.h"
#include "tests/host/broker_honest.h"
#include "tests/host/broker_rig.h"

namespace parley::host::tests {
namespace {

constexpr int kChecked = 2'000;    // packets between two looks at the invariants
constexpr uint32_t kSensible = 6;  // one packet in so many is a call that may well succeed

// What a monkey has been told, and tries again: its own things and others'. The oldest give way.
template <typename Value>
struct Memory {
  void Add(Value value) { values[next++ % values.size()] = value; }
  Value Any(::tests::Choices& choices) const { return values[choices.Below(values.size())]; }
  std::array<Value, 12> values = {};
  size_t next = 0;
};

struct Monkey {
  Actor actor;
  bool name_server = false;
  Memory<ChannelId> channels;
  Memory<uint32_t> connections;
  Memory<CapabilityId> capabilities;
  Memory<Token> tokens;
};

class Monkeys {
 public:
  explicit Monkeys(::tests::Choices& choices) : choices_(choices), honest_(rig_, 3) {
    monkeys_[0].name_server = true;
    for (Monkey& monkey : monkeys_) Start(monkey);
  }

  void Step() {
    Monkey& monkey = monkeys_[choices_.Below(monkeys_.size())];
    if (choices_.Below(10'000) == 0) return Restart(monkey);
    if (choices_.Below(50) == 0) Scribble(monkey);
    if (choices_.Below(100) == 0) honest_.Step(choices_);
    if (choices_.Below(1'000) == 0) ComeAndGo();
    Packet packet = choices_.Below(kSensible) == 0 ? Sense(monkey) : Noise();
    const uint32_t number = packet.header() ? packet.header()->call : 0;
    rig_.broker.OnPacket(monkey.actor.peer, packet);
    size_t answers = 0;
    const auto told = std::exchange(rig_.outlet.sent, {});
    if (auto found = told.find(monkey.actor.peer); found != told.end()) {
      for (const Packet& sent : found->second) {
        if (sent.header()->call != number) continue;
        Learn(monkey, packet, sent);
        ++answers;
      }
    }
    if (rig_.outlet.dropped.contains(monkey.actor.peer)) return Restart(monkey);
    if (answers != 1) FAIL("a call has " << answers << " answers");
  }
  void Check() {
    rig_.broker.CheckInvariants();
    if (!honest_.AreWell()) FAIL("who never misbehaved was lost or killed");
  }
  // With invariants 1 and 6 nothing is left then.
  void AllLeave() {
    for (const Monkey& monkey : monkeys_) rig_.broker.OnGone(monkey.actor.peer);
    for (PeerId peer : strangers_) rig_.broker.OnGone(peer);
    Check();
    honest_.Leave();
    rig_.broker.CheckInvariants();
    rig_.broker.OnGone(rig_.launcher);
    rig_.broker.CheckInvariants();
    CHECK(rig_.broker.launchers() == 0);
  }

 private:
  void Start(Monkey& monkey) {
    const As as = {
        .uid = 1 + choices_.Below(2), .name_server = monkey.name_server, .quota = 16 * kPageBytes};
    Actor actor = rig_.Launched("monkey", as);
    rig_.Join(actor);
    const bool name_server = monkey.name_server;
    monkey = {};
    monkey.name_server = name_server;
    monkey.actor = std::move(actor);
    if (monkey.actor.joined.has_names) monkey.connections.Add(monkey.actor.joined.names.connection);
    monkey.channels.Add(monkey.actor.joined.name_channel);
    rig_.outlet.sent.clear();
  }
  // In either order: the launcher sees its exit, or its socket hangs up.
  void Restart(Monkey& monkey) {
    const bool hangs_up_first = choices_.Below(2) == 0;
    if (hangs_up_first) rig_.broker.OnGone(monkey.actor.peer);
    rig_.broker.OnPacket(rig_.launcher, Packet::Of(1, Exited{monkey.actor.process, 1, 128}));
    rig_.broker.OnGone(monkey.actor.peer);
    rig_.outlet.sent.clear();
    Start(monkey);
  }
  // One without a role, or with that of a launcher; what it says of tickets and processes is
  // guessed.
  void ComeAndGo() {
    PeerId& peer = strangers_[choices_.Below(strangers_.size())];
    if (choices_.Below(3) == 0) {
      rig_.broker.OnGone(peer);
      peer = rig_.NewPeer(1 + choices_.Below(2));
      if (choices_.Below(2) == 0) return;
      rig_.broker.OnPacket(peer,
                           Packet::Of(1, BecomeLauncher{kWireVersion}, JoinTail({"program"})));
    }
    const uint32_t what = choices_.Below(5);
    Packet packet = Noise();
    if (what == 0) packet = Packet::Of(1, Join{kWireVersion, 0, choices_.Below(9)});
    if (what == 1) packet = Packet::Of(1, Exited{Anybody(), choices_.Below(9), 0}, "no");
    if (what == 2) packet = Packet::Of(1, Kill{Anybody()});
    if (what == 3) {
      packet = Packet::Of(1, BrokerRig::SpawnAs({.uid = 1 + choices_.Below(2)}),
                          JoinTail({"program", "name", "argument"}));
    }
    rig_.broker.OnPacket(peer, packet);
  }

  // Into the page of threads, which the broker walks.
  void Scribble(const Monkey& monkey) {
    ThreadEntry& entry = monkey.actor.page.As<ProcessPage>()->threads[choices_.Below(3)];
    entry.id = choices_.Below(4);
    entry.state = static_cast<uint8_t>(choices_.Below(16));
    entry.blocked_on =
        choices_.Below(4) == 0 ? choices_.Below(3) : monkey.connections.Any(choices_);
    entry.serves[choices_.Below(4)] =
        choices_.Below(9) == 0 ? ~0u : Raw(monkey.channels.Any(choices_));
    entry.since = choices_.Below(100);
    entry.name[choices_.Below(32)] = static_cast<char>(choices_.Below(256));
  }

  Packet Noise() {
    Packet packet;
    const auto kind = choices_.Below(5000) == 0 ? choices_.Below(60) : AnyCall();
    const Header header = {Kind{kind}, choices_.Below(~0u) | 1};
    size_t bytes = sizeof(header) + 96;
    if (choices_.Below(5000) == 0) bytes = choices_.Below(static_cast<uint32_t>(bytes));
    const uint32_t chance = choices_.Below(~0u);
    noise_[chance >> 8 & 511] = chance % 4 == 0 ? chance : chance % 4 == 1 ? 0 : chance >> 28;
    const auto* noise = reinterpret_cast<const std::byte*>(&noise_[choices_.Below(480)]);
    packet.bytes.assign(noise, noise + bytes);
    std::copy_n(reinterpret_cast<const std::byte*>(&header), std::min(bytes, sizeof(header)),
                packet.bytes.begin());
    if (choices_.Below(5000) == 0) packet.bytes.insert(packet.bytes.end(), kMaxPacketBytes, {});
    if (choices_.Below(100) == 0) packet.fds.push_back(UniqueFd(dup(choices_.Below(8))));
    return packet;
  }
  uint32_t AnyCall() {
    static constexpr Kind kCalls[] = {
        Kind::kDestroyChannel, Kind::kGrantChannel, Kind::kDelegate,    Kind::kRevoke,
        Kind::kConnect,        Kind::kExtend,       Kind::kDisconnect,  Kind::kRegisterEvent,
        Kind::kOpenEvent,      Kind::kTurnAway,     Kind::kSpawn,       Kind::kKill,
        Kind::kFindDeadlock,   Kind::kCatchUp,      Kind::kMakeRegion,  Kind::kGrantRegion,
        Kind::kRedeem,         Kind::kLend,         Kind::kRenewRegion, Kind::kCommitRegion,
        Kind::kCloseRegion};
    return static_cast<uint32_t>(kCalls[choices_.Below(std::size(kCalls))]);
  }

  // A call whose arguments fit each other, but for a byte now and then.
  Packet Sense(const Monkey& self) {
    Packet packet = choices_.Below(2) == 0 ? SenseOfChannels(self) : SenseOfRegions(self);
    if (choices_.Below(10) == 0) {
      const auto at = choices_.Below(static_cast<uint32_t>(packet.bytes.size() - sizeof(Header)));
      packet.bytes[sizeof(Header) + at] = static_cast<std::byte>(choices_.Below(256));
    }
    return packet;
  }
  ProcessId Anybody() { return monkeys_[choices_.Below(monkeys_.size())].actor.process; }
  uint32_t Number() { return choices_.Below(1 << 30) + 1; }

  Packet SenseOfChannels(const Monkey& self) {
    const Token token = self.tokens.Any(choices_);
    const ChannelId channel = self.channels.Any(choices_);
    const uint32_t connection = self.connections.Any(choices_);
    const std::array rights = {Rights::kConnect, Rights::kConnect | Rights::kGrant};
    switch (choices_.Below(16)) {
      case 0:
        return Packet::Of(Number(), MakeChannel{}, "channel");
      case 1:
        return Packet::Of(Number(), DestroyChannel{channel});
      case 2:
        return Packet::Of(Number(), Delegate{token, Anybody(), choices_.OneOf(rights)});
      case 3:
        return Packet::Of(Number(), Revoke{token});
      case 4:
        return Packet::Of(Number(), Extend{connection});
      case 5:
        return Packet::Of(Number(), Disconnect{connection});
      case 6:
      case 7:
        return Packet::Of(Number(), RegisterEvent{channel, connection, 1, 1, 10, 0, 5});
      case 8:
      case 9:
        return Packet::Of(Number(), OpenEvent{token});
      case 10:
        return Packet::Of(Number(), FindDeadlock{ThreadId{choices_.Below(4)}});
      case 11:
      case 12:
        return Packet::Of(Number(), Connect{token});
      default:
        return Packet::Of(Number(),
                          GrantChannel{channel, Anybody(), 1, 200, choices_.OneOf(rights)});
    }
  }

  Packet SenseOfRegions(const Monkey& self) {
    const Token token = self.tokens.Any(choices_);
    const CapabilityId capability = self.capabilities.Any(choices_);
    const Rights read = Rights::kRead;
    const std::array rights = {read, read | Rights::kWrite, read | Rights::kGrant,
                               read | Rights::kWrite | Rights::kGrant};
    switch (choices_.Below(12)) {
      case 0:
        return Packet::Of(Number(), MakeRegion{kPageBytes * 2, choices_.Below(3), 0});
      case 1:
        return Packet::Of(Number(), CloseRegion{capability});
      case 2:
        return Packet::Of(Number(), RenewRegion{capability});
      case 3:
        return Packet::Of(Number(), CommitRegion{capability, choices_.Below(2), 0});
      case 4:
        return Packet::Of(Number(), Delegate{token, Anybody(), choices_.OneOf(rights)});
      case 5:
      case 6:
        return Packet::Of(Number(), Lend{capability, self.connections.Any(choices_),
                                         choices_.OneOf(rights) & (read | Rights::kWrite)});
      case 7:
      case 8:
      case 9:
        return Packet::Of(Number(), Redeem{token});
      default:
        return Packet::Of(Number(), GrantRegion{capability, Anybody(), choices_.OneOf(rights),
                                                choices_.Below(2) * kPageBytes, kPageBytes});
    }
  }

  void Learn(Monkey& monkey, const Packet& call, const Packet& packet) {
    if (const auto made = packet.As<TokenMade>()) {
      ProcessId holder = ProcessId::kNone;
      if (const auto grant = call.As<GrantChannel>()) holder = grant->holder;
      if (const auto grant = call.As<GrantRegion>()) holder = grant->holder;
      if (const auto grant = call.As<Delegate>()) holder = grant->holder;
      for (Monkey& other : monkeys_) {
        const bool its = holder == ProcessId::kNone || holder == other.actor.process;
        if (its || choices_.Below(20) == 0) other.tokens.Add(made->token);
      }
    }
    if (const auto made = packet.As<MadeChannel>()) monkey.channels.Add(made->channel);
    if (const auto made = packet.As<Connected>()) monkey.connections.Add(made->connection);
    if (const auto made = packet.As<RegionMade>()) monkey.capabilities.Add(made->capability);
  }

  ::tests::Choices& choices_;
  BrokerRig rig_{{.channels_per_process = 6,
                  .connections_per_process = 12,
                  .links_per_process = 24,
                  .links_per_connection = 6,
                  .processes_per_user = 12}};
  HonestPair honest_;
  std::array<Monkey, 4> monkeys_;
  std::array<PeerId, 6> strangers_ = {};
  std::array<uint32_t, 512> noise_ = {};  // a word of it changes with each packet
};

size_t OpenDescriptors() {
  DIR* folder = opendir("/proc/self/fd");
  REQUIRE(folder != nullptr);
  size_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

TEST_CASE("broker: a million packets without sense harm nobody, and nothing is left of them") {
  const uint64_t seed = ::tests::TestSeed();
  INFO("to repeat: PARLEY_TEST_SEED=", seed);
  // Also at once: a failed PARLEY_CHECK ends the program without the INFO.
  std::printf("PARLEY_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  ::tests::RandomChoices choices(seed);
  const size_t open = OpenDescriptors();
  {
    Monkeys monkeys(choices);
    for (int i = 0; i < ::tests::kRandomOperations; ++i) {
      monkeys.Step();
      if (i % kChecked == 0) monkeys.Check();
    }
    monkeys.AllLeave();
  }
  CHECK(OpenDescriptors() == open);
}

}  // namespace
}  // namespace parley::host::tests
