// Survivors and victims.
#include "tests/host/kill_world.h"

#include <unistd.h>

#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <set>

#include "absl/strings/numbers.h"
#include "kernel-sim/host/futex.h"

namespace parley::host::tests {
namespace {

using ipc::Error;
using ipc::ErrorOf;

constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr size_t kLarge = 9000;  // bytes: past what a slot holds

// -- Those who serve for ever

// What the death of a client may lead to in its server's calls; all else is a defect.
void CheckMayHappen(const absl::Status& status) {
  const Error error = ErrorOf(status);
  const bool may = status.ok() || error == Error::kMessageGone || error == Error::kLeaseEnded ||
                   error == Error::kNoSuchName || error == Error::kNotPermitted;
  if (!may) FAIL_CHECK(status.ToString());
}

class Server {
 public:
  explicit Server(ipc::Process& self) : self_(self), own_(self.CreateRegion(16384).value()) {}

  void Run(const ipc::Channel& channel) {
    for (;;) {
      ipc::Received received = channel.Receive().value();
      if (const ipc::Pulse* pulse = received.pulse()) {
        const std::lock_guard lock(mutex_);
        if (pulse->code == ipc::Pulse::kDisconnect) {
          clients_.erase(pulse->value);
          gone_.insert(pulse->value);
        }
        // One that waits for us to let go of it: it may be the one that is deferred.
        if (pulse->code == ipc::Pulse::kUnblock) deferred_.reset();
        continue;
      }
      {
        const std::lock_guard lock(mutex_);
        // The other thread of a pool may have heard of its end before this one got here.
        const uint64_t client = received.message()->info().sender.id();
        if (!gone_.contains(client)) clients_.insert(client);
      }
      CheckMayHappen(Serve(*received.message()));
    }
  }

 private:
  absl::Status Serve(ipc::Message& message) {
    if (message.bytes().empty()) return message.Reply();
    switch (static_cast<Wish>(message.bytes()[0])) {
      case Wish::kEcho:
        return Echo(message);
      case Wish::kDefer:
        return Defer(message);
      case Wish::kLease:
        return Touch(message);
      case Wish::kRedeem:
        return Redeem(message);
      case Wish::kGrant:
        return Grant(message);
      case Wish::kCount: {
        const std::lock_guard lock(mutex_);
        const uint64_t others = clients_.size() - 1;
        deferred_.reset();  // it may hold what a dead client has left
        return message.Reply(ipc::BytesOf(others)).status();
      }
    }
    return message.ReplyError(absl::InvalidArgumentError("no such wish"));
  }

  static absl::Status Echo(ipc::Message& message) {
    std::vector<std::byte> bytes(message.info().request_bytes);
    if (auto read = message.Read(0, absl::MakeSpan(bytes)); !read.ok()) return read.status();
    return message.Reply(ipc::ConstBytes(bytes)).status();
  }

  absl::Status Defer(ipc::Message& message) {
    std::optional<ipc::Message> before;
    {
      const std::lock_guard lock(mutex_);
      before = std::exchange(deferred_, std::move(message));
    }
    return before ? before->Reply().status() : absl::OkStatus();
  }

  static absl::Status Touch(ipc::Message& message) {
    for (uint32_t i = 0; i < message.info().region_count; ++i) {
      auto lease = message.Region(i);
      if (!lease.ok()) return lease.status();
      // R9: it may end at any time, and nothing faults.
      for (std::byte& byte : lease->write()) byte ^= std::byte{1};
    }
    return message.Reply();
  }

  absl::Status Redeem(ipc::Message& message) {
    ipc::Token token;
    if (auto read = message.Read(1, ipc::MutableBytesOf(token)); !read.ok()) return read.status();
    auto region = self_.Redeem(token);
    if (!region.ok()) return region.status();
    uint64_t sum = 0;
    for (std::byte byte : region->read()) sum += static_cast<uint8_t>(byte);
    return message.Reply(ipc::BytesOf(sum)).status();
  }

  absl::Status Grant(ipc::Message& message) {
    auto token = own_.Grant(message.info().sender, ipc::Access::kReadWriteAndGrant);
    if (!token.ok()) return token.status();
    return message.Reply(ipc::BytesOf(*token)).status();
  }

