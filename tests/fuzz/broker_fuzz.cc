// The broker's state machine under packets that libFuzzer makes up.
//
// The input is a list of steps: a byte for the seat that acts, a byte for what it does. Most steps
// are calls: a sensible body of their kind, in which ids and tokens are picked by a byte each out
// of all that the broker has ever told anybody, and which a control byte lets the input spoil. So a
// few bytes make a call that succeeds, and a few more one that nearly does.
//
// Checked: no crash, the broker's invariants, one answer to each call, and that nothing is left of
// peers that have gone, descriptors included.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "tests/fuzz/input.h"

namespace parley::host {
namespace {

// -- What a call looks like

enum class Field : uint8_t { kToken, kProcess, kChannel, kConnection, kCapability, kTicket };

// Where in a body something stands that the broker has to know.
struct Place {
  size_t offset;
  Field field;
};

struct Shape {
  Packet packet;  // a sensible one
  std::vector<Place> places;
};

template <WireStruct T>
Shape ShapeOf(const T& body, std::vector<Place> places = {}, std::string_view tail = {}) {
  return {Packet::Of(0, body, tail), std::move(places)};
}

constexpr Rights kReadWrite = Rights::kRead | Rights::kWrite;
constexpr WireScheduling kScheduling = {0, 10, 4'000'000, 0, 0, 1, 8};
constexpr std::string_view kSpawnTail{"program\0name\0argument\0", 22};

std::vector<Shape> MakeShapes() {
  std::vector<Shape> shapes;
  shapes.push_back(ShapeOf(Join{kWireVersion, 0, 0}, {{offsetof(Join, ticket), Field::kTicket}}));
  shapes.push_back(ShapeOf(BecomeLauncher{kWireVersion}, {}, kSpawnTail));
  shapes.push_back(ShapeOf(Spawn{kScheduling, 100, 0, 0, 0, 0, 0, 1 << 20}, {}, kSpawnTail));
  shapes.push_back(ShapeOf(Kill{}, {{offsetof(Kill, process), Field::kProcess}}));
  shapes.push_back(ShapeOf(Exited{}, {{offsetof(Exited, process), Field::kProcess}}, "gone"));
  shapes.push_back(ShapeOf(MakeChannel{}, {}, "channel"));
  shapes.push_back(
      ShapeOf(DestroyChannel{}, {{offsetof(DestroyChannel, channel), Field::kChannel}}));
  shapes.push_back(ShapeOf(GrantChannel{{}, {}, 1, 200, Rights::kConnect | Rights::kGrant},
                           {{offsetof(GrantChannel, channel), Field::kChannel},
                            {offsetof(GrantChannel, holder), Field::kProcess}}));
  for (const Rights rights : {Rights::kConnect, Rights::kRead, kReadWrite | Rights::kGrant}) {
    shapes.push_back(
        ShapeOf(Delegate{{}, {}, rights}, {{offsetof(Delegate, token), Field::kToken},
                                           {offsetof(Delegate, holder), Field::kProcess}}));
  }
  shapes.push_back(ShapeOf(Revoke{}, {{offsetof(Revoke, token), Field::kToken}}));
  shapes.push_back(ShapeOf(Connect{}, {{offsetof(Connect, token), Field::kToken}}));
  shapes.push_back(ShapeOf(Extend{}, {{offsetof(Extend, connection), Field::kConnection}}));
  shapes.push_back(ShapeOf(Disconnect{}, {{offsetof(Disconnect, connection), Field::kConnection}}));
  shapes.push_back(ShapeOf(RegisterEvent{{}, 0, 1, 1, 10, 0, 5},
                           {{offsetof(RegisterEvent, channel), Field::kChannel},
                            {offsetof(RegisterEvent, connection), Field::kConnection}}));
  shapes.push_back(ShapeOf(OpenEvent{}, {{offsetof(OpenEvent, token), Field::kToken}}));
  shapes.push_back(ShapeOf(FindDeadlock{ThreadId{1}}));
  shapes.push_back(ShapeOf(MakeRegion{2 * kPageBytes, 1, 0}));
  shapes.push_back(ShapeOf(GrantRegion{{}, {}, kReadWrite | Rights::kGrant, 0, kPageBytes},
                           {{offsetof(GrantRegion, capability), Field::kCapability},
                            {offsetof(GrantRegion, holder), Field::kProcess}}));
  shapes.push_back(ShapeOf(Redeem{}, {{offsetof(Redeem, token), Field::kToken}}));
  shapes.push_back(
      ShapeOf(Lend{{}, 0, kReadWrite}, {{offsetof(Lend, capability), Field::kCapability},
                                        {offsetof(Lend, connection), Field::kConnection}}));
  shapes.push_back(
      ShapeOf(RenewRegion{}, {{offsetof(RenewRegion, capability), Field::kCapability}}));
  for (const uint32_t freeze : {0, 1}) {
    shapes.push_back(ShapeOf(CommitRegion{{}, freeze, 0},
                             {{offsetof(CommitRegion, capability), Field::kCapability}}));
  }
  shapes.push_back(
      ShapeOf(CloseRegion{}, {{offsetof(CloseRegion, capability), Field::kCapability}}));
  return shapes;
}

// -- The world around the broker

// Who sits where. The first two are launchers, the others processes of one of them.
struct Seat {
  uint8_t launcher;
  uint32_t uid;
  bool name_server;
};
constexpr Seat kSeats[] = {{0, 0, false},    {1, 1000, false}, {0, 0, true},     {0, 1000, false},
                           {0, 1000, false}, {0, 1001, false}, {1, 1000, false}, {0, 1001, false}};
constexpr size_t kLaunchers = 2, kSeatCount = std::size(kSeats);

struct Sitting {
  PeerId peer = PeerId::kNone;
  bool settled = false;  // it has become a launcher, or has joined: each call has its answer
  SharedMapping page;    // kept when it has gone, and written to all the same
};

class World final : public BrokerOutlet {
 public:
  World() : broker_(*this, 77, {6, 12, 24, 6, 4, 3, 24, 256, 64, 100}) {
    for (size_t seat = 0; seat < kSeatCount; ++seat) SitDown(seat);
  }
  void Step(Input& input);
  void End();

