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

constexpr uint32_t kOther = 6, kSequence = 7;

// A slot whose client has sent kSequence, and whose server has come as far as it says.
struct SlotAt {
  explicit SlotAt(Ask ask, bool taken = false,
                  uint32_t answer = MakeAnswer(kOther, Outcome::kReplied, 0)) {
    slot->request = MakeRequest(kSequence, ask);
    slot->taken = taken ? kSequence : kOther;
    slot->answer = answer;
  }
  Slot& operator*() const { return *slot; }
  Slot* operator->() const { return slot.get(); }
  std::unique_ptr<Slot> slot = std::make_unique<Slot>();
};

TEST_CASE("a request is taken back unless it was received (D2)") {
  const SlotAt sent(Ask::kSent), taken(Ask::kSent, /*taken=*/true);
  CHECK(Withdraw(*sent, kSequence));
  CHECK(sent->request == MakeRequest(kSequence, Ask::kNothing));
  CHECK_FALSE(Withdraw(*taken, kSequence));
  CHECK(taken->request == MakeRequest(kSequence, Ask::kSent));
}

TEST_CASE("a request is received once, unless it was taken back") {
  bool wake = true;
  for (Ask ask : {Ask::kSent, Ask::kWantsToLeave, Ask::kLeft}) {
    const SlotAt at(ask);
    CHECK(Take(*at, kSequence, wake));
    CHECK_FALSE(wake);
    CHECK(IsTaken(*at, kSequence));
    CHECK(SequenceOf(at->answer) == kOther);
  }
  const SlotAt back(Ask::kNothing);
  CHECK_FALSE(Take(*back, kSequence, wake));
  CHECK_FALSE(wake);
  CHECK(back->answer == MakeAnswer(kSequence, Outcome::kReleased, 0));
  const SlotAt asleep(Ask::kNothing, false, MakeAnswer(kOther, Outcome::kReplied, kClientSleeps));
  CHECK_FALSE(Take(*asleep, kSequence, wake));
  CHECK(wake);
  const SlotAt next(Ask::kSent);  // and another was sent meanwhile
  CHECK_FALSE(Take(*next, kOther, wake));
  CHECK(SequenceOf(next->answer) == kOther);
}

TEST_CASE("a request that was received can be left until it is answered (D3)") {
  const SlotAt taken(Ask::kSent, /*taken=*/true);
  AskToLeave(*taken, kSequence);
  CHECK(taken->request == MakeRequest(kSequence, Ask::kWantsToLeave));
  CHECK(Leave(*taken, kSequence));
  CHECK(taken->request == MakeRequest(kSequence, Ask::kLeft));
  CHECK_FALSE(HasLetGo(taken->answer, kSequence));
  CHECK(Answer(*taken, kSequence, Outcome::kReplied, false).client_left);
  CHECK(HasLetGo(taken->answer, kSequence));
  const SlotAt answered(Ask::kSent, true, MakeAnswer(kSequence, Outcome::kFailed, 0));
  CHECK_FALSE(Leave(*answered, kSequence));
}

TEST_CASE("an answer says whether to wake the client, and whether it has left (D3)") {
  const SlotAt at(Ask::kSent, /*taken=*/true);
  AnswerResult result = Answer(*at, kSequence, Outcome::kReplied, /*watch=*/true);
  CHECK_FALSE(result.wake);
  CHECK_FALSE(result.client_left);
  CHECK(at->answer == MakeAnswer(kSequence, Outcome::kReplied, kWatched));
  const SlotAt asleep(Ask::kSent, true, MakeAnswer(kOther, Outcome::kReplied, kClientSleeps));
  CHECK(Answer(*asleep, kSequence, Outcome::kFailed, false).wake);
}

TEST_CASE("answers come in the order of their sends, also where the sequence begins anew") {
  constexpr uint32_t kLast = ~0u >> kSequenceShift;
  CHECK(NextSequence(kLast) == 0);
  for (uint32_t sequence : {0u, 1u, 1000u, kLast}) {
    const uint32_t next = NextSequence(sequence);
    CHECK_FALSE(HasLetGo(MakeAnswer(sequence, Outcome::kReplied, 0), next));
    CHECK(HasLetGo(MakeAnswer(next, Outcome::kReplied, 0), next));
    CHECK(HasLetGo(MakeAnswer(next, Outcome::kReplied, 0), sequence));
    CHECK(IsAnswer(MakeAnswer(next, Outcome::kReleased, 0), next));
    CHECK_FALSE(IsAnswer(MakeAnswer(next, Outcome::kNone, kNudged), next));
  }
}