  ipc::Process& self_;
  std::mutex mutex_;
  std::set<uint64_t> clients_, gone_;
  std::optional<ipc::Message> deferred_;
  const ipc::Region own_;  // made before leftovers are counted
};

int ServeSteadily(ipc::Process& self) {
  ipc::Channel channel = self.Attach("/steady", {.disconnect_pulse = true}).value();
  Server(self).Run(channel);
  return 0;
}

int ServeInAPool(ipc::Process& self) {
  ipc::Channel channel =
      self.Attach("/pool", {.unblock_pulse = true, .disconnect_pulse = true}).value();
  Server server(self);
  ipc::Thread second = self.Spawn({}, [&] { server.Run(channel); }).value();
  server.Run(channel);
  return 0;
}

// -- A client that judges

int CallSteadily(ipc::Process& self, Battlefield& field) {
  const std::array<ipc::Connection, 2> servers = {self.Open("/steady", kPatience).value(),
                                                  self.Open("/pool", kPatience).value()};
  std::mt19937_64 random(static_cast<uint64_t>(getpid()));
  std::vector<std::byte> request, reply;
  while (!field.over) {
    request.assign(random() % 4 == 0 ? kLarge : 40, std::byte(random() % 256));
    reply.assign(request.size(), std::byte{0});
    request[0] = static_cast<std::byte>(Wish::kEcho);
    const int64_t begun = MonotonicNs();
    const auto sent =
        servers.at(random() % 2)
            .Send(ipc::ConstBytes(request), absl::MakeSpan(reply), {.deadline = kPatience});
    const int64_t took_us = (MonotonicNs() - begun) / 1000;
    field.slowest_us = std::max<int64_t>(field.slowest_us, took_us);
    CHECK_MESSAGE(sent.ok(), sent.status().ToString());
    CHECK(reply == request);
    if (!sent.ok()) return 1;
    ++field.answered;
    // The launcher has no priority of its own to get in between.
    if (random() % 8 == 0) self.Sleep(absl::Microseconds(500)).IgnoreError();
  }
  return 0;
}

// -- Victims

// Its own words: lane, path, seed.
struct Orders {
  Orders(ipc::Process& self, Battlefield& field) : path(self.arguments().at(1)) {
    size_t lane = 0;
    uint64_t seed = 0;
    CHECK(absl::SimpleAtoi(self.arguments().at(0), &lane));
    CHECK(absl::SimpleAtoi(self.arguments().at(2), &seed));
    random.seed(seed);
    field.victims.at(lane) = getpid();
  }
  std::string path;
  std::mt19937_64 random;
};

// A server that holds its clients in every state: queued, kept, handed on, answered, dropped.
int BeKilledServing(ipc::Process& self, Battlefield& field) {
  Orders orders(self, field);
  std::mt19937_64& random = orders.random;
  const bool unblocks = random() % 2 == 0;
  ipc::Channel channel =
      self.Attach(orders.path, {.unblock_pulse = unblocks, .disconnect_pulse = random() % 2 == 0})
          .value();
  ipc::Connection steady = self.Open("/steady", kPatience).value();
  auto serve = [&](uint64_t seed) {
    std::mt19937_64 choices(seed);
    std::deque<ipc::Received> kept;
    for (;;) {
      ipc::Received received = channel.Receive().value();
      ipc::Message* message = received.message();
      if (message == nullptr) continue;
      uint64_t number = 0;
      CHECK(message->Read(0, ipc::MutableBytesOf(number)).ok());
      ++number;
      const uint64_t choice = choices() % 16;
      if (choice == 0) kept.push_back(std::move(received));
      if (choice == 1) continue;  // dropped
      if (choice == 2) steady.Send(ipc::BytesOf(Wish::kEcho), {}).IgnoreError();
      if (choice == 3) self.Sleep(absl::Microseconds(100)).IgnoreError();
      if (choice != 0) message->Reply(ipc::BytesOf(number)).IgnoreError();
    }
  };
  std::optional<ipc::Thread> second;
  if (random() % 3 == 0) second = self.Spawn({}, [&] { serve(1); }).value();
  serve(random());
  return 0;
}

// A client that does all a client can, in two threads.
int BeKilledCalling(ipc::Process& self, Battlefield& field) {
  Orders orders(self, field);
  const std::array<ipc::Connection, 2> servers = {self.Open("/steady", kPatience).value(),
                                                  self.Open("/pool", kPatience).value()};
  ipc::Region region = self.CreateRegion(8192).value();
  auto call = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> reply(kLarge), request(kLarge);
    for (;;) {
      const ipc::Connection& to = servers.at(random() % 2);
      ipc::CallOptions options;
      if (random() % 4 == 0)
        options.deadline = absl::Microseconds(static_cast<int64_t>(random() % 300));
      options.grace = absl::Milliseconds(1);
      const uint64_t choice = random() % 6;
      size_t size = choice == 0 ? kLarge : 1 + random() % 300;
      Wish wish = Wish::kEcho;
      if (choice == 1) wish = Wish::kDefer;
      if (choice == 2) {
        wish = Wish::kLease;
        options.regions = {region.InOut()};
      }
      if (choice == 3)
        to.SendPulse(static_cast<uint8_t>(random() % 128), random() % 4, 5).IgnoreError();
      request[0] = static_cast<std::byte>(wish);
      // Its own end may come first: then it never learns.
      to.Send(ipc::ConstBytes(request).first(size), absl::MakeSpan(reply), options)
          .status()
          .IgnoreError();
    }
  };
  ipc::Thread second = self.Spawn({}, [&] { call(7); }).value();
  call(orders.random());
  return 0;
}

// A holder of regions, channels, timers: its own, and granted ones.
int BeKilledHolding(ipc::Process& self, Battlefield& field) {
  Orders orders(self, field);
  std::mt19937_64& random = orders.random;
  ipc::Connection steady = self.Open("/steady", kPatience).value();
  std::deque<ipc::Region> held;
  for (;;) {
    if (held.size() > 6) held.pop_front();
    ipc::Region region =
        self.CreateRegion(4096 * (1 + random() % 4), {.others_may_write = random() % 2 == 0})
            .value();
    std::array<std::byte, 1 + sizeof(ipc::Token)> request = {static_cast<std::byte>(Wish::kRedeem)};
    const ipc::Token token = region.Grant(steady.server(), ipc::Access::kRead).value();
    std::memcpy(&request[1], &token, sizeof(token));
    uint64_t sum = 0;
    CHECK(steady.Send(ipc::ConstBytes(request), ipc::MutableBytesOf(sum)).ok());
    if (random() % 3 == 0) CHECK(region.Freeze().ok());
    if (random() % 3 == 0) CHECK(region.Reclaim().ok());
    if (random() % 2 == 0) {
      const Wish wish = Wish::kLease;
      CHECK(steady.Send(ipc::BytesOf(wish), {}, {.regions = {region.In()}}).ok());
    }
    held.push_back(std::move(region));
    const Wish wish = Wish::kGrant;
    ipc::Token granted;
    CHECK(steady.Send(ipc::BytesOf(wish), ipc::MutableBytesOf(granted)).ok());
    held.push_back(self.Redeem(granted).value());
    ipc::Channel channel = self.CreateChannel("own").value();
    ipc::Timer timer = channel.MakeTimer(1, 0, 10).value();
    CHECK(timer.Arm(absl::Microseconds(50)).ok());
    ipc::Connection own = self.Connect(channel.Grant(self.me()).value(), "own").value();
    CHECK(own.SendPulse(2, 0, 10).ok());
    CHECK(channel.Receive().ok());
  }
}

// One that dies while it comes to be.
int BeKilledEarly(ipc::Process& self, Battlefield& field) {
  if (self.arguments().at(2).back() % 2 == 0) Orders(self, field);
  self.Sleep(absl::InfiniteDuration()).IgnoreError();
  return 1;
}

}  // namespace

