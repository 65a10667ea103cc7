// kill -9 of the broker, again and again: what processes hold goes on, what they were granted can
// be used, lent and taken away as before, and what is new works as soon as there is another broker.
#include <atomic>
#include <cstring>
#include <optional>
#include <random>

#include "tests/core/drive.h"
#include "tests/host/leftovers.h"
#include "tests/support/world.h"

namespace parley::host::tests {
namespace {

using ipc::Error;
using ipc::ErrorOf;

constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr int kRestarts = 40 / (PARLEY_TEST_SLOWDOWN > 1 ? 4 : 1);

enum class Wish : uint8_t { kAdd, kGrant, kTakeBack, kRedeem, kLook, kTakeEvent, kDeliver };
struct Ask {
  Wish wish = Wish::kAdd;
  uint8_t padding[7] = {};
  ipc::Token token = {};
};

// Keeps what its client wants it to keep.
int Keep(ipc::Process& self) {
  ipc::Channel channel = self.Attach("/keeper").value();
  ipc::Region own = self.CreateRegion(4096).value();
  std::optional<ipc::Region> redeemed;
  std::optional<ipc::EventToken> event;
  ipc::Token granted;
  for (;;) {
    ipc::Received received = channel.Receive().value();
    ipc::Message* message = received.message();
    if (message == nullptr) continue;
    Ask ask;
    if (!message->Read(0, ipc::MutableBytesOf(ask)).ok()) continue;
    absl::Status done;
    switch (ask.wish) {
      case Wish::kAdd: {
        auto lease = message->Region(0);
        if (!lease.ok()) {
          done = lease.status();
        } else {
          lease->write()[0] = static_cast<std::byte>(static_cast<int>(lease->read()[0]) + 1);
        }
        break;
      }
      case Wish::kGrant: {
        auto token = own.Grant(message->info().sender, ipc::Access::kRead);
        done = token.status();
        if (token.ok()) {
          granted = *token;
          message->Reply(ipc::BytesOf(*token)).IgnoreError();
          continue;
        }
        break;
      }
      case Wish::kTakeBack:
        done = self.Revoke(granted);
        break;
      case Wish::kRedeem: {
        auto region = self.Redeem(ask.token);
        done = region.status();
        if (region.ok()) redeemed = *std::move(region);
        break;
      }
      case Wish::kLook:
        done = redeemed->Check();
        if (done.ok() && redeemed->read()[1] != std::byte{7}) done = absl::DataLossError("bytes");
        break;
      case Wish::kTakeEvent:
        std::memcpy(static_cast<void*>(&event.emplace()), &ask.token, sizeof(ask.token));
        break;
      case Wish::kDeliver:
        done = self.Deliver(*event);
        break;
    }
    if (done.ok()) {
      message->Reply().IgnoreError();
    } else {
      message->ReplyError(done).IgnoreError();
    }
  }
}

// Each round makes things, lets the broker die, and uses them.
class Holder {
 public:
  explicit Holder(ipc::Process& self)
      : self_(self),
        keeper_(self.Open("/keeper", kPatience).value()),
        channel_(self.CreateChannel("events").value()) {}

