// Descriptors that a process wants to hear of on a channel. How a kernel waits for them is its own;
// which it takes, and what it says of the others, is alike.
//
// A watch is armed, or has its pulse queued, or neither: received, and not armed again. Not
// thread-safe.
#ifndef PARLEY_KERNEL_SIM_WATCH_H_
#define PARLEY_KERNEL_SIM_WATCH_H_

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernel-sim/core/channel.h"
#include "kernel-sim/core/handle_table.h"
#include "kernel-sim/core/pulse.h"
#include "kernel-sim/kernel.h"
#include "kernel-sim/unique_fd.h"

namespace parley {

struct WatchedDescriptor {
  Channel* channel = nullptr;  // null once gone
  WatchHandle handle = WatchHandle::kNone;
  // A copy: the program may close its own, and have another by its number.
  UniqueFd descriptor;
  Readiness readiness = Readiness::kReadable;
  int priority = kDefaultPriority;
  bool armed = false;

  // For poll and epoll alike.
  short events() const;
  // Now. The end of the far side and errors count: reading or writing says which it is.
  bool IsReady() const;
  PulseInfo pulse() const {
    return {static_cast<uint8_t>(KernelPulse::kReady), Raw(handle), priority, 1, 0};
  }
  PulseSource source() const { return {PulseSource::Kind::kDescriptor, Raw(handle)}; }
  // Its pulse, if it is queued.
  Pulse* FindQueued(const PulseTable& pulses) const {
    return pulses.Find(source(), static_cast<uint8_t>(KernelPulse::kReady), Raw(handle), priority);
  }
};

// Those of one process.
class WatchTable {
 public:
  // Not armed. kInvalidArgument: not open, or nothing that can be waited for; a priority out of
  // range. kNotPermitted: above the ceiling (P6). kQuotaExhausted: no descriptor, no handle.
  absl::StatusOr<WatchedDescriptor*> Make(Channel& channel, int descriptor, Readiness readiness,
                                          int priority, int ceiling);
  WatchedDescriptor* Find(WatchHandle handle) const { return handles_.Find(handle); }
  // Null as Find.
  std::unique_ptr<WatchedDescriptor> Remove(WatchHandle handle);
  std::vector<WatchedDescriptor*> OfChannel(const Channel& channel) const;

 private:
  HandleTable<WatchHandle, WatchedDescriptor> handles_;
  absl::flat_hash_map<WatchHandle, std::unique_ptr<WatchedDescriptor>> records_;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_WATCH_H_
