// The state machine of a thread: each pair of states, allowed and refused.
#include "kernel-sim/core/thread.h"

#include <doctest/doctest.h>

#include <array>
#include <string_view>

#include "kernel-sim/core/priority.h"
#include "tests/core/death.h"

namespace parley {
namespace {

constexpr int kStates = static_cast<int>(ThreadState::kDead) + 1;

// A row for each state to leave, a column for each to enter, both in the order of ThreadState.
constexpr std::array<std::string_view, kStates> kAllowed = {
    //  stopped . ready . running . send . receive . reply . sleep . join . mutex . condvar . dead
    ".1........1",  // STOPPED
    "..1.......1",  // READY
    ".1.11111111",  // RUNNING
    ".1...1....1",  // SEND
    ".1........1",  // RECEIVE
    ".1........1",  // REPLY
    ".1........1",  // SLEEP
    ".1........1",  // JOIN
    ".1........1",  // MUTEX
    ".1......1.1",  // CONDVAR
    "...........",  // DEAD
};

// By the shortest way there.
void Bring(Thread& thread, ThreadState state) {
  if (state == ThreadState::kStopped) return;
  thread.SetState(ThreadState::kReady);
  if (state == ThreadState::kReady) return;
  thread.SetState(ThreadState::kRunning);
  if (state != ThreadState::kRunning) thread.SetState(state);
}

TEST_CASE("core: a thread changes its state exactly as the table allows") {
  for (int from = 0; from < kStates; ++from) {
    for (int to = 0; to < kStates; ++to) {
      const auto before = static_cast<ThreadState>(from), after = static_cast<ThreadState>(to);
      INFO("from ", std::string(Name(before)), " to ", std::string(Name(after)));
      const bool allowed = kAllowed[from][to] == '1';
      CHECK(MayBecome(before, after) == allowed);
      Thread thread(ThreadId{1}, 10);
      Bring(thread, before);
      CHECK(thread.state() == before);
      if (allowed) {
        thread.SetState(after);
        CHECK(thread.state() == after);
      } else {
        CHECK(tests::BreaksAnInvariant([&] { thread.SetState(after); }));
      }
    }
  }
}

TEST_CASE("core: a new thread is stopped and runs at its base") {
  Thread thread(ThreadId{7}, 42);
  CHECK(thread.id() == ThreadId{7});
  CHECK(thread.state() == ThreadState::kStopped);
  CHECK(thread.base() == 42);
  CHECK(thread.effective() == 42);
  CHECK(thread.sent_level() == 42);
  CHECK(thread.serves().empty());
  thread.CheckInvariants();
}

TEST_CASE("core: a thread cannot be made outside the priorities 1 to 255") {
  CHECK(tests::BreaksAnInvariant([] { Thread(ThreadId{1}, 0); }));
  CHECK(tests::BreaksAnInvariant([] { Thread(ThreadId{1}, 256); }));
  Thread lowest(ThreadId{1}, kMinPriority), highest(ThreadId{2}, kMaxPriority);
  CHECK(lowest.effective() == 1);
  CHECK(highest.effective() == 255);
}

TEST_CASE("core: the checker of a thread sees a queue that does not fit its state") {
  Inheritance inheritance;
  Channel channel(false);
  Mutex mutex;
  Thread sender(ThreadId{1}, 10), receiver(ThreadId{2}, 10), waiter(ThreadId{3}, 10);
  for (Thread* thread : {&sender, &receiver, &waiter}) Bring(*thread, ThreadState::kRunning);
  CHECK(tests::BreaksAnInvariant([&] {
    inheritance.Enqueue(sender, channel, kMaxPriority);
    sender.CheckInvariants();
  }));
  CHECK(tests::BreaksAnInvariant([&] {
    inheritance.AddReceiver(receiver, channel);
    receiver.CheckInvariants();
  }));
  CHECK(tests::BreaksAnInvariant([&] {
    inheritance.WaitFor(waiter, mutex);
    waiter.CheckInvariants();
  }));
  CHECK(tests::BreaksAnInvariant([&] {
    inheritance.Receive(receiver, sender, channel, kMaxPriority);
    sender.CheckInvariants();  // boosts a server, and is not REPLY-blocked
  }));
  sender.SetState(ThreadState::kSend);
  CHECK(tests::BreaksAnInvariant([&] { sender.CheckInvariants(); }));
}

}  // namespace
}  // namespace parley
