// Slots and bells of the host kernel: each transition, and two threads that lose nothing.
#include "kernel-sim/host/slot.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "kernel-sim/host/bell.h"
#include "kernel-sim/host/futex.h"

namespace parley::host {
namespace {

const std::vector<Phase> kPhases = {Phase::kIdle,    Phase::kSent,   Phase::kTaken,
                                    Phase::kReplied, Phase::kFailed, Phase::kLeft};
constexpr uint32_t kFlags = kClientSleeps | kNudged | kWantsToLeave | kServerGone;

void Put(Slot& slot, Phase phase, uint32_t flags) {
  slot.state = static_cast<uint32_t>(phase) | flags;
}

TEST_CASE("a slot goes from phase to phase as drawn, and keeps its flags") {
  auto slot = std::make_unique<Slot>();
  struct Step {
    bool (*step)(Slot&);
    Phase from, to;
  };
  for (const Step& step :
       {Step{Withdraw, Phase::kSent, Phase::kIdle}, Step{Leave, Phase::kTaken, Phase::kLeft},
        Step{Take, Phase::kSent, Phase::kTaken}}) {
    for (Phase phase : kPhases) {
      for (uint32_t flags : {0u, kFlags}) {
        Put(*slot, phase, flags);
        CHECK(step.step(*slot) == (phase == step.from));
        CHECK(PhaseOf(slot->state) == (phase == step.from ? step.to : phase));
        CHECK((slot->state & ~kPhaseMask) == flags);
      }
    }
  }
}

TEST_CASE("a slot is free when nothing is on its way and the server has let go") {
  auto slot = std::make_unique<Slot>();
  for (Phase phase : kPhases) {
    Put(*slot, phase, kWatched);
    const bool busy = phase == Phase::kSent || phase == Phase::kTaken || phase == Phase::kLeft;
    CHECK(IsFree(*slot) == !busy);
  }
}

TEST_CASE("an answer says whether to wake the client, and whether it has left (D3)") {
  auto slot = std::make_unique<Slot>();
  Put(*slot, Phase::kTaken, 0);
  AnswerResult result = Answer(*slot, Phase::kReplied, /*watch=*/true);
  CHECK_FALSE(result.wake);
  CHECK_FALSE(result.client_left);
  CHECK(slot->state == (static_cast<uint32_t>(Phase::kReplied) | kWatched));
  Put(*slot, Phase::kTaken, kClientSleeps);
  CHECK(Answer(*slot, Phase::kFailed, false).wake);
  Put(*slot, Phase::kLeft, 0);
  CHECK(Answer(*slot, Phase::kReplied, false).client_left);
  CHECK(IsFree(*slot));
}

TEST_CASE("a client sleeps only while there is nothing to look at") {
  auto slot = std::make_unique<Slot>();
  for (Phase phase : kPhases) {
    for (uint32_t flags : {0u, uint32_t{kNudged}, uint32_t{kServerGone}}) {
      Put(*slot, phase, flags);
      const bool waits = (phase == Phase::kSent || phase == Phase::kTaken) && flags == 0;
      CHECK((PrepareSleep(*slot) != 0) == waits);
      if (waits) CHECK(PrepareSleep(*slot) == slot->state);
    }
  }
}

TEST_CASE("a send into a watched slot needs no ring, until the watch is withdrawn") {
  auto slot = std::make_unique<Slot>();
  CHECK(Submit(*slot));
  CHECK(Take(*slot));
  Answer(*slot, Phase::kReplied, true);
  CHECK_FALSE(Submit(*slot));
  CHECK(WithdrawWatch(*slot));  // it has come, and nobody rang
  CHECK(Take(*slot));
  Answer(*slot, Phase::kReplied, true);
  CHECK_FALSE(WithdrawWatch(*slot));
  CHECK(Submit(*slot));
}

TEST_CASE("a bell gives back each bit that was rung, once, and whoever rings opens the door") {
  auto bell = std::make_unique<Bell>();
  std::mt19937 random(7);
  std::map<uint32_t, int> rung;
  for (int i = 0; i < 500; ++i) {
    const uint32_t bit = random() % kBellBits;
    rung[bit] = 1;
    CHECK(Ring(*bell, bit) == Door::kAwake);
  }
  CHECK_FALSE(CloseDoor(*bell, Door::kSleeping));
  Collect(*bell, [&](uint32_t bit) { --rung[bit]; });
  for (const auto& [bit, count] : rung) CHECK(count == 0);
  CHECK(CloseDoor(*bell, Door::kPolling));
  CHECK(Ring(*bell, 0) == Door::kPolling);
  bell->door = static_cast<uint32_t>(Door::kAwake);
  Collect(*bell, [](uint32_t) {});
  CHECK(CloseDoor(*bell, Door::kSleeping));
  CHECK(Ring(*bell, kBellBits - 1) == Door::kSleeping);
  OpenDoor(*bell);
  CHECK(Ring(*bell, kBellBits - 1) == Door::kAwake);
}

// A server that watches, sleeps and answers as the kernel does, for one slot and one bell.
class Server {
 public:
  Server(Slot& slot, Bell& bell) : slot_(slot), bell_(bell) {}