  void Round(std::mt19937_64& random) {
    ipc::Region region = self_.CreateRegion(8192).value();
    region.write()[1] = std::byte{7};
    Add(region, 1);
    const auto token = region.Grant(keeper_.server(), ipc::Access::kRead);
    REQUIRE_MESSAGE(token.ok(), token.status().ToString());
    CHECK(Say(Wish::kRedeem, *token).ok());
    CHECK(Say(Wish::kLook).ok());
    ipc::Token theirs;
    CHECK(Say(Wish::kGrant, {}, ipc::MutableBytesOf(theirs)).ok());
    ipc::Region held = self_.Redeem(theirs).value();
    const auto event = channel_.RegisterEvent(keeper_, 5, 55, 9);
    REQUIRE(event.ok());
    ipc::Token event_token;
    static_assert(sizeof(event_token) == sizeof(*event));
    std::memcpy(static_cast<void*>(&event_token), &*event, sizeof(event_token));
    CHECK(Say(Wish::kTakeEvent, event_token).ok());
    const bool opened = random() % 2 == 0;
    if (opened) ExpectEvent();

    CHECK(KillTheBroker());
    if (random() % 2 == 0) {
      self_.Sleep(absl::Microseconds(static_cast<int64_t>(random() % 20'000))).IgnoreError();
    }

    Add(region, 2);  // needs nobody
    CHECK(Say(Wish::kLook).ok());
    CHECK(held.Check().ok());
    ExpectEvent();
    if (random() % 2 == 0) {
      CHECK(region.Freeze().ok());
      CHECK(ErrorOf(Add(region)) == Error::kNotPermitted);
      CHECK(Say(Wish::kLook).ok());
    } else {
      CHECK(region.Reclaim().ok());
      CHECK(ErrorOf(Say(Wish::kLook)) != Error::kNone);  // R7: what was redeemed before is dead
      CHECK(region.read()[0] == std::byte{2});
      Add(region, 3);
    }
    CHECK(Say(Wish::kTakeBack).ok());
    CHECK(ErrorOf(held.Check()) == Error::kLeaseEnded);
    CHECK(ErrorOf(self_.Redeem(theirs).status()) == Error::kNotPermitted);
    // New ones of everything.
    ipc::Connection another = self_.Open("/keeper", kPatience).value();
    CHECK(another.Send(ipc::BytesOf(Ask{Wish::kLook}), {}).status().message() != "nothing");
    const std::string path = absl::StrCat("/new/", ++rounds_);
    ipc::Channel served = self_.Attach(path).value();
    ipc::Connection to_self = self_.Open(path, kPatience).value();
    CHECK(to_self.SendPulse(1, 2, 3).ok());
    CHECK(served.Receive(kPatience)->pulse()->value == 2);
    ipc::Child child = self_.Start("leaves").value();
    CHECK(child.Wait(kPatience)->code == 3);
  }

 private:
  absl::Status Say(Wish wish, const ipc::Token& token = {}, ipc::MutableBytes reply = {}) {
    return keeper_.Send(ipc::BytesOf(Ask{wish, {}, token}), reply, {.deadline = kPatience})
        .status();
  }
  absl::Status Add(ipc::Region& region) {
    return keeper_
        .Send(ipc::BytesOf(Ask{Wish::kAdd}), {},
              {.regions = {region.InOut()}, .deadline = kPatience})
        .status();
  }
  void Add(ipc::Region& region, int expected) {
    const absl::Status added = Add(region);
    CHECK_MESSAGE(added.ok(), added.ToString());
    CHECK(region.read()[0] == static_cast<std::byte>(expected));
  }
  void ExpectEvent() {
    const absl::Status delivered = Say(Wish::kDeliver);
    CHECK_MESSAGE(delivered.ok(), delivered.ToString());
    const auto received = channel_.Receive(kPatience);
    REQUIRE(received.ok());
    CHECK(received->pulse()->value == 55);
  }

  ipc::Process& self_;
  ipc::Connection keeper_;
  ipc::Channel channel_;
  int rounds_ = 0;
};

int Hold(ipc::Process& self, uint64_t seed) {
  std::mt19937_64 random(seed);
  Holder holder(self);
  for (int i = 0; i < kRestarts; ++i) holder.Round(random);
  return 0;
}

TEST_CASE("kill -9 of the broker: what is held can be used, lent and taken away by the next one") {
  const uint64_t seed = ::tests::TestSeed();
  INFO("to repeat: PARLEY_TEST_SEED=", seed);
  const uint64_t failed_before = ::tests::ChecksFailedInChildren();
  const parley::RunReport report = ::tests::RunAny(
      {{.name = "keeper", .main = Keep, .service = true},
       {.name = "leaves", .main = [](ipc::Process&) { return 3; }, .only_program = true},
       {.name = "holder", .main = [&](ipc::Process& self) { return Hold(self, seed); }}},
      parley::HostOptions{.limit_ns = 120'000'000'000});
  for (const std::string& problem : report.problems) MESSAGE(problem);
  CHECK(report.problems.empty());
  CHECK(::tests::ChecksFailedInChildren() == failed_before);
}

}  // namespace
}  // namespace parley::host::tests
