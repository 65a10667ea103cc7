// Ringing a bell, and looking who rang (layout.h).
//
// A ring is never lost: the client sets its bit, then the summary, then reads the door; the server,
// before it sleeps, sets the door to kSleeping and then reads the summary. With sequential
// consistency one of the two sees the other. A bit may be found set though its slot has nothing to
// say: whoever collects looks at the slot.
#ifndef PARLEY_KERNEL_SIM_HOST_BELL_H_
#define PARLEY_KERNEL_SIM_HOST_BELL_H_

#include <bit>

#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/layout.h"

namespace parley::host {

// Sets the bit. Returns how the server wants to be woken: by OpenDoor, or by its knocker. REQUIRES:
// bit < kBellBits.
inline Door Ring(Bell& bell, uint32_t bit) {
  bell.words[bit / 64].fetch_or(uint64_t{1} << bit % 64);
  bell.summary.fetch_or(uint64_t{1} << bit / 64);
  const uint32_t door = bell.door.load();
  // The word is any client's of this user to write: what is no Door counts as asleep.
  return door == static_cast<uint32_t>(Door::kAwake)     ? Door::kAwake
         : door == static_cast<uint32_t>(Door::kPolling) ? Door::kPolling
                                                         : Door::kSleeping;
}

// Wakes one who sleeps on the door. That it stands open, and the wake, are one step of Linux's: a
// client that is killed or preempted on its way leaves nobody asleep behind an open door.
inline void OpenDoor(Bell& bell) {
  FutexSetAndWake(bell.door, static_cast<uint32_t>(Door::kAwake), Sharing::kShared);
}

// Calls visit(bit) for each bit that is set, and clears it. Bounded: a bit is visited once, however
// often it is set meanwhile.
template <typename Visit>
void Collect(Bell& bell, Visit visit) {
  if (bell.summary.load() == 0) return;
  uint64_t summary = bell.summary.exchange(0);
  while (summary != 0) {
    const auto word = static_cast<uint32_t>(std::countr_zero(summary));
    summary &= summary - 1;
    uint64_t bits = bell.words[word].exchange(0);
    while (bits != 0) {
      visit(word * 64 + static_cast<uint32_t>(std::countr_zero(bits)));
      bits &= bits - 1;
    }
  }
}

// A door that is slept on, closed for the `turn`th time. Several threads may sleep on one door, and
// one that is told to look up may be on its way to sleep just then. If another thread then closes
// the door again, its value is another, on which that thread does not sleep.
constexpr uint32_t SleepingDoor(uint32_t turn) {
  return static_cast<uint32_t>(Door::kSleeping) | turn << 2;
}
inline constexpr uint32_t kPollingDoor = static_cast<uint32_t>(Door::kPolling);

// Before the server sleeps on the door, or polls. False if somebody has rung: collect again.
inline bool CloseDoor(Bell& bell, uint32_t closed) {
  bell.door.store(closed);
  if (bell.summary.load() == 0) return true;
  bell.door.store(static_cast<uint32_t>(Door::kAwake));
  return false;
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BELL_H_