  // Serves until it has answered, or been left by, `requests` of them.
  void Run(int requests) {
    while (handled_ < requests) {
      Collect(bell_, [&](uint32_t) { Serve(); });
      if (watching_) {
        watching_ = false;
        if (WithdrawWatch(slot_)) Serve();
      }
      if (handled_ < requests && !watching_ && CloseDoor(bell_, Door::kSleeping)) {
        FutexWait(bell_.door, static_cast<uint32_t>(Door::kSleeping), kNever, Sharing::kShared);
      }
    }
  }
  int answered() const { return answered_; }

 private:
  void Serve() {
    if (PhaseOf(slot_.state) == Phase::kIdle) return;  // a ring that came late
    if (!Take(slot_)) return;
    ++handled_;
    const uint32_t sequence = slot_.sequence;
    slot_.reply_bytes = sequence + 1;
    watching_ = sequence % 3 != 0;
    const AnswerResult result = Answer(slot_, Phase::kReplied, watching_);
    if (result.wake) FutexWake(slot_.state, 1, Sharing::kShared);
    if (!result.client_left) ++answered_;
  }

  Slot& slot_;
  Bell& bell_;
  bool watching_ = false;
  int handled_ = 0;
  int answered_ = 0;
};

TEST_CASE("between two threads every request is answered, left or withdrawn, and none is lost") {
  constexpr int kRequests = 20'000;
  auto slot = std::make_unique<Slot>();
  auto bell = std::make_unique<Bell>();
  Server server(*slot, *bell);
  std::thread serving([&] { server.Run(kRequests); });
  std::mt19937 random(11);
  int answered = 0, left = 0;
  for (uint32_t sequence = 0; answered + left < kRequests; ++sequence) {
    while (!IsFree(*slot)) std::this_thread::yield();  // one that was left is not let go yet
    slot->sequence = sequence;
    if (Submit(*slot) && Ring(*bell, 0) == Door::kSleeping) OpenDoor(*bell);
    if (random() % 8 == 0 && Withdraw(*slot)) continue;
    if (random() % 8 == 0 && Leave(*slot)) {
      ++left;
      continue;
    }
    while (const uint32_t asleep = PrepareSleep(*slot)) {
      FutexWait(slot->state, asleep, kNever, Sharing::kShared);
    }
    CHECK(PhaseOf(slot->state) == Phase::kReplied);
    if (slot->reply_bytes != sequence + 1) FAIL_CHECK("the answer to another request");
    ++answered;
  }
  serving.join();
  CHECK(server.answered() == answered);
}

}  // namespace
}  // namespace parley::host