std::vector<::tests::Actor> Survivors(Battlefield& field) {
  auto call = [&](ipc::Process& self) { return CallSteadily(self, field); };
  return {{.name = "steady", .main = ServeSteadily, .service = true},
          {.name = "pool", .main = ServeInAPool, .service = true},
          {.name = "caller", .main = call, .service = false},
          {.name = "urgent caller", .main = call, .scheduling = {.priority = 30}}};
}

std::vector<::tests::Actor> Victims(Battlefield& field) {
  auto victim = [&](const char* name, int (*main)(ipc::Process&, Battlefield&)) {
    return ::tests::Actor{.name = name,
                          .main = [&field, main](ipc::Process& self) { return main(self, field); },
                          .only_program = true};
  };
  return {victim("server", BeKilledServing), victim("client", BeKilledCalling),
          victim("holder", BeKilledHolding), victim("mayfly", BeKilledEarly)};
}

bool SettlesTo(ipc::Process& self, const ipc::Connection& to, uint64_t clients) {
  uint64_t known = ~uint64_t{0};
  for (int i = 0; i < 1000; ++i) {
    const Wish wish = Wish::kCount;
    CHECK(to.Send(ipc::BytesOf(wish), ipc::MutableBytesOf(known), {.deadline = kPatience}).ok());
    if (known == clients) return true;
    self.Sleep(absl::Milliseconds(10)).IgnoreError();
  }
  MESSAGE(to.name() << " knows of " << known << " clients");
  return false;
}

}  // namespace parley::host::tests