  void Send(PeerId peer, Packet packet) override;
  bool IsBehind(PeerId peer) const override { return behind_.contains(peer); }
  void Drop(PeerId peer) override { dropped_.insert(peer); }
  void Kill(PeerId, const UniqueFd&) override {}
  uint64_t Random() override { return random_ += 0x9e3779b97f4a7c15; }
  int64_t Now() override { return 0; }

 private:
  bool IsHere(size_t seat) const {
    return sitting_[seat].peer != PeerId::kNone && !dropped_.contains(sitting_[seat].peer);
  }
  void Arrive(size_t seat);
  void SitDown(size_t seat);
  void Leave(size_t seat) { broker_.OnGone(std::exchange(sitting_[seat].peer, PeerId::kNone)); }
  void Call(size_t seat, const Shape& shape, Input& input);
  void Scribble(size_t seat, Input& input);
  void Say(PeerId peer, Packet packet) { broker_.OnPacket(peer, std::move(packet)); }
  uint64_t Pick(Field field, uint8_t choice) const;
  void Learn(Field field, uint64_t value) { known_[field].push_back(value); }

  std::map<Field, std::vector<uint64_t>> known_;
  std::vector<Token> tokens_;
  std::array<Sitting, kSeatCount> sitting_;
  std::set<PeerId> dropped_, behind_;
  uint64_t random_ = 0;
  uint32_t last_call_ = 0;
  size_t answers_ = 0;  // to the last call
  PeerId last_peer_ = PeerId::kNone;
  Broker broker_;
};

void World::Send(PeerId peer, Packet packet) {
  const Header header = *packet.header();
  PARLEY_CHECK(!dropped_.contains(peer) && packet.bytes.size() <= kMaxPacketBytes);
  PARLEY_CHECK(packet.fds.size() <= kMaxPacketFds);
  for (const UniqueFd& fd : packet.fds) PARLEY_CHECK(fd.valid());
  if (header.call != 0 && header.call == last_call_) ++answers_;
  if (const auto made = packet.As<TokenMade>()) tokens_.push_back(made->token);
  if (const auto made = packet.As<MadeChannel>()) Learn(Field::kChannel, Raw(made->channel));
  if (const auto made = packet.As<Connected>()) Learn(Field::kConnection, made->connection);
  if (const auto made = packet.As<RegionMade>()) Learn(Field::kCapability, Raw(made->capability));
  for (Sitting& sitting : sitting_) {  // a stranger hears of nothing else that is done
    if (sitting.peer == peer) sitting.settled |= packet.As<Done>() || packet.As<Joined>();
  }
  if (const auto launch = packet.As<Launch>()) {
    Learn(Field::kTicket, launch->ticket);
    Learn(Field::kProcess, Raw(launch->process));
  }
  if (const auto joined = packet.As<Joined>()) {
    Learn(Field::kChannel, Raw(joined->name_channel));
    if (joined->has_names != 0) Learn(Field::kConnection, joined->names.connection);
    for (Sitting& sitting : sitting_) {
      if (sitting.peer != peer) continue;
      sitting.page = MapShared(packet.fds[0], sizeof(ProcessPage), /*writable=*/true).value();
    }
  }
}

// A socket with nothing said on it yet.
void World::Arrive(size_t seat) {
  last_peer_ = PeerId{Raw(last_peer_) + 1};
  sitting_[seat].peer = last_peer_;
  sitting_[seat].settled = false;
  const uint32_t uid = kSeats[seat].uid;
  broker_.OnPeer(last_peer_, {ProcessId::kNone, static_cast<uint32_t>(getpid()), uid, uid},
                 UniqueFd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)));
}

