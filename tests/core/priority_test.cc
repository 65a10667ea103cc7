// Priority inheritance beside a model that solves the equations from nothing after each operation.
#include "kernel-sim/core/priority.h"

#include <doctest/doctest.h>

#include <deque>

#include "kernel-sim/core/thread.h"
#include "tests/core/drive.h"
#include "tests/core/inheritance_rig.h"

namespace parley {
namespace {

using State = ThreadState;

TEST_CASE(
    "core: inheritance is the least solution of its equations after each of a million "
    "random operations") {
  tests::DriveAtRandom<tests::InheritanceRig>();
}

TEST_CASE("core: inheritance is the least solution in every sequence of four operations") {
  tests::DriveThroughAll<tests::InheritanceRig>(4);
}

// A few threads that run, for the cases that have a name.
struct Few {
  explicit Few(std::initializer_list<int> bases) {
    for (int base : bases) {
      Thread& thread =
          threads.emplace_back(ThreadId{static_cast<uint32_t>(threads.size() + 1)}, base);
      thread.SetState(State::kReady);
      thread.SetState(State::kRunning);
    }
  }
  void Send(Thread& client, Channel& channel, int ceiling = kMaxPriority) {
    client.SetState(State::kSend);
    inheritance.Enqueue(client, channel, ceiling);
  }
  void Receive(Thread& server, Thread& client, Channel& channel, int ceiling = kMaxPriority) {
    inheritance.Serve(server, channel);
    client.SetState(State::kReply);
    inheritance.Receive(server, client, channel, ceiling);
  }
  void Wake(Thread& thread) {
    thread.SetState(State::kReady);
    thread.SetState(State::kRunning);
  }
  Thread& operator[](size_t index) { return threads[index]; }

  std::deque<Thread> threads;
  Inheritance inheritance;
};

TEST_CASE("core: a server runs at its client's priority, up or down, until the reply") {
  Few few({50, 10, 200});
  Channel channel(false);
  few.Send(few[1], channel);
  few.Receive(few[0], few[1], channel);
  CHECK(few[0].effective() == 10);
  few.inheritance.EndReply(few[1]);
  CHECK(few[0].effective() == 50);
  few.Wake(few[1]);
  few.Send(few[2], channel);
  few.Receive(few[0], few[2], channel);
  CHECK(few[0].effective() == 200);
  few.inheritance.EndReply(few[2]);
  CHECK(few[0].effective() == 50);
}

TEST_CASE("core: a queued client boosts every thread that serves the channel") {
  Few few({10, 20, 100});
  Channel channel(false);
  few.inheritance.Serve(few[0], channel);
  few.inheritance.Serve(few[1], channel);
  few.Send(few[2], channel);
  CHECK(few[0].effective() == 100);
  CHECK(few[1].effective() == 100);
  few.inheritance.Dequeue(few[2]);
  few.Wake(few[2]);
  CHECK(few[0].effective() == 10);
  CHECK(few[1].effective() == 20);
}

TEST_CASE("core: a boost goes through a chain of servers, and ends everywhere at once") {
  Few few({10, 10, 10, 10, 200});
  std::deque<Channel> channels;
  for (int i = 0; i < 4; ++i) {
    channels.emplace_back(false);
    few.inheritance.Serve(few[i], channels[i]);
  }
  for (int i = 3; i > 0; --i) few.Send(few[i], channels[i - 1]);
  few.Send(few[4], channels[3]);
  for (int i = 0; i < 4; ++i) CHECK(few[i].effective() == 200);
  few.inheritance.Dequeue(few[4]);
  few.Wake(few[4]);
  for (int i = 0; i < 4; ++i) CHECK(few[i].effective() == 10);
}

TEST_CASE("core: a channel of fixed priority neither boosts nor gives a term") {
  Few few({10, 200, 250});
  Channel channel(true);
  few.Send(few[1], channel);
  few.Send(few[2], channel);
  few.Receive(few[0], few[2], channel);
  CHECK(few[0].effective() == 10);
}

TEST_CASE("core: a send is clamped to its ceiling, queued and received") {
  Few few({10, 200});
  Channel channel(false);
  few.inheritance.Serve(few[0], channel);
  few.Send(few[1], channel, 60);
  CHECK(few[1].entry().level == 60);
  CHECK(few[0].effective() == 60);
  few.Receive(few[0], few[1], channel, 60);
  CHECK(few[0].effective() == 60);
  CHECK(few[1].effective() == 200);
}

TEST_CASE("core: a pulse received last gives its level until the next term") {
  Few few({10, 30});
  Channel channel(false);
  few.inheritance.Serve(few[0], channel);
  few.inheritance.ReceivePulse(few[0], 90, channel);
  CHECK(few[0].effective() == 90);
  few.Send(few[1], channel);
  few.Receive(few[0], few[1], channel);
  CHECK(few[0].effective() == 30);
  few.inheritance.EndCurrent(few[0]);
  CHECK(few[0].effective() == 10);
}

TEST_CASE("core: the owner of a mutex runs at least at its highest waiter") {
  Few few({10, 100, 50});
  Mutex mutex;
  few.inheritance.Own(few[0], mutex);
  for (int i : {1, 2}) {
    few[i].SetState(State::kMutex);
    few.inheritance.WaitFor(few[i], mutex);
  }
  CHECK(few[0].effective() == 100);
  few.inheritance.Disown(mutex);
  CHECK(few[0].effective() == 10);
  few.inheritance.StopWaiting(few[1]);
  few.Wake(few[1]);
  few.inheritance.Own(few[1], mutex);
  few.inheritance.SetBase(few[1], 20);
  CHECK(few[1].effective() == 50);
}

TEST_CASE("core: two pools that wait for each other do not hold up a level that nobody gives") {
  Few few({10, 10, 10, 10, 200});
  Channel left(false), right(false);
  for (int i : {0, 1}) few.inheritance.Serve(few[i], left);
  for (int i : {2, 3}) few.inheritance.Serve(few[i], right);
  few.Send(few[4], left);
  few.Send(few[0], right);
  few.Send(few[2], left);
  for (int i = 0; i < 4; ++i) CHECK(few[i].effective() == 200);
  few.inheritance.Dequeue(few[4]);
  few.Wake(few[4]);
  for (int i = 0; i < 4; ++i) CHECK(few[i].effective() == 10);
}

TEST_CASE("core: a circle of pools follows the base of a thread in it, up and down") {
  Few few({10, 10, 10, 10});
  Channel left(false), right(false);
  for (int i : {0, 1}) few.inheritance.Serve(few[i], left);
  for (int i : {2, 3}) few.inheritance.Serve(few[i], right);
  few.Send(few[0], right);
  few.Send(few[2], left);
  few.inheritance.SetBase(few[0], 90);
  for (int i = 0; i < 4; ++i) CHECK(few[i].effective() == 90);
  few.inheritance.SetBase(few[0], 10);
  for (int i = 0; i < 4; ++i) CHECK(few[i].effective() == 10);
}

TEST_CASE("core: threads whose priority has changed are listed until the kernel clears the list") {
  Few few({10, 100});
  Channel channel(false);
  few.inheritance.Serve(few[0], channel);
  few.inheritance.ClearChanged();
  few.Send(few[1], channel);
  REQUIRE(few.inheritance.changed().size() == 1);
  CHECK(few.inheritance.changed()[0] == &few[0]);
  few.inheritance.ClearChanged();
  CHECK(few.inheritance.changed().empty());
}

}  // namespace
}  // namespace parley
