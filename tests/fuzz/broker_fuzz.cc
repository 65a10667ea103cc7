// The broker's state machine under packets that libFuzzer makes up.
//
// The input is a list of steps: a byte for the seat that acts, a byte for what it does. Most steps
// are calls: a sensible body of their kind, in which ids and tokens are picked by a byte each out
// of all that the broker has ever told anybody, and which a control byte lets the input spoil. So a
// few bytes make a call that succeeds, and a few more one that nearly does. Another step kills the
// broker: everybody comes to the next one, with what it had, or with what the input makes of that.
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
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"
#include "kernel-sim/host/wire_rejoin.h"
#include "tests/fuzz/broker_calls.h"
#include "tests/fuzz/input.h"

namespace parley::host {
namespace {

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

constexpr BrokerLimits kLimits = {6, 12, 24, 6, 4, 3, 24, 256, 64, 100};
constexpr size_t kMostBrokers = 4;
constexpr size_t kMostOwned = 32;  // claims of one seat
constexpr int64_t kLongNs = 10'000'000'000;

// What a process can claim after a restart.
struct Owned {
  Claim claim;
  Fds fds;
};

struct Sitting {
  PeerId peer = PeerId::kNone;
  bool settled = false;  // it has become a launcher, or has joined: each call has its answer
  SharedMapping page;    // kept when it has gone, and written to all the same
  std::vector<std::pair<Launch, std::string>> launches;  // of a launcher
  ProcessId process = ProcessId::kNone;                  // the rest of a process
  Fds shown;                                             // page, grants, ledger
  std::vector<Owned> owned;
};

Fds CopiesOf(const Packet& packet, size_t first, size_t count) {
  Fds copies;
  for (size_t i = first; i < first + count; ++i) {
    copies.push_back(Duplicate(packet.fds.at(i)).value());
  }
  return copies;
}

class World final : public BrokerOutlet {
 public:
  World() {
    StartBroker();
    for (size_t seat = 0; seat < kSeatCount; ++seat) SitDown(seat);
  }
  void Step(Input& input);
  void End();

  void Send(PeerId peer, Packet packet) override;
  bool IsBehind(PeerId peer) const override { return behind_.contains(peer); }
  void Drop(PeerId peer) override { dropped_.insert(peer); }
  void Kill(PeerId, const UniqueFd&) override {}
  uint64_t Random() override { return random_ += 0x9e3779b97f4a7c15; }
  int64_t Now() override { return now_ns_; }
  void Warn(const std::string&) override {}

 private:
  Broker& broker() { return *brokers_.back(); }
  bool IsHere(size_t seat) const {
    return sitting_[seat].peer != PeerId::kNone && !dropped_.contains(sitting_[seat].peer);
  }
  void StartBroker();
  void Arrive(size_t seat);
  void SitDown(size_t seat);
  void Leave(size_t seat);
  void Fork();
  void Call(size_t seat, const Shape& shape, Input& input);
  void Scribble(size_t seat, Input& input);
  void Say(PeerId peer, Packet packet) { broker().OnPacket(peer, std::move(packet)); }
  uint64_t Pick(Field field, uint8_t choice) const;
  void Learn(Field field, uint64_t value) { known_[field].push_back(value); }
  void LearnOwned(Sitting& sitting, const Packet& packet);
  static void Own(Sitting& sitting, ClaimOf of, uint64_t number, uint32_t first_bit, Fds fds = {});

  void Restart(Input& input);
  void ComeBack(size_t seat, Input& input);
  void Introduce(size_t seat, Input& input);
  void Rejoin(size_t seat, Input& input);
  void Wait();

