// The kernel that the conformance suite runs on, and how its tests order things on every kernel.
//
// PARLEY_TEST_KERNEL=host picks the host kernel, host-link the same as if Linux did not permit
// processes to copy from each other. There each process is a real one that runs beside the others
// on as many CPUs as there are, under whatever load. So tests order things by facts: by replies,
// pulses, flags in shared memory (WaitUntil). For one fact there is no sign, that a thread has come
// to block in a call: LetBlock alone stands for it. No test asserts a time on the host: how long
// something took at most is checked in virtual time only (InTime).
#ifndef PARLEY_TESTS_CONFORMANCE_ANY_KERNEL_H_
#define PARLEY_TESTS_CONFORMANCE_ANY_KERNEL_H_

#include <functional>
#include <vector>

#include "tests/support/shared.h"
#include "tests/support/world.h"

namespace tests::conformance {

// -- The kernel

bool OnHost();

struct Needs {
  bool one_cpu = false;  // that all threads of the world share; the simulated kernel has one anyway
};
parley::RunReport RunAny(const std::vector<Actor>& actors, const Needs& needs = {});
parley::RunReport RunWorld(const std::vector<Actor>& actors, const Needs& needs = {});

// For the few cases that cannot run on every kernel, as
// `if (OnSimulationOnly("why")) return;`: whether to leave, which the test's output then says.
bool OnSimulationOnly(const char* why);
// Whether to leave because Linux gives this user no real priorities, or no other users.
bool LacksRealTime();
bool CanRunRealTime();  // SCHED_FIFO is permitted
bool LacksOtherUsers();

// A server at /s that runs `serve` on the one message that it receives.
Actor ServeOnce(std::function<int(ipc::Process&, ipc::Message&)> serve);

// -- Order

// Waits, in small sleeps, until `fact` holds. False if it does not within 10 s.
bool WaitUntil(ipc::Process& self, const std::function<bool()>& fact);
inline bool WaitUntil(ipc::Process& self, const Shared<bool>& flag) {
  return WaitUntil(self, [&] { return static_cast<bool>(flag); });
}

// A short time: long beside what a thread needs to get from one call to the next.
absl::Duration Margin();
// Gives threads that are about to block in a call the time to get there. The one place where time
// orders things.
void LetBlock(ipc::Process& self);
// How long a client waits that is to leave only after a waiting server has received.
inline absl::Duration LongEnoughToBeReceived() { return 5 * Margin(); }

// Whether less than `bound` has passed. Only virtual time can promise it: true on the host.
inline bool InTime(absl::Duration took, absl::Duration bound) { return OnHost() || took < bound; }

// For connections to servers that are starting, or for what is sure to come.
inline constexpr absl::Duration kSoon = absl::Seconds(10);
inline ipc::Connection OpenSoon(ipc::Process& self, const char* path) {
  return self.Open(path, kSoon).value();
}

}  // namespace tests::conformance

#endif  // PARLEY_TESTS_CONFORMANCE_ANY_KERNEL_H_
