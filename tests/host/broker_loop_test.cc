// The broker as a process, and real processes at the far ends of its sockets.
#include "kernel-sim/host/broker_loop.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "kernel-sim/host/child.h"
#include "tests/host/guest.h"

namespace parley::host::tests {
namespace {

constexpr int kStuck = 97;  // exit status of a process that has waited too long

void SleepMs(int64_t ms) {
  const timespec time = {ms / 1000, ms % 1000 * 1'000'000};
  nanosleep(&time, nullptr);
}

// A process of a test's own. It dies with the test.
class Forked {
 public:
  explicit Forked(const std::function<int()>& main) : pid_(fork()) {
    if (pid_ == 0) _exit(main());
  }
  Forked(Forked&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ~Forked() {
    if (pid_ < 0) return;
    Signal(SIGKILL);
    Wait();
  }
  void Signal(int number) const { kill(pid_, number); }
  // Its exit status; the signal's number, negative, if it died of one.
  int Wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

std::string NewAddress() {
  static int number = 0;
  return absl::StrCat("parley-test-", getpid(), "-", ++number);
}

struct BrokerProcess {
  enum class For { kEverybody, kLauncher };
  explicit BrokerProcess(For whom = For::kEverybody, rlim_t files = 0, uid_t user = 0)
      : address(NewAddress()), listener(Listen(address)), process([&] {
          const rlimit few = {files, files};
          if (files != 0) setrlimit(RLIMIT_NOFILE, &few);
          if (user != 0 && setresuid(user, user, user) != 0) return kStuck;
          return RunBroker(std::move(listener), {.private_to_launcher = whom == For::kLauncher});
        }) {
    listener.Reset();
  }
  Guest Connect() const { return Guest(ConnectTo(address)); }
  Guest ConnectLauncher() const {
    Guest launcher = Connect();
    CHECK(launcher.Ask<Done>(BecomeLauncher{kWireVersion}, JoinTail({"program"})));
    return launcher;
  }
  // It serves until it is told to end, and then ends cleanly.
  void CheckSound() {
    Guest launcher = ConnectLauncher();
    CHECK(launcher.Spawn("program"));
    process.Signal(SIGTERM);
    CHECK(process.Wait() == 0);
  }

  std::string address;
  UniqueFd listener;
  Forked process;
};

// Launches a process that joins and then does what `main` says.
Forked Launched(const BrokerProcess& broker, Guest& launcher,
                const std::function<int(Guest&, const Joined&)>& main, ProcessId* id = nullptr) {
  const auto spawned = launcher.Spawn("program");
  const auto launch = launcher.Notice<Launch>();
  CHECK(spawned);
  CHECK(launch);
  if (id != nullptr && spawned) *id = spawned->process;
  return Forked([&] {
    launcher.HangUp();  // the copy of a child that is to have none
    Guest self = broker.Connect();
    const auto joined = self.Join(launch->ticket);
    return joined ? main(self, *joined) : 98;
  });
}

// What the processes of a test tell each other beside the broker.
struct Board {
  std::atomic<int> stage{0};
  std::atomic<uint32_t> client{0};
  Token token;

  void WaitFor(int at_least, int patience_ms = 10'000) const {
    for (int i = 0; stage < at_least; ++i) {
      if (i == patience_ms) _exit(kStuck);
      SleepMs(1);
    }
  }
};
class SharedBoard {
 public:
  SharedBoard() {
    void* memory =
        mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    memory_ = SharedMapping(static_cast<std::byte*>(memory), sizeof(Board));
    board_ = new (memory) Board;
  }
  Board* operator->() const { return board_; }

 private:
  SharedMapping memory_;
  Board* board_;
};

// Grants the one client a connection at stage 1, has seen it attached at 2.
std::optional<Attached> ServeOne(Guest& self, const SharedBoard& board) {
  const auto made = self.Ask<MadeChannel>(MakeChannel{}, "/served");
  if (!made) return std::nullopt;
  const auto token = self.Ask<TokenMade>(GrantChannel{
      made->channel, ProcessId{board->client.load()}, 0, kMaxPriority, Rights::kConnect});
  if (!token) return std::nullopt;
  board->token = token->token;
  board->stage = 1;
  const auto attached = self.Notice<Attached>();
  if (attached) board->stage = 2;
  return attached;
}

TEST_CASE("broker loop: a server hears that its client has died, whoever holds the socket yet") {
  for (bool held : {false, true}) {
    BrokerProcess broker;
    Guest launcher = broker.ConnectLauncher();
    const SharedBoard board;
    ProcessId client_id = ProcessId::kNone;
    Forked client = Launched(
        broker, launcher,
        [&](Guest& self, const Joined&) {
          board->WaitFor(1);
          if (!self.Ask<Connected>(Connect{board->token})) return 1;
          // Only the pidfd tells now: held longer than the server waits for the news.
          if (held && fork() == 0) {
            board->WaitFor(3, 3000 * kGuestPatienceS);
            _exit(0);
          }
          for (;;) pause();
        },
        &client_id);
    board->client = Raw(client_id);
    Forked server = Launched(broker, launcher, [&](Guest& self, const Joined&) {
      const auto attached = ServeOne(self, board);
      const auto detached = self.Notice<Detached>();
      board->stage = 3;
      return attached && detached && attached->connection == detached->connection ? 0 : 1;
    });
    board->WaitFor(2);
    client.Signal(SIGKILL);
    CHECK(server.Wait() == 0);
    broker.CheckSound();
  }
}

TEST_CASE("broker loop: a client hears that its server has died") {
  BrokerProcess broker;
  Guest launcher = broker.ConnectLauncher();
  const SharedBoard board;
  ProcessId client_id = ProcessId::kNone;
  Forked client = Launched(
      broker, launcher,
      [&](Guest& self, const Joined&) {
        board->WaitFor(1);
        const auto connected = self.Ask<Connected>(Connect{board->token});
        if (!connected || self.last.fds.size() != 4) return 1;
        const auto gone = self.Notice<ChannelGone>();
        return gone && gone->connection == connected->connection && gone->revoked == 0 ? 0 : 2;
      },
      &client_id);
  board->client = Raw(client_id);
  Forked server = Launched(broker, launcher, [&](Guest& self, const Joined&) {
    if (!ServeOne(self, board)) return 1;
    for (;;) pause();
  });
  board->WaitFor(2);
  server.Signal(SIGKILL);
  CHECK(client.Wait() == 0);
  broker.CheckSound();
}

TEST_CASE("broker loop: whom it is to kill dies, and a launcher's processes die with it") {
  BrokerProcess broker;
  Guest launcher = broker.ConnectLauncher();
  const auto sleeps = [](Guest&, const Joined&) {
    for (;;) pause();
    return 0;
  };
  ProcessId first_id = ProcessId::kNone;
  Forked first = Launched(broker, launcher, sleeps, &first_id);
  Forked second = Launched(broker, launcher, sleeps);
  // A kill of one that has not joined would be kept for its join.
  SleepMs(100);
  CHECK(launcher.Ask<Done>(Kill{first_id}));
  CHECK(first.Wait() == -SIGKILL);
  launcher.HangUp();
  CHECK(second.Wait() == -SIGKILL);
  broker.CheckSound();
}

// -- Peers that misbehave

void SendBytes(const Guest& guest, size_t size, uint8_t value) {
  Packet packet;
  packet.bytes.assign(size, std::byte{value});
  CHECK(SendPacket(guest.socket(), packet).ok());
}

TEST_CASE("broker loop: whoever sends garbage is dropped, and nobody else") {
  BrokerProcess broker;
  Guest decent = broker.ConnectLauncher();
  const auto dropped_for = [&](const std::function<void(Guest&)>& sends, bool of_launcher) {
    Guest guest = of_launcher ? broker.ConnectLauncher() : broker.Connect();
    sends(guest);
    CHECK(guest.Dropped());
    CHECK(decent.Spawn("program"));
  };
  for (bool of_launcher : {false, true}) {
    dropped_for([](Guest& guest) { SendBytes(guest, 1, 7); }, of_launcher);
    dropped_for([](Guest& guest) { SendBytes(guest, sizeof(Header), 0xff); }, of_launcher);
    dropped_for([](Guest& guest) { SendBytes(guest, kMaxPacketBytes + 1, 0); }, of_launcher);
    dropped_for([](Guest& guest) { CHECK(send(guest.socket().get(), "", 0, 0) == 0); },
                of_launcher);
    dropped_for(
        [](Guest& guest) {
          Packet packet = Packet::Of(1, MakeChannel{}, "/not/yours");
          CHECK(SendPacket(guest.socket(), packet).ok());
        },
        of_launcher);
    dropped_for(
        [](Guest& guest) {  // nobody hands it descriptors
          Packet packet = Packet::Of(1, BecomeLauncher{kWireVersion});
          packet.fds.emplace_back(dup(STDERR_FILENO));
          CHECK(SendPacket(guest.socket(), packet).ok());
        },
        of_launcher);
  }
  Guest old = broker.Connect();
  CHECK(old.Refusal(BecomeLauncher{kWireVersion + 1}) == Error::kInvalidArgument);
  CHECK(old.Dropped());
  Guest forger = broker.Connect();
  CHECK(forger.Refusal(Join{kWireVersion, 0, 1}) == Error::kNotPermitted);
  CHECK(forger.Dropped());
  broker.CheckSound();
}

TEST_CASE("broker loop: random packets harm nobody") {
  BrokerProcess broker;
  Guest decent = broker.ConnectLauncher();
  std::mt19937_64 random(1);
  for (int i = 0; i < 300; ++i) {
    Guest guest = i % 2 == 0 ? broker.Connect() : broker.ConnectLauncher();
    for (int j = 0; j < 3; ++j) {
      const Header header = {static_cast<Kind>(random() % 50), static_cast<uint32_t>(random())};
      Packet packet;
      packet.Append(&header, sizeof(header));
      for (size_t words = random() % 40; words > 0; --words) {
        const uint64_t word = random() % 4 == 0 ? random() : random() % 4;
        packet.Append(&word, sizeof(word));
      }
      SendPacket(guest.socket(), packet).IgnoreError();  // it may be gone
    }
  }
  CHECK(decent.Spawn("program"));
  broker.CheckSound();
}

TEST_CASE("broker loop: a peer that asks and never listens is dropped, not waited for") {
  BrokerProcess broker;
  Guest decent = broker.ConnectLauncher();
  Guest deaf = broker.ConnectLauncher();
  const Packet question = Packet::Of(1, Kill{ProcessId{99}});
  int sent = 0;
  while (sent < 1'000'000 && SendPacket(deaf.socket(), question).ok()) ++sent;
  CHECK(sent > 1000);
  CHECK(sent < 1'000'000);
  CHECK(decent.Spawn("program"));
  broker.CheckSound();
}

// -- Many

TEST_CASE("broker loop: more peers than its ring has entries come and go at once") {
  rlimit before = {};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit most = {before.rlim_max, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &most);
  // A peer takes one descriptor here and three of the broker's.
  const size_t count = std::min<size_t>(1200, most.rlim_max / 4);
  BrokerProcess broker;
  for (int round = 0; round < 2; ++round) {
    std::vector<Guest> guests;
    for (size_t i = 0; i < count; ++i) guests.push_back(broker.ConnectLauncher());
    // All at once: their answers wait, then their ends.
    for (Guest& guest : guests) {
      const Packet spawn = Packet::Of(7, Guest::PlainSpawn(), JoinTail({"program", ""}));
      CHECK(SendPacket(guest.socket(), spawn).ok());
    }
    for (Guest& guest : guests) CHECK(guest.Notice<Launch>());
  }
  setrlimit(RLIMIT_NOFILE, &before);
  broker.CheckSound();
}

TEST_CASE("broker loop: out of descriptors, it goes on serving whom it has, and others later") {
  BrokerProcess broker(BrokerProcess::For::kEverybody, 32);
  Guest first = broker.ConnectLauncher();
  std::vector<Guest> guests;
  for (int i = 0; i < 30; ++i) {
    guests.push_back(broker.Connect());
    SendPacket(guests.back().socket(), Packet::Of(1, BecomeLauncher{kWireVersion})).IgnoreError();
  }
  CHECK(first.Spawn("program"));
  SleepMs(200);
  const auto unserved = std::count_if(guests.begin(), guests.end(), [](const Guest& guest) {
    return recv(guest.socket().get(), nullptr, 0, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC) <= 0;
  });
  CHECK(unserved > 0);
  CHECK(unserved < 30);
  CHECK(first.Spawn("program"));
  guests.clear();
  CHECK(broker.ConnectLauncher().Spawn("program"));
  broker.CheckSound();
}

// Linux counts the descriptors on their way from one user, and refuses more than that user may have
// open; but not to root.
TEST_CASE("broker loop: what Linux refuses to send for now is sent later, and nobody is lost") {
  if (geteuid() != 0) {
    MESSAGE("not run: only root starts a broker of a user that sends nothing else");
    return;
  }
  constexpr int kConnections = 100;  // each puts two descriptors on their way to the server
  BrokerProcess broker(BrokerProcess::For::kEverybody, 96, 64'999);
  Guest launcher = broker.ConnectLauncher();
  Guest server = broker.Connect(), client = broker.Connect();
  ProcessId client_id = ProcessId::kNone;
  for (Guest* guest : {&server, &client}) {
    CHECK(launcher.Spawn("program"));
    const auto joined = guest->Join(launcher.Notice<Launch>().value().ticket);
    REQUIRE(joined);
    client_id = joined->process;
  }
  const auto made = server.Ask<MadeChannel>(MakeChannel{}, "/served");
  REQUIRE(made);
  const auto token = server.Ask<TokenMade>(
      GrantChannel{made->channel, client_id, 0, kMaxPriority, Rights::kConnect});
  REQUIRE(token);
  std::atomic<int> connected = 0;
  std::thread connecting([&] {
    while (connected < kConnections && client.Ask<Connected>(Connect{token->token})) ++connected;
  });
  for (int i = 0; connected < 20 && i < 10'000; ++i) SleepMs(1);
  SleepMs(300);
  CHECK(connected < kConnections);  // it waits for the server, or there is no limit here
  int attached = 0;
  while (attached < kConnections && server.Notice<Attached>() && server.last.fds.size() >= 2) {
    ++attached;
  }
  CHECK(attached == kConnections);
  connecting.join();
  CHECK(connected == kConnections);
  broker.CheckSound();
}

// -- Its end

TEST_CASE("broker loop: SIGINT and SIGTERM end it, and its peers hear nothing more") {
  for (int number : {SIGINT, SIGTERM}) {
    BrokerProcess broker;
    Guest launcher = broker.ConnectLauncher();
    broker.process.Signal(number);
    CHECK(broker.process.Wait() == 0);
    CHECK(launcher.Dropped());
  }
}

TEST_CASE("broker loop: it outlives its launchers, unless it is private to one") {
  {
    BrokerProcess broker;
    broker.ConnectLauncher().HangUp();
    broker.CheckSound();
  }
  BrokerProcess broker(BrokerProcess::For::kLauncher);
  Guest launcher = broker.ConnectLauncher();
  broker.process.Signal(SIGINT);  // is for the launcher to judge
  CHECK(launcher.Spawn("program"));
  Guest stranger = broker.Connect();
  launcher.HangUp();
  CHECK(broker.process.Wait() == 0);
  CHECK(stranger.Dropped());
}

TEST_CASE("broker loop: a private one ends when its launcher never became one") {
  BrokerProcess broker(BrokerProcess::For::kLauncher);
  broker.Connect().HangUp();
  CHECK(broker.process.Wait() == 0);
}

}  // namespace
}  // namespace parley::host::tests
