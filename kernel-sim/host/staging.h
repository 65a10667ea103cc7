// What server and client do to a staging area (layout.h), step by step, without a lock or a system
// call.
//
// One thread of the server asks at a time (CopyTurns), and the one client thread that is blocked in
// the send serves. All atomics are sequentially consistent: whoever sleeps has said so before it
// looked for the last time, and whoever changes what it sleeps on finds that.
#ifndef PARLEY_KERNEL_SIM_HOST_STAGING_H_
#define PARLEY_KERNEL_SIM_HOST_STAGING_H_

#include "kernel-sim/host/read_once.h"
#include "kernel-sim/host/slot.h"

namespace parley::host {

// -- By the server

struct Asked {
  bool asked = false;  // false: the client waits no more
  bool wake = false;   // it sleeps on the slot's answer
};

// Gives the turn to the client. REQUIRES: length is at most kStagingBytes, no other ask is open.
inline Asked AskCopy(Slot& slot, uint32_t sequence, Staging& staging, const CopyAsk& ask) {
  staging.ask = ask;
  staging.turn.store(static_cast<uint32_t>(Turn::kClient));
  uint32_t answer = slot.answer.load();
  while (IsWaitedFor(slot, sequence) && (answer & kClientLeft) == 0) {
    if (slot.answer.compare_exchange_weak(answer, answer | kCopyAsked)) {
      return {true, (answer & kClientSleeps) != 0};
    }
  }
  staging.turn.store(static_cast<uint32_t>(Turn::kNobody));
  return {};
}

// Before the server sleeps on the turn: the value to sleep on, 0 if it is not the client's any
// more.
inline uint32_t PrepareTurnSleep(Staging& staging) {
  uint32_t turn = staging.turn.load();
  while (TurnOf(turn) == Turn::kClient) {
    const uint32_t asleep = static_cast<uint32_t>(Turn::kClient) | kServerSleeps;
    if (turn == asleep || staging.turn.compare_exchange_weak(turn, asleep)) return asleep;
  }
  return 0;
}

// The client is waited for no longer; what it says of this ask from now on, nobody hears.
inline void GiveUpCopy(Staging& staging) {
  staging.turn.store(static_cast<uint32_t>(Turn::kNobody));
}

// -- By the client

// The ask, if there is one: read once, and the server's word alone. Ends the call to look up.
inline bool TakeCopyAsk(Slot& slot, const Staging& staging, CopyAsk& ask) {
  slot.answer.fetch_and(~(kCopyAsked | kClientSleeps));  // it is awake
  if (TurnOf(staging.turn.load()) != Turn::kClient) return false;
  ask = ReadOnce(staging.ask);
  return true;
}

// Gives the turn back. Returns whether to wake the server.
inline bool GiveBackTurn(Staging& staging, Turn outcome) {
  uint32_t turn = staging.turn.load();
  while (TurnOf(turn) == Turn::kClient) {  // else it has given up
    if (staging.turn.compare_exchange_weak(turn, static_cast<uint32_t>(outcome))) {
      return (turn & kServerSleeps) != 0;
    }
  }
  return false;
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_STAGING_H_