  std::map<Field, std::vector<uint64_t>> known_;
  std::vector<Token> tokens_;
  std::array<Sitting, kSeatCount> sitting_;
  std::set<PeerId> dropped_, behind_;
  std::deque<std::pair<PeerId, ProcessId>> forks_;  // that a launcher has yet to do
  uint64_t random_ = 0;
  int64_t now_ns_ = 0;
  uint32_t last_call_ = 0;
  size_t answers_ = 0;  // to the last call
  PeerId last_peer_ = PeerId::kNone;
  std::vector<std::unique_ptr<Broker>> brokers_;  // the last lives; all others were killed
};

void World::StartBroker() {
  const auto reign = static_cast<uint32_t>(brokers_.size());
  brokers_.push_back(std::make_unique<Broker>(*this, 77, kLimits, BrokerOwner{},
                                              BrokerLife{.reign = reign, .key = {1, 2, 3}}));
}

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
  if (const auto joined = packet.As<Joined>()) {
    Learn(Field::kChannel, Raw(joined->name_channel));
    if (joined->has_names != 0) Learn(Field::kConnection, joined->names.connection);
  }
  if (const auto launch = packet.As<Launch>()) {
    Learn(Field::kTicket, launch->ticket);
    Learn(Field::kProcess, Raw(launch->process));
    forks_.emplace_back(peer, launch->process);
  }
  for (Sitting& sitting : sitting_) {  // a stranger hears of nothing else that is done
    if (sitting.peer != peer) continue;
    sitting.settled |= packet.As<Done>() || packet.As<Joined>();
    LearnOwned(sitting, packet);
  }
}

void World::Own(Sitting& sitting, ClaimOf of, uint64_t number, uint32_t first_bit, Fds fds) {
  if (sitting.owned.size() < kMostOwned) {
    sitting.owned.push_back({{number, of, {first_bit}}, std::move(fds)});
  }
}

void World::LearnOwned(Sitting& sitting, const Packet& packet) {
  if (const auto launch = packet.As<Launch>()) {
    sitting.launches.emplace_back(*launch, packet.Tail<Launch>());
  } else if (const auto joined = packet.As<Joined>()) {
    sitting.process = joined->process;
    sitting.page = MapShared(packet.fds[0], sizeof(ProcessPage), /*writable=*/true).value();
    sitting.shown = CopiesOf(packet, 0, 3);
    const auto& names = joined->names;
    if (joined->has_names != 0) Own(sitting, ClaimOf::kLink, names.connection, names.first_bit);
    if (joined->name_channel != ChannelId::kNone) {
      Own(sitting, ClaimOf::kChannel, Raw(joined->name_channel), 0);
      Own(sitting, ClaimOf::kBell, names.bell, 0, CopiesOf(packet, 3, 2));
    }
  } else if (const auto made = packet.As<MadeChannel>()) {
    Own(sitting, ClaimOf::kChannel, Raw(made->channel), 0);
    Own(sitting, ClaimOf::kBell, made->bell, 0, CopiesOf(packet, 0, 2));
  } else if (const auto connected = packet.As<Connected>()) {
    Own(sitting, ClaimOf::kLink, connected->connection, connected->first_bit);
  } else if (const auto attached = packet.As<Attached>()) {
    Own(sitting, ClaimOf::kServedLink, attached->connection, attached->first_bit);
    if (attached->new_bell != 0) {
      Own(sitting, ClaimOf::kBell, attached->bell, 0, CopiesOf(packet, 2, 2));
    }
  } else if (const auto event = packet.As<EventAttached>()) {
    Own(sitting, ClaimOf::kServedEvent, event->event, event->first_bit, CopiesOf(packet, 0, 1));
  } else if (const auto region = packet.As<RegionMade>()) {
    Own(sitting, ClaimOf::kRegion, Raw(region->capability), 0, CopiesOf(packet, 0, 1));
    Own(sitting, ClaimOf::kGrant, Raw(region->capability), 0);
  } else if (const auto lent = packet.As<Lent>()) {
    Own(sitting, ClaimOf::kServedLend, lent->connection, lent->lend);
  }
}

// A socket with nothing said on it yet.
void World::Arrive(size_t seat) {
  last_peer_ = PeerId{Raw(last_peer_) + 1};
  sitting_[seat].peer = last_peer_;
  sitting_[seat].settled = false;
  const uint32_t uid = kSeats[seat].uid;
  broker().OnPeer(last_peer_, {ProcessId::kNone, static_cast<uint32_t>(getpid()), uid, uid},
                  UniqueFd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)));
}

// Arrives, and does what its role begins with.
void World::SitDown(size_t seat) {
  Arrive(seat);
  if (!IsHere(seat)) return;
  const PeerId peer = sitting_[seat].peer;
  if (seat < kLaunchers) {
    return Say(peer, Packet::Of(1, BecomeLauncher{kWireVersion, 0}, kSpawnTail));
  }
  const auto& [launcher, uid, name_server] = kSeats[seat];
  if (!IsHere(launcher)) return;
  const Spawn spawn = {kScheduling, 100, 1, uid, 1, uid, name_server, 64 * kPageBytes};
  Say(sitting_[launcher].peer, Packet::Of(1, spawn, kSpawnTail));
  Fork();
  if (known_[Field::kTicket].empty()) return;
  Say(peer, Packet::Of(1, Join{kWireVersion, 0, known_[Field::kTicket].back()}));
}

void World::Leave(size_t seat) {
  Sitting& sitting = sitting_[seat];
  broker().OnGone(std::exchange(sitting.peer, PeerId::kNone));
  sitting.process = ProcessId::kNone;
  sitting.launches.clear();
  sitting.shown.clear();
  sitting.owned.clear();
}

