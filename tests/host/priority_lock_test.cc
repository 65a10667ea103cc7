// The lock of a process: nobody is inside with somebody else, with the bias given and taken away
// all the time, and nobody waits for ever.
#include "kernel-sim/host/priority_lock.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "tests/core/drive.h"

namespace parley::host {
namespace {

// Threads that count under one lock; each locks in bursts, which earn it the bias.
struct Counting {
  PriorityLock lock;
  uint64_t count = 0;  // guarded by the lock
  std::atomic<uint32_t> inside{0};
  std::atomic<bool> overlapped{false};

  void Once() {
    Locked locked(lock);
    if (inside.fetch_add(1) != 0) overlapped = true;
    ++count;
    inside.fetch_sub(1);
  }
  void Run(int bursts, int burst, bool pauses) {
    for (int i = 0; i < bursts; ++i) {
      for (int j = 0; j < burst; ++j) Once();
      if (pauses) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
};

TEST_CASE("a lock lets one thread in at a time, whoever has the bias") {
  struct Shape {
    int threads, bursts, burst;
    bool pauses;
  };
  for (const Shape& shape : {Shape{2, 200, 3'000, true}, Shape{4, 400, 70, true},
                             Shape{3, 100'000, 1, false}, Shape{2, 1, 200'000, false}}) {
    Counting counting;
    std::vector<std::thread> threads;
    for (int i = 0; i < shape.threads; ++i) {
      threads.emplace_back([&] { counting.Run(shape.bursts, shape.burst, shape.pauses); });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(counting.overlapped);
    CHECK(counting.count == uint64_t(shape.threads) * shape.bursts * shape.burst);
  }
}

TEST_CASE("a lock whose owner by bias sleeps, or has ended, is there for others") {
  Counting counting;
  std::atomic<bool> biased{false}, seen{false};
  std::thread owner([&] {
    counting.Run(1, 10'000, false);
    biased = true;
    while (!seen) std::this_thread::yield();
  });
  while (!biased) std::this_thread::yield();
  counting.Once();  // it is alive, outside
  seen = true;
  owner.join();
  std::thread other([&] { counting.Run(1, 10'000, false); });
  other.join();
  counting.Once();  // it has ended with the bias
  CHECK(counting.count == 20'002);
}

// One thread has the bias and is elsewhere; several others come for the lock at once. Whether all
// of them got it, without another step of that thread.
bool AllGetIt(int others) {
  Counting counting;
  std::atomic<int> ready{0}, served{0};
  std::atomic<bool> go{false}, over{false};
  std::thread owner([&] {
    counting.Run(1, 100, false);
    ++ready;
    over.wait(false);
    counting.Once();  // a lock that was left to this thread is free from here on
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < others; ++i) {
    threads.emplace_back([&] {
      ++ready;
      while (!go) {
      }
      counting.Once();
      ++served;
    });
  }
  while (ready <= others) std::this_thread::yield();
  go = true;
  for (int i = 0; i < 10'000 && served < others; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i == 0 ? 0 : 1));
  }
  const bool all = served == others;
  over = true;
  over.notify_all();
  for (std::thread& thread : threads) thread.join();
  owner.join();
  return all;
}

TEST_CASE("a lock whose owner by bias is elsewhere is there for all who come at once") {
  constexpr int kRounds = 500 / (PARLEY_TEST_SLOWDOWN > 1 ? 5 : 1);
  int round = 0;
  while (round < kRounds && AllGetIt(2 + round % 2)) ++round;
  CHECK(round == kRounds);
}

// What no annotation can say: a lock that is tried by its holder.
void TryWhileHeld(PriorityLock& lock) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (int i = 0; i < 1'000; ++i) {  // before and after the bias is earned
    REQUIRE(lock.TryLock());
    CHECK_FALSE(lock.TryLock());
    if (i % 500 == 0) {
      std::thread([&] { CHECK_FALSE(lock.TryLock()); }).join();
    }
    lock.Unlock();
  }
}

TEST_CASE("a lock is not there for its own holder, nor while another has it") {
  PriorityLock lock;
  TryWhileHeld(lock);
}

}  // namespace
}  // namespace parley::host
