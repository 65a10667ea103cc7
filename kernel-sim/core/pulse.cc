// Coalescing and quotas of pulses.
#include "kernel-sim/core/pulse.h"

#include <limits>

namespace parley {

PulseTable::Offered PulseTable::Offer(PulseSource source, uint8_t code, uint64_t value,
                                      int priority, uint64_t badge, size_t quota) {
  const Identity identity{source, code, static_cast<uint8_t>(priority), value};
  if (auto found = index_.find(identity); found != index_.end()) {
    Pulse& pulse = *found->second;
    if (pulse.count < std::numeric_limits<uint32_t>::max()) ++pulse.count;
    return {Outcome::kCoalesced, &pulse};
  }
  if (quota != kNoQuota) {
    if (queued_by(source) >= quota) return {Outcome::kRefused, nullptr};
    ++queued_by_[source];
  }
  if (free_.empty()) free_.push_back(&pulses_.emplace_back());
  Pulse& pulse = *free_.back();
  free_.pop_back();
  pulse.source = source;
  pulse.code = code;
  pulse.value = value;
  pulse.priority = identity.priority;
  pulse.count = 1;
  pulse.badge = badge;
  index_[identity] = &pulse;
  return {Outcome::kQueued, &pulse};
}

Pulse* PulseTable::Find(PulseSource source, uint8_t code, uint64_t value, int priority) const {
  auto found = index_.find(Identity{source, code, static_cast<uint8_t>(priority), value});
  return found == index_.end() ? nullptr : found->second;
}

void PulseTable::Take(Pulse& pulse) {
  PARLEY_CHECK(!pulse.queued());
  PARLEY_CHECK(index_.erase(IdentityOf(pulse)) == 1);
  if (auto found = queued_by_.find(pulse.source); found != queued_by_.end()) {
    if (--found->second == 0) queued_by_.erase(found);
  }
  free_.push_back(&pulse);
}

size_t PulseTable::queued_by(PulseSource source) const {
  auto found = queued_by_.find(source);
  return found == queued_by_.end() ? 0 : found->second;
}

void PulseTable::CheckInvariants() const {
  PARLEY_CHECK(index_.size() + free_.size() == pulses_.size());
  for (const auto& [identity, pulse] : index_) {
    PARLEY_CHECK(identity == IdentityOf(*pulse) && pulse->count > 0);  // 1
  }
  for (const auto& [source, count] : queued_by_) {
    size_t queued = 0;
    for (const auto& [identity, pulse] : index_) queued += identity.source == source ? 1 : 0;
    PARLEY_CHECK(count > 0 && count == queued);  // 2
  }
}

}  // namespace parley
