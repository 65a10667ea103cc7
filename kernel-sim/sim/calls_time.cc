// Kernel calls: entering, time, and what a program tells about itself.
#include <algorithm>

#include "kernel-sim/sim/calls.h"

namespace parley::sim {
namespace {
constexpr uint32_t kJitterSteps = 8;  // how finely jitter is chosen
}

absl::Status Calls::Enter() {
  SimThread& thread = sim_.current();
  if (sim_.forked() || thread.state() == ThreadState::kDead) return EnterInVain(thread);
  sim_.CountCall();
  const int64_t cost_ns = sim_.options().call_cost_ns + std::exchange(thread.owed_ns, 0);
  if (!process_.faults.empty() || !sim_.scheduler().TryCharge(cost_ns)) {
    return EnterSlowly(thread, cost_ns);
  }
  return absl::OkStatus();
}

absl::Status Calls::EnterInVain(SimThread& thread) {
  return sim_.forked() ? Refuse(Error::kForked) : sim_.CallAfterDeath(thread);
}

// Others run meanwhile, or a fault may strike.
absl::Status Calls::EnterSlowly(SimThread& thread, int64_t cost_ns) {
  sim_.scheduler().Charge(cost_ns);
  if (!process_.faults.empty() && !process_.ended) sim_.ApplyFaults(process_);
  if (thread.state() == ThreadState::kDead) return sim_.CallAfterDeath(thread);
  return absl::OkStatus();
}

bool Calls::EnterQuietly() noexcept {
  if (sim_.forked() || sim_.current().state() == ThreadState::kDead) return false;
  sim_.CountCall();
  sim_.scheduler().Charge(sim_.options().call_cost_ns);
  return sim_.current().state() != ThreadState::kDead;
}

absl::Status Calls::EnterFromDestructor() noexcept {
  if (sim_.forked()) return Refuse(Error::kForked);
  return EnterQuietly() ? absl::OkStatus() : Refuse(Error::kProcessEnded);
}

void Calls::Compute(int64_t cpu_ns) {
  if (!Enter().ok()) return;
  double work_ns = static_cast<double>(std::max<int64_t>(cpu_ns, 0)) * process_.slow_factor;
  if (sim_.options().compute_jitter > 0) {
    work_ns *= 1 + sim_.options().compute_jitter * sim_.chooser().ChooseAmount(kJitterSteps) /
                       (kJitterSteps - 1);
  }
  sim_.scheduler().Charge(static_cast<int64_t>(work_ns));
}

void Calls::Charge(int64_t cpu_ns) { Compute(cpu_ns); }

absl::Status Calls::SleepUntil(int64_t wake_ns) {
  PARLEY_ENTER();
  SimThread& thread = sim_.current();
  if (wake_ns <= sim_.now()) return absl::OkStatus();
  if (std::exchange(thread.cancel_pending, false)) return Refuse(Error::kCancelled);
  sim_.BeginWait(thread, ThreadState::kSleep, wake_ns);
  return sim_.EndWait(thread);
}

void Calls::Yield() {
  if (Enter().ok()) sim_.scheduler().Yield();
}

void Calls::Count(std::string_view counter, int64_t delta) {
  if (!Enter().ok()) return;
  int64_t& total = process_.report.counters[std::string(counter)];
  total += delta;
  sim_.TellText(TraceKind::kCounter, sim_.current(), counter, static_cast<uint64_t>(total));
}

void Calls::Mark(std::string_view remark) {
  if (Enter().ok()) sim_.TellText(TraceKind::kMark, sim_.current(), remark, 0);
}

}  // namespace parley::sim