// The launchers do what they were told to.
void World::Fork() {
  while (!forks_.empty()) {
    const auto [launcher, process] = forks_.front();
    forks_.pop_front();
    if (!dropped_.contains(launcher)) Say(launcher, Packet::Of(0, Launched{process}));
  }
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
  if ((control & 32) == 0) Fork();  // else a later step's
  const bool may_wait = broker().restoring() || !forks_.empty();
  if (IsHere(seat) && settled) PARLEY_CHECK(answers_ == 1 || (answers_ == 0 && may_wait));
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

// -- The broker's restart

// A byte for how each seat comes back; in that order, or the other way round.
void World::Restart(Input& input) {
  if (brokers_.size() == kMostBrokers) return;
  behind_.clear();
  forks_.clear();
  StartBroker();
  const bool processes_first = (input.Byte() & 1) != 0;
  for (size_t i = 0; i < kSeatCount; ++i) {
    ComeBack(processes_first ? kSeatCount - 1 - i : i, input);
  }
  broker().CheckInvariants();
  if ((input.Byte() & 1) == 0) Wait();  // else the rest is said while others are awaited
}

void World::ComeBack(size_t seat, Input& input) {
  Sitting& sitting = sitting_[seat];
  const bool was_here = IsHere(seat);
  sitting.peer = PeerId::kNone;
  const uint8_t how = input.Byte();
  if (!was_here || (how & 0xc0) == 0xc0) return;
  Arrive(seat);
  if (seat < kLaunchers) return Introduce(seat, input);
  if (sitting.process != ProcessId::kNone) Rejoin(seat, input);
}

// As the launcher does, but for what the input spoils.
void World::Introduce(size_t seat, Input& input) {
  Sitting& sitting = sitting_[seat];
  const uint8_t control = input.Byte();
  const auto count = static_cast<uint32_t>(sitting.launches.size()) + (control & 1);
  Say(sitting.peer, Packet::Of(1, BecomeLauncher{kWireVersion, count}, kSpawnTail));
  for (auto [launch, tail] : sitting.launches) {
    if ((control & 2) != 0) launch.process = ProcessId{input.Byte()};
    if ((control & 4) != 0) launch.spawn.uid = input.Byte();
    const uint32_t pid = (control & 8) != 0 ? input.Byte() % 2 : static_cast<uint32_t>(getpid());
    Say(sitting.peer, Packet::Of(2, Adopt{launch, pid, 0}, tail));
  }
}

// As a process does, but for what the input spoils.
void World::Rejoin(size_t seat, Input& input) {
  const Sitting& sitting = sitting_[seat];
  const uint8_t control = input.Byte();
  const Sitting& shows = (control & 1) == 0 ? sitting : sitting_[input.Byte() % kSeatCount];
  Packet packet = Packet::Of(3, host::Rejoin{kWireVersion, sitting.process});
  for (const UniqueFd& fd : shows.shown) packet.fds.push_back(Duplicate(fd).value());
  if ((control & 2) != 0 && !packet.fds.empty()) {
    std::swap(packet.fds.front(), packet.fds[input.Byte() % packet.fds.size()]);
  }
  Say(sitting.peer, std::move(packet));
  const Sitting& claims = (control & 4) == 0 ? sitting : sitting_[input.Byte() % kSeatCount];
  const uint32_t left_out = (control & 8) == 0 ? 0 : input.Byte() | input.Byte() << 8;
  Packet claimed = Packet::Of(0, Claims{0});
  for (size_t i = 0; i < claims.owned.size(); ++i) {
    if ((left_out >> i % 16 & 1) != 0) continue;
    Claim claim = claims.owned[i].claim;
    if ((control & 16) != 0 && input.Byte() % 4 == 0) claim.number = input.Byte();
    if ((control & 32) != 0 && input.Byte() % 4 == 0) claim.first_bit = input.Byte();
    claimed.Append(&claim, sizeof(claim));
    for (const UniqueFd& fd : claims.owned[i].fds) claimed.fds.push_back(Duplicate(fd).value());
  }
  Say(sitting.peer, std::move(claimed));
  Say(sitting.peer, Packet::Of(4, Claims{1}));
}

// Nobody else is waited for any more.
void World::Wait() {
  now_ns_ += kLongNs;
  broker().OnTick(kLongNs);
  PARLEY_CHECK(!broker().restoring());
  Fork();
}

// -- The input's steps

void World::Step(Input& input) {
  static const auto& shapes = *new std::vector<Shape>(MakeShapes());
  const size_t seat = input.Byte() % kSeatCount;
  const size_t deed = input.Byte() % (shapes.size() + 8);
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
      return Restart(input);
    case 5:
      return Wait();
    case 6:
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
  broker().CheckInvariants();
  for (size_t seat = kSeatCount; seat-- > 0;) Leave(seat);
  broker().CheckInvariants();
  PARLEY_CHECK(broker().launchers() == 0);
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
