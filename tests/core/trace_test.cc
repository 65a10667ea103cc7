// The names of thread states.
#include "kernel-sim/core/trace.h"

#include <doctest/doctest.h>

namespace parley {
namespace {

TEST_CASE("core: each thread state has the name that people read") {
  CHECK(Name(ThreadState::kStopped) == "STOPPED");
  CHECK(Name(ThreadState::kReady) == "READY");
  CHECK(Name(ThreadState::kRunning) == "RUNNING");
  CHECK(Name(ThreadState::kSend) == "SEND");
  CHECK(Name(ThreadState::kReceive) == "RECEIVE");
  CHECK(Name(ThreadState::kReply) == "REPLY");
  CHECK(Name(ThreadState::kSleep) == "SLEEP");
  CHECK(Name(ThreadState::kJoin) == "JOIN");
  CHECK(Name(ThreadState::kMutex) == "MUTEX");
  CHECK(Name(ThreadState::kCondVar) == "CONDVAR");
  CHECK(Name(ThreadState::kDead) == "DEAD");
}

}  // namespace
}  // namespace parley
