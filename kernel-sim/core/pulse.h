// The pulses queued on one channel (U1, U2): coalescing, counts and quotas. The channel's queue
// orders them.
//
// Identical pulses (same source, code, value and priority) coalesce into the one that is queued and
// raise its count. The owner pushes a new pulse into the channel's queue, and takes it out before
// Take or Withdraw gives it back. Pulses of a source that is gone stay (L2). No allocation in
// steady state. Not thread-safe.
//
// Invariants:
//   1. Each queued pulse is in the index under its identity.
//   2. queued_by(source) is the number of distinct queued pulses of a source with a quota, and at
//   most that; coalesced ones are not counted. A source with none takes no memory.
#ifndef PARLEY_KERNEL_SIM_CORE_PULSE_H_
#define PARLEY_KERNEL_SIM_CORE_PULSE_H_

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernel-sim/core/channel.h"

namespace parley {

// Who queues pulses: a connection, an event, a timer, a watched descriptor, each by its own number,
// or the kernel itself.
struct PulseSource {
  enum class Kind : uint8_t { kKernel, kConnection, kEvent, kTimer, kDescriptor };
  Kind kind = Kind::kKernel;
  uint64_t number = 0;
  friend bool operator==(const PulseSource&, const PulseSource&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const PulseSource& source) {
    return H::combine(std::move(state), source.kind, source.number);
  }
};

// One queued pulse.
struct Pulse : QueueEntry {
  Pulse() : QueueEntry(Kind::kPulse) {}
  PulseSource source;
  uint8_t code = 0;
  uint64_t value = 0;
  uint8_t priority = 0;
  uint32_t count = 0;  // how many identical ones it stands for; stops at the largest number
  uint64_t badge = 0;
};

class PulseTable {
 public:
  static constexpr size_t kNoQuota = ~size_t{0};

  enum class Outcome : uint8_t {
    kQueued,     // a new pulse, for the caller to push
    kCoalesced,  // counted in one that is queued already
    kRefused,    // past the quota; nothing has changed
  };
  struct Offered {
    Outcome outcome;
    Pulse* pulse;  // null when refused
  };
  // REQUIRES: a source always offers the same badge, and always has a quota or never.
  Offered Offer(PulseSource source, uint8_t code, uint64_t value, int priority, uint64_t badge,
                size_t quota);
  // The queued pulse of this identity, null when there is none: D4, to withdraw it.
  Pulse* Find(PulseSource source, uint8_t code, uint64_t value, int priority) const;
  // A pulse that the caller has taken out of the queue is over; the memory is used again by a later
  // Offer.
  void Take(Pulse& pulse);

  size_t queued() const { return index_.size(); }
  size_t queued_by(PulseSource source) const;
  void CheckInvariants() const;

 private:
  friend class PulseTableTestAccess;
  struct Identity {
    PulseSource source;
    uint8_t code;
    uint8_t priority;
    uint64_t value;
    friend bool operator==(const Identity&, const Identity&) = default;
    template <typename H>
    friend H AbslHashValue(H state, const Identity& identity) {
      return H::combine(std::move(state), identity.source, identity.code, identity.priority,
                        identity.value);
    }
  };
  static Identity IdentityOf(const Pulse& pulse) {
    return {pulse.source, pulse.code, pulse.priority, pulse.value};
  }

  std::deque<Pulse> pulses_;  // a deque keeps them in place
  std::vector<Pulse*> free_;
  absl::flat_hash_map<Identity, Pulse*> index_;
  absl::flat_hash_map<PulseSource, size_t> queued_by_;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_PULSE_H_
