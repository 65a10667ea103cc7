// The states of a thread, and which of them may follow which.
#ifndef PARLEY_KERNEL_SIM_CORE_THREAD_STATE_H_
#define PARLEY_KERNEL_SIM_CORE_THREAD_STATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace parley {

// The states of a thread as `parley ps` shows them (QNX's meaning, and its MUTEX and CONDVAR).
// STOPPED is a thread that has been made and has not started.
enum class ThreadState : uint8_t {
  kStopped = 0,
  kReady,
  kRunning,
  kSend,
  kReceive,
  kReply,
  kSleep,
  kJoin,
  kMutex,
  kCondVar,
  kDead,  // the last one
};
std::string_view Name(ThreadState state);  // "STOPPED", "READY", ...

// For each state, as bits, the states that may follow. Blocked states lead to READY; only a running
// thread blocks.
constexpr auto kNextStates = [] {
  using enum ThreadState;
  auto set = [](std::initializer_list<ThreadState> states) {
    unsigned bits = 0;
    for (ThreadState state : states) bits |= 1u << static_cast<int>(state);
    return static_cast<uint16_t>(bits);
  };
  std::array<uint16_t, static_cast<size_t>(kDead) + 1> next = {};
  next.fill(set({kReady, kDead}));
  auto of = [&](ThreadState state) -> uint16_t& { return next[static_cast<size_t>(state)]; };
  of(kReady) = set({kRunning, kDead});
  of(kRunning) = set({kReady, kSend, kReceive, kReply, kSleep, kJoin, kMutex, kCondVar, kDead});
  of(kSend) = set({kReply, kReady, kDead});     // received, or its send has failed
  of(kCondVar) = set({kMutex, kReady, kDead});  // woken while the mutex is taken, or not
  of(kDead) = 0;
  return next;
}();

// Whether a thread may go from one state to another. READY -> READY and the like are not changes.
constexpr bool MayBecome(ThreadState from, ThreadState to) {
  return (kNextStates[static_cast<size_t>(from)] >> static_cast<int>(to) & 1) != 0;
}

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_THREAD_STATE_H_
