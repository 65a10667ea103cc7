// What client and server do to a slot (layout.h), step by step, without a lock or a system call.
//
// One client thread uses a slot at a time, and one server process. The state word alone decides who
// may touch the rest: the client while the phase is kIdle, kReplied or kFailed, the server from
// kTaken until it answers. Each change of phase that the other side could also make is a
// compare-and-exchange; each function says what it leaves. All atomics here are sequentially
// consistent: on x86-64 that costs nothing over what the exchanges cost anyway, and the argument
// for the watch needs it.
//
// The watch: a server that answers with `watch` promises to look at this slot before it next
// sleeps, so the client's next send need not ring the bell. Either the client's exchange in Submit
// finds the flag, and then the server's WithdrawWatch, which comes after it, finds kSent; or the
// server has withdrawn the flag first, and then Submit finds it gone and says to ring. No message
// falls between.
#ifndef PARLEY_KERNEL_SIM_HOST_SLOT_H_
#define PARLEY_KERNEL_SIM_HOST_SLOT_H_

#include "kernel-sim/host/layout.h"

namespace parley::host {

// -- By the client

// Whether the slot is the client's to fill: nothing in it is on its way or in the server's hands.
inline bool IsFree(const Slot& slot) {
  const Phase phase = PhaseOf(slot.state.load());
  return phase == Phase::kIdle || phase == Phase::kReplied || phase == Phase::kFailed;
}

// The request stands in the slot: sends it. Returns whether the bell must be rung. REQUIRES:
// IsFree.
inline bool Submit(Slot& slot) {
  const uint32_t before = slot.state.exchange(static_cast<uint32_t>(Phase::kSent));
  return (before & kWatched) == 0;
}

// Goes from one phase to another, keeping the flags; false if the slot is in another phase.
inline bool MovePhase(Slot& slot, Phase from, Phase to) {
  uint32_t state = slot.state.load();
  while (PhaseOf(state) == from) {
    if (slot.state.compare_exchange_weak(state, WithPhase(state, to))) return true;
  }
  return false;
}

// D2: takes the request back; false if it has been received or answered meanwhile.
inline bool Withdraw(Slot& slot) { return MovePhase(slot, Phase::kSent, Phase::kIdle); }

// D3: leaves a request that has been received; false if it was answered meanwhile.
inline bool Leave(Slot& slot) { return MovePhase(slot, Phase::kTaken, Phase::kLeft); }

// Before the client sleeps on the word: the value to sleep on, 0 if there is something to look at.
inline uint32_t PrepareSleep(Slot& slot) {
  uint32_t state = slot.state.load();
  for (;;) {
    const Phase phase = PhaseOf(state);
    if ((phase != Phase::kSent && phase != Phase::kTaken) || (state & kLookUp) != 0) {
      return 0;
    }
    if ((state & kClientSleeps) != 0) return state;
    if (slot.state.compare_exchange_weak(state, state | kClientSleeps))
      return state | kClientSleeps;
  }
}

// -- By the server

// S1: receives the request; false if the client has withdrawn it. What stands in the slot is still
// the client's to overwrite, if it cheats: read it once.
inline bool Take(Slot& slot) { return MovePhase(slot, Phase::kSent, Phase::kTaken); }

struct AnswerResult {
  bool wake = false;         // the client sleeps on the word
  bool client_left = false;  // nobody waits for this answer (D3)
};

// The answer stands in the slot: ends the client's wait. A client that has left gets its slot back.
// REQUIRES: this server has taken it, and answers once.
inline AnswerResult Answer(Slot& slot, Phase phase, bool watch) {
  const uint32_t before =
      slot.state.exchange(static_cast<uint32_t>(phase) | (watch ? kWatched : 0));
  return {(before & kClientSleeps) != 0, PhaseOf(before) == Phase::kLeft};
}

// Ends the promise of `watch`. Returns whether a request came meanwhile, without a ring.
inline bool WithdrawWatch(Slot& slot) {
  return PhaseOf(slot.state.fetch_and(~kWatched)) == Phase::kSent;
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_SLOT_H_
