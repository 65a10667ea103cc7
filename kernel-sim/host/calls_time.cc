// Kernel calls: time, work, counters.
#include <sched.h>
#include <time.h>

#include <algorithm>

#include "kernel-sim/host/process.h"

namespace parley::host {
namespace {

int64_t ThreadCpuNs() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * 1'000'000'000 + used.tv_nsec;
}

}  // namespace

int64_t Process::WallNow() { return absl::GetCurrentTimeNanos(); }

void Process::Compute(int64_t cpu_ns) {
  const int64_t until = ThreadCpuNs() + cpu_ns;
  do {
    Enter().IgnoreError();
  } while (ThreadCpuNs() < until && !IsOver(current()));
}

void Process::Charge(int64_t) { Enter().IgnoreError(); }

absl::Status Process::SleepUntil(int64_t wake_ns) {
  PARLEY_ENTER();
  absl::Status slept;
  {
    Locked locked(lock_);
    slept = Block(current(), ThreadState::kSleep, 0, wake_ns);
  }
  if (ErrorOf(slept) == Error::kDeadline) slept = absl::OkStatus();
  return Leave(std::move(slept));
}

void Process::Yield() {
  Enter().IgnoreError();
  sched_yield();
}

// Counters past the table's end are not kept.
void Process::Count(std::string_view counter, int64_t delta) {
  Enter().IgnoreError();
  Locked locked(lock_);
  Farewell& report = numbers();
  const std::string_view name = counter.substr(0, Farewell::kMaxCounterName);
  auto* end = report.counters.data() + report.counters_used;
  auto* found = std::find_if(report.counters.data(), end, [&](const Farewell::Counter& known) {
    return name == known.name.data();
  });
  if (found == end) {
    if (report.counters_used == Farewell::kMaxCounters) return;
    std::copy(name.begin(), name.end(), found->name.begin());
    ++report.counters_used;
  }
  found->total += delta;
  Tracer::Text(RecordKind::kCounter, current(), name, static_cast<uint64_t>(found->total));
}

void Process::Mark(std::string_view remark) {
  if (Enter().ok()) Tracer::Text(RecordKind::kMark, current(), remark, 0);
}

}  // namespace parley::host