// Arrives, and does what its role begins with.
void World::SitDown(size_t seat) {
  Arrive(seat);
  if (!IsHere(seat)) return;
  const PeerId peer = sitting_[seat].peer;
  if (seat < kLaunchers) {
    return Say(peer, Packet::Of(1, BecomeLauncher{kWireVersion}, kSpawnTail));
  }
  const auto& [launcher, uid, name_server] = kSeats[seat];
  if (!IsHere(launcher)) return;
  const Spawn spawn = {kScheduling, 100, 1, uid, 1, uid, name_server, 64 * kPageBytes};
  Say(sitting_[launcher].peer, Packet::Of(1, spawn, kSpawnTail));
  if (known_[Field::kTicket].empty()) return;
  Say(peer, Packet::Of(1, Join{kWireVersion, 0, known_[Field::kTicket].back()}));
}

// The high values are ones that the broker has not told, or no longer knows what of.
uint64_t World::Pick(Field field, uint8_t choice) const {
  auto found = known_.find(field);
  if (found == known_.end() || found->second.empty() || choice >= 0xf8) return choice - 0xf8;
  const auto& values = found->second;
  return values[values.size() - 1 - choice % values.size()];
}

void World::Call(size_t seat, const Shape& shape, Input& input) {
  Packet packet;
  packet.bytes = shape.packet.bytes;
  const auto body = packet.bytes.begin() + sizeof(Header);
  const auto put = [&](size_t offset, const void* value, size_t bytes) {
    std::memcpy(&*(body + static_cast<ptrdiff_t>(offset)), value, bytes);
  };
  for (const auto& [offset, field] : shape.places) {
    const uint8_t choice = input.Byte();
    if (field == Field::kToken) {
      Token token = {choice, choice};
      if (!tokens_.empty()) token = tokens_[tokens_.size() - 1 - choice % tokens_.size()];
      put(offset, &token, sizeof(token));
    } else {
      const uint64_t value = Pick(field, choice);
      const bool wide = field == Field::kCapability || field == Field::kTicket;
      put(offset, &value, wide ? sizeof(uint64_t) : sizeof(uint32_t));
    }
  }
  const uint8_t control = input.Byte();
  for (int i = 0; i < (control & 7); ++i) {
    const size_t at = sizeof(Header) + input.Byte();
    const auto value = static_cast<std::byte>(input.Byte());
    if (at < packet.bytes.size()) packet.bytes[at] = value;
  }
  if ((control & 8) != 0) packet.bytes.resize(input.Byte());
  if ((control & 16) != 0) {
    const std::string tail = input.Bytes(input.Byte());
    packet.Append(tail.data(), tail.size());
  }
  const uint32_t call = ++last_call_;
  if (packet.bytes.size() >= sizeof(Header)) {
    std::memcpy(packet.bytes.data() + offsetof(Header, call), &call, sizeof(call));
  }
  const PeerId peer = sitting_[seat].peer;
  const bool settled = sitting_[seat].settled;
  answers_ = 0;
  Say(peer, std::move(packet));
  if (IsHere(seat) && settled) PARLEY_CHECK(answers_ == 1);
}

