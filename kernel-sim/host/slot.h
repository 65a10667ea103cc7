// What client and server do to a slot (layout.h), step by step, without a lock or a system call.
//
// One client thread uses a slot at a time, and one server process. The rest of a slot is the
// client's to write while nothing of it is on its way, and the server's from Take until it answers.
// All atomics here are sequentially consistent unless they say otherwise; two arguments need it.
//
// Receiving: the server notes the sequence as taken, then looks at the request; a client that takes
// its request back changes the request, then looks at what was taken. So one of the two sees the
// other, and what is received is never taken back. If both do, the server lets go: the client gets
// kReleased.
//
// The watch: a server that answers with `watch` promises to look at this slot before it next
// sleeps, so the client's next send need not ring the bell. The client sends, then looks for the
// watch; the server withdraws the watch, then looks for a request. No message falls between.
#ifndef PARLEY_KERNEL_SIM_HOST_SLOT_H_
#define PARLEY_KERNEL_SIM_HOST_SLOT_H_

#include "kernel-sim/host/layout.h"
#include "kernel-sim/host/ticks.h"

namespace parley::host {

constexpr bool IsAnswer(uint32_t answer, uint32_t sequence) {
  return SequenceOf(answer) == sequence && OutcomeOf(answer) != Outcome::kNone;
}

// Whether the server has let go of this send: answers come in the order of their sends.
constexpr bool HasLetGo(uint32_t answer, uint32_t sequence) {
  const uint32_t ahead = (SequenceOf(answer) - sequence) & (~0u >> kSequenceShift);
  return ahead == 0 ? OutcomeOf(answer) != Outcome::kNone : ahead < (~0u >> kSequenceShift) / 2;
}

// Each line that one side writes and the other watches costs a trip to the other CPU's cache before
// it can be written, and one back. These begin the first of the two early, while there is something
// else to do.
inline void FetchToWrite(const void* line) {
#if defined(__x86_64__)
  // Without more flags a compiler makes a fetch for reading of it.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const std::byte*>(line)));
#else
  __builtin_prefetch(line, /*rw=*/1);
#endif
}
inline void ExpectToAsk(const Slot& slot) { FetchToWrite(&slot.request); }
inline void ExpectToAnswer(const Slot& slot) { FetchToWrite(&slot.answer); }
inline void ExpectToWrite(const Slot& slot) { FetchToWrite(slot.bytes.data()); }
inline void ExpectToRead(const Slot& slot) { __builtin_prefetch(slot.bytes.data()); }

// -- By the client

// The request stands in the slot: sends it as `sequence`, which comes after the last. Returns
// whether the bell must be rung. REQUIRES: the last was answered, or taken back.
inline bool Submit(Slot& slot, uint32_t sequence) {
  slot.request.exchange(MakeRequest(sequence, Ask::kSent));
  return (slot.answer.load() & kWatched) == 0;
}

inline bool IsTaken(const Slot& slot, uint32_t sequence) { return slot.taken.load() == sequence; }

// D2: takes the request back; false if it has been received, or is being received.
inline bool Withdraw(Slot& slot, uint32_t sequence) {
  if (IsTaken(slot, sequence)) return false;
  slot.request.exchange(MakeRequest(sequence, Ask::kNothing));
  if (!IsTaken(slot, sequence)) return true;
  slot.request.store(MakeRequest(sequence, Ask::kSent));
  return false;
}

// D3: of a request that was received.
inline void AskToLeave(Slot& slot, uint32_t sequence) {
  slot.request.store(MakeRequest(sequence, Ask::kWantsToLeave));
}

// D3: leaves a request that was received; false if it was answered meanwhile.
inline bool Leave(Slot& slot, uint32_t sequence) {
  uint32_t answer = slot.answer.load();
  do {
    if (IsAnswer(answer, sequence)) return false;
  } while (!slot.answer.compare_exchange_weak(answer, answer | kClientLeft));
  slot.request.store(MakeRequest(sequence, Ask::kLeft));
  return true;
}

// Before the client sleeps on the answer: the value to sleep on, 0 if there is something to look
// at.
inline uint32_t PrepareSleep(Slot& slot, uint32_t sequence) {
  uint32_t answer = slot.answer.load();
  for (;;) {
    if (IsAnswer(answer, sequence) || (answer & kLookUp) != 0) return 0;
    if ((answer & kClientSleeps) != 0) return answer;
    if (slot.answer.compare_exchange_weak(answer, answer | kClientSleeps)) {
      return answer | kClientSleeps;
    }
  }
}

// When it was sent. After Submit.
inline void Stamp(Slot& slot, uint32_t sequence, uint64_t ticks) {
  slot.sent_at.store(ticks, std::memory_order_relaxed);
  slot.stamped.store(sequence, std::memory_order_release);  // pairs with the load in SentAt
}

// -- By the server

// A request without its stamp was sent just now.
inline uint64_t SentAt(const Slot& slot, uint32_t sequence) {
  const bool stamped = slot.stamped.load(std::memory_order_acquire) == sequence;
  return stamped ? slot.sent_at.load(std::memory_order_relaxed) : Ticks();
}

// Whether a request stands here that was not yet seen: `last` is the sequence seen last.
inline bool HasNewRequest(uint32_t request, uint32_t last) {
  return SequenceOf(request) != last && AskOf(request) == Ask::kSent;
}

// Whether the client of a request that was received still waits for its answer.
inline bool IsWaitedFor(const Slot& slot, uint32_t sequence) {
  const uint32_t request = slot.request.load();
  return request == MakeRequest(sequence, Ask::kSent) ||
         request == MakeRequest(sequence, Ask::kWantsToLeave);
}

struct AnswerResult {
  bool wake = false;         // the client sleeps on the answer
  bool client_left = false;  // nobody waits for this answer (D3)
};

// The answer stands in the slot: ends the client's wait. A client that has left gets its slot back.
// REQUIRES: this server has taken it, and answers once.
inline AnswerResult Answer(Slot& slot, uint32_t sequence, Outcome outcome, bool watch) {
  const uint32_t before = slot.answer.exchange(MakeAnswer(sequence, outcome, watch ? kWatched : 0));
  return {(before & kClientSleeps) != 0, (before & kClientLeft) != 0};
}

// S1: receives the request; false if the client has taken it back. What stands in the slot is still
// the client's to overwrite, if it cheats: read it once. `wake`: the client is to be woken.
inline bool Take(Slot& slot, uint32_t sequence, bool& wake) {
  wake = false;
  slot.taken.exchange(sequence);
  const uint32_t request = slot.request.load();
  if (SequenceOf(request) != sequence) return false;
  if (AskOf(request) != Ask::kNothing) return true;
  // Whether the client knows, this cannot tell; the flags may already be those of its next send.
  uint32_t answer = slot.answer.load();
  while (!slot.answer.compare_exchange_weak(
      answer, MakeAnswer(sequence, Outcome::kReleased,
                         answer & (kClientSleeps | kNudged | kServerGone | kWatched)))) {
  }
  wake = (answer & kClientSleeps) != 0;
  return false;
}

// Ends the promise of `watch`. Returns whether a request came meanwhile, without a ring.
inline bool WithdrawWatch(Slot& slot, uint32_t last) {
  slot.answer.fetch_and(~kWatched);
  return HasNewRequest(slot.request.load(), last);
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_SLOT_H_
