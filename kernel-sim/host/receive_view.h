// How a receiver waits without the lock: what it looks at, and what it sleeps on.
//
// It sleeps on the door of its channel's only bell, which costs least; with several, on its own
// word and on each door. Of bells beyond what Linux can wait for at once the agent hears, since
// their clients knock.
#ifndef PARLEY_KERNEL_SIM_HOST_RECEIVE_VIEW_H_
#define PARLEY_KERNEL_SIM_HOST_RECEIVE_VIEW_H_

#include <linux/futex.h>

#include <array>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "kernel-sim/host/bell.h"
#include "kernel-sim/host/objects.h"
#include "kernel-sim/host/slot.h"

namespace parley::host {

inline constexpr size_t kMostDoors = FUTEX_WAITV_MAX - 1;

// What a receiver may look at without the lock: it stays mapped while the receiver waits. A bell
// that is added meanwhile nudges it.
struct ReceiverView {
  ReceiverView(const HostThread& server, const HostChannel& channel) : wake(server.wake) {
    if (channel.watched != nullptr) {
      watched = &channel.watched->slot();
      seen = channel.watched->sequence;
    }
    for (const auto& bell : channel.bells) bells.push_back(&bell->bell());
    closed = SleepingDoor(channel.doors_closed);
  }
  const std::atomic<uint32_t>& wake;
  Slot* watched = nullptr;
  uint32_t seen = 0;  // the last request in it
  absl::InlinedVector<Bell*, 4> bells;
  uint32_t closed = 0;  // the doors, unless somebody has rung or closed them again

  // Whether somebody wants to be looked at. Relaxed: a hint, taken again under the lock.
  bool HasNews() const {
    if (wake.load(std::memory_order_relaxed) != 0) return true;
    if (watched != nullptr &&
        HasNewRequest(watched->request.load(std::memory_order_relaxed), seen)) {
      ExpectToRead(*watched);
      return true;
    }
    for (const Bell* bell : bells) {
      if (bell->summary.load(std::memory_order_relaxed) != 0) return true;
    }
    return false;
  }

  Bell* OnlyBell() const { return bells.size() == 1 ? bells[0] : nullptr; }

  // Sleeps until the thread is nudged, somebody rings, or the time has come.
  void Sleep(int64_t until_ns) const {
    if (Bell* only = OnlyBell()) {
      FutexWait(only->door, closed, until_ns, Sharing::kShared);
      return;
    }
    std::array<futex_waitv, FUTEX_WAITV_MAX> words = {};
    words[0].uaddr = reinterpret_cast<uintptr_t>(&wake);
    words[0].flags = FUTEX_32 | FUTEX_PRIVATE_FLAG;
    uint32_t count = 1;
    for (Bell* bell : bells) {
      if (count > kMostDoors) break;
      words[count].uaddr = reinterpret_cast<uintptr_t>(&bell->door);
      words[count].val = closed;
      words[count].flags = FUTEX_32;
      ++count;
    }
    const timespec until = ToTimespec(until_ns);
    syscall(SYS_futex_waitv, words.data(), count, 0, until_ns == kNever ? nullptr : &until,
            CLOCK_MONOTONIC);
  }
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_RECEIVE_VIEW_H_