TEST_CASE("a client sleeps only while there is nothing to look at") {
  for (uint32_t flags : {0u, uint32_t{kNudged}, uint32_t{kServerGone}}) {
    const SlotAt waits(Ask::kSent, false, MakeAnswer(kOther, Outcome::kReplied, flags));
    CHECK((PrepareSleep(*waits, kSequence) != 0) == (flags == 0));
    if (flags == 0) CHECK(PrepareSleep(*waits, kSequence) == waits->answer);
    const SlotAt answered(Ask::kSent, true, MakeAnswer(kSequence, Outcome::kReplied, flags));
    CHECK(PrepareSleep(*answered, kSequence) == 0);
  }
}

TEST_CASE("a send into a watched slot needs no ring, until the watch is withdrawn") {
  auto slot = std::make_unique<Slot>();
  bool wake = false;
  CHECK(Submit(*slot, 1));
  CHECK(Take(*slot, 1, wake));
  Answer(*slot, 1, Outcome::kReplied, true);
  CHECK_FALSE(Submit(*slot, 2));
  CHECK(WithdrawWatch(*slot, 1));  // it has come, and nobody rang
  CHECK(Take(*slot, 2, wake));
  Answer(*slot, 2, Outcome::kReplied, true);
  CHECK_FALSE(WithdrawWatch(*slot, 2));
  CHECK(Submit(*slot, 3));
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
  CHECK_FALSE(CloseDoor(*bell, SleepingDoor(1)));
  Collect(*bell, [&](uint32_t bit) { --rung[bit]; });
  for (const auto& [bit, count] : rung) CHECK(count == 0);
  CHECK(CloseDoor(*bell, kPollingDoor));
  CHECK(Ring(*bell, 0) == Door::kPolling);
  bell->door = static_cast<uint32_t>(Door::kAwake);
  Collect(*bell, [](uint32_t) {});
  CHECK(CloseDoor(*bell, SleepingDoor(~0u)));
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
        if (WithdrawWatch(slot_, last_)) Serve();
      }
      if (handled_ < requests && !watching_ && CloseDoor(bell_, SleepingDoor(0))) {
        FutexWait(bell_.door, SleepingDoor(0), kNever, Sharing::kShared);
      }
    }
  }
  int answered() const { return answered_; }

 private:
  void Serve() {
    const uint32_t request = slot_.request;
    if (!HasNewRequest(request, last_)) return;  // a ring that came late
    last_ = SequenceOf(request);
    bool wake = false;
    if (!Take(slot_, last_, wake)) {
      if (wake) FutexWake(slot_.answer, 1, Sharing::kShared);
      return;
    }
    ++handled_;
    slot_.reply_bytes = last_ + 1;
    watching_ = last_ % 3 != 0;
    const AnswerResult result = Answer(slot_, last_, Outcome::kReplied, watching_);
    if (result.wake) FutexWake(slot_.answer, 1, Sharing::kShared);
    if (!result.client_left) ++answered_;
  }

  Slot& slot_;
  Bell& bell_;
  bool watching_ = false;
  uint32_t last_ = 0;
  int handled_ = 0;
  int answered_ = 0;
};

TEST_CASE("between two threads every request is answered, left or taken back, and none is lost") {
  constexpr int kRequests = 20'000;
  auto slot = std::make_unique<Slot>();
  auto bell = std::make_unique<Bell>();
  Server server(*slot, *bell);
  std::thread serving([&] { server.Run(kRequests); });
  std::mt19937 random(11);
  int answered = 0, left = 0;
  for (uint32_t sequence = 1; answered + left < kRequests; ++sequence) {
    if (Submit(*slot, sequence) && Ring(*bell, 0) == Door::kSleeping) OpenDoor(*bell);
    if (random() % 8 == 0 && Withdraw(*slot, sequence)) continue;
    if (random() % 8 == 0 && IsTaken(*slot, sequence) && Leave(*slot, sequence)) {
      while (!HasLetGo(slot->answer, sequence)) std::this_thread::yield();
      if (OutcomeOf(slot->answer) != Outcome::kReleased) ++left;
      continue;
    }
    while (const uint32_t asleep = PrepareSleep(*slot, sequence)) {
      FutexWait(slot->answer, asleep, kNever, Sharing::kShared);
    }
    if (OutcomeOf(slot->answer) == Outcome::kReleased) continue;  // taken back while received
    CHECK(OutcomeOf(slot->answer) == Outcome::kReplied);
    if (slot->reply_bytes != sequence + 1) FAIL_CHECK("the answer to another request");
    ++answered;
  }
  serving.join();
  CHECK(server.answered() == answered);
}

}  // namespace
}  // namespace parley::host
