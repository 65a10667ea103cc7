// Threads and locks as libipc hands them out.
#include "ipc/thread.h"

#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;

void RunAlone(const std::function<void(ipc::Process&)>& body) {
  tests::RunWorld({{.name = "alone", .main = [&](ipc::Process& self) {
                      body(self);
                      return 0;
                    }}});
}

TEST_CASE("destroying a thread's handle cancels what it blocks in, and joins it") {
  RunAlone([](ipc::Process& self) {
    absl::Status slept;
    bool ended = false;
    {
      ipc::Thread thread = self.Spawn({},
                                      [&] {
                                        slept = self.Sleep(absl::InfiniteDuration());
                                        self.Compute(absl::Milliseconds(1));
                                        ended = true;
                                      })
                               .value();
      self.Sleep(absl::Milliseconds(1)).IgnoreError();
    }
    CHECK(ended);
    CHECK(ErrorOf(slept) == Error::kCancelled);
  });
}

TEST_CASE("a thread is joined once, and a moved handle joins what it was moved from") {
  RunAlone([](ipc::Process& self) {
    ipc::Thread first = self.Spawn({}, [&] { self.Compute(absl::Milliseconds(1)); }).value();
    ipc::Thread second = std::move(first);
    CHECK(ErrorOf(first.Join()) == Error::kBadHandle);
    CHECK(ErrorOf(second.Join(ipc::Deadline::Poll())) == Error::kDeadline);
    CHECK(second.Join().ok());
    CHECK(ErrorOf(second.Join()) == Error::kBadHandle);
  });
}

TEST_CASE("a mutex excludes, is not recursive, and hands over to the highest waiter") {
  RunAlone([](ipc::Process& self) {
    ipc::Mutex mutex = self.CreateMutex().value();
    std::vector<int> order;
    std::vector<ipc::Thread> threads;
    {
      ipc::MutexLock lock(mutex);
      CHECK(lock.ok());
      CHECK(ErrorOf(mutex.Lock()) == Error::kWouldDeadlock);
      for (int priority : {20, 30, 40}) {  // each waits at once: it is above us
        threads.push_back(self.Spawn({.scheduling = ipc::Scheduling{.priority = priority}},
                                     [&, priority] {
                                       ipc::MutexLock held(mutex);
                                       order.push_back(priority);
                                     })
                              .value());
      }
      CHECK(self.priority() == 40);  // inherited
    }
    CHECK(self.priority() == 10);
    for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
    CHECK(order == std::vector<int>{40, 30, 20});
    CHECK(ErrorOf(mutex.Unlock()) == Error::kNotPermitted);
  });
}

TEST_CASE("a condition variable wakes one or all, and has locked again whatever it returns") {
  RunAlone([](ipc::Process& self) {
    ipc::Mutex mutex = self.CreateMutex().value();
    ipc::CondVar changed = self.CreateCondVar().value();
    int woken = 0;
    std::vector<ipc::Thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.push_back(self.Spawn({},
                                   [&] {
                                     ipc::MutexLock lock(mutex);
                                     CHECK(changed.Wait(mutex).ok());
                                     ++woken;
                                   })
                            .value());
    }
    self.Sleep(absl::Milliseconds(1)).IgnoreError();
    CHECK(changed.Signal().ok());
    self.Sleep(absl::Milliseconds(1)).IgnoreError();
    CHECK(woken == 1);
    CHECK(changed.SignalAll().ok());
    self.Sleep(absl::Milliseconds(1)).IgnoreError();
    CHECK(woken == 3);
    CHECK(ErrorOf(changed.Wait(mutex)) == Error::kNotPermitted);
    ipc::MutexLock lock(mutex);
    CHECK(ErrorOf(changed.Wait(mutex, absl::Milliseconds(1))) == Error::kDeadline);
    CHECK(ErrorOf(mutex.Lock()) == Error::kWouldDeadlock);  // held
  });
}

TEST_CASE("a lock whose thread is killed while holding it does not take the process along") {
  const parley::RunReport report =
      tests::RunAny({{.name = "sleeper",
                      .main =
                          [](ipc::Process& self) {
                            ipc::Mutex mutex = self.CreateMutex().value();
                            ipc::MutexLock lock(mutex);
                            self.Sleep(absl::InfiniteDuration()).IgnoreError();
                            return 0;
                          },
                      .only_program = true},
                     {.name = "parent", .main = [](ipc::Process& self) {
                        ipc::Child child = self.Start("sleeper").value();
                        self.Sleep(absl::Milliseconds(1)).IgnoreError();
                        CHECK(child.Kill().ok());
                        CHECK(child.Wait()->kind == ipc::ExitStatus::Kind::kKilled);
                        return 0;
                      }}});
  CHECK_FALSE(report.deadlock);
}

}  // namespace