void World::Scribble(size_t seat, Input& input) {
  ProcessPage* page = sitting_[seat].page.As<ProcessPage>();
  if (page == nullptr) return;
  ThreadEntry& entry = page->threads[input.Byte() % 4];
  entry.id = input.Byte() % 4;
  entry.state = input.Byte();
  const uint8_t blocked_on = input.Byte();
  entry.blocked_on = blocked_on < 4 ? blocked_on : Pick(Field::kConnection, blocked_on - 4);
  entry.serves[blocked_on % 4] = static_cast<uint32_t>(Pick(Field::kChannel, input.Byte()));
  entry.since = input.Byte();
  entry.name[blocked_on % 32] = static_cast<char>(blocked_on);
}

void World::Step(Input& input) {
  static const auto& shapes = *new std::vector<Shape>(MakeShapes());
  const size_t seat = input.Byte() % kSeatCount;
  const size_t deed = input.Byte() % (shapes.size() + 6);
  if (deed < shapes.size()) {
    if (IsHere(seat)) Call(seat, shapes[deed], input);
    return;
  }
  switch (deed - shapes.size()) {
    case 0:
      return Leave(seat);
    case 1:
      Leave(seat);
      return SitDown(seat);
    case 2:
      Leave(seat);
      return Arrive(seat);
    case 3:
      return Scribble(seat, input);
    case 4:
      if (behind_.erase(sitting_[seat].peer) == 0) behind_.insert(sitting_[seat].peer);
      return;
    default:
      Packet packet;
      const std::string bytes = input.Bytes(input.Byte());
      packet.Append(bytes.data(), bytes.size());
      return Say(sitting_[seat].peer, std::move(packet));
  }
}

void World::End() {
  broker_.CheckInvariants();
  for (size_t seat = kSeatCount; seat-- > 0;) Leave(seat);
  broker_.CheckInvariants();
  PARLEY_CHECK(broker_.launchers() == 0);
}

int LowestFreeDescriptor() {
  const UniqueFd probe(fcntl(STDERR_FILENO, F_DUPFD, 3));
  return probe.get();
}

void RunOne(const uint8_t* data, size_t size) {
  const int before = LowestFreeDescriptor();
  {
    World world;
    Input input(data, size);
    while (!input.empty()) world.Step(input);
    world.End();
  }
  PARLEY_CHECK(LowestFreeDescriptor() == before);
}

}  // namespace
}  // namespace parley::host

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  parley::host::RunOne(data, size);
  return 0;
}
