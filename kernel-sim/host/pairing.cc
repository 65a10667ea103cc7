// Bringing a sleeping pair onto one CPU.
//
// A client and a server that wait for each other have nothing to do in parallel; but Linux wakes
// each of them on a CPU that idles, and an idle CPU takes ten times as long to wake as a switch on
// a busy one. So who has slept shortly several times in a row stays, as long as that goes on, on
// one CPU: the server where it is, the client where its server is.
//
// Who is kept on one CPU and finds its peer awake there every time might do better with a CPU each:
// after kYields of that it is let go, and Linux spreads the pair if it has a CPU to spare.
//
// The agent lets a thread go again when it has waited for nobody for a while, since it may have
// begun to work; so a thread's work is kept from a free CPU for kLookNs at most. A thread that may
// run on one CPU only is let alone.
#include <utility>

#include "kernel-sim/host/process.h"

namespace parley::host {
namespace {

constexpr int64_t kShortSleepNs = 300'000;
constexpr int kShortSleeps = 4;
constexpr int kPatience = 1'000;  // short sleeps until one that cannot be paired is tried again
constexpr int kYields = 1'000;
constexpr uint64_t kWaitsToYield = 1024;
constexpr int64_t kLookNs = 10'000'000;

}  // namespace

// A thread that waits counts as blocked: others of its level are to run, though it spins and never
// sleeps. So now and then it lets them.
void Process::CountWait(HostThread& thread) {
  const uint64_t waits = thread.waits.load(std::memory_order_relaxed) + 1;
  thread.waits.store(waits, std::memory_order_relaxed);
  if (waits % kWaitsToYield == 0) sched_yield();
}

void Process::AfterSleep(HostThread& thread, int64_t slept_ns) {
  thread.waits.fetch_add(1, std::memory_order_relaxed);
  const int before = thread.short_sleeps.load(std::memory_order_relaxed);
  thread.short_sleeps.store(slept_ns < kShortSleepNs ? before + 1 : 0, std::memory_order_relaxed);
}

bool Process::WantsToPair(const HostThread& thread, int cpu) {
  return thread.short_sleeps.load(std::memory_order_relaxed) >= kShortSleeps &&
         thread.paired_on.load(std::memory_order_relaxed) != cpu;
}

bool Process::HasYieldedEnough(HostThread& thread) {
  return thread.paired_on.load(std::memory_order_relaxed) >= 0 && ++thread.yields >= kYields;
}

// Whether the client of this answer, and of the one before, alone keeps the channel busy.
bool Process::IsPaired(HostChannel& channel, const Inbound& answered) {
  const uint32_t last = std::exchange(channel.last_answered, answered.handle_slot);
  channel.paired = last == answered.handle_slot && channel.queued() == 0;
  return channel.paired;
}

// By the thread itself. The lock is held.
void Process::Pair(HostThread& thread, int cpu) {
  if (thread.paired_on < 0) {
    CPU_ZERO(&thread.allowed);
    sched_getaffinity(0, sizeof(thread.allowed), &thread.allowed);
  }
  thread.short_sleeps = -kPatience;
  if (CPU_COUNT(&thread.allowed) < 2 || !CPU_ISSET(cpu, &thread.allowed)) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof(one), &one) != 0) return;
  thread.paired_on = cpu;
  thread.yields = 0;
  thread.waits_seen = thread.waits.load(std::memory_order_relaxed);
  timers_.Arm(thread.parting, Now() + kLookNs);
  RearmTimerFd();
}

// The lock is held.
void Process::Part(HostThread& thread) {
  if (thread.paired_on < 0) return;
  sched_setaffinity(static_cast<pid_t>(thread.tid), sizeof(thread.allowed), &thread.allowed);
  thread.paired_on = -1;
  thread.short_sleeps = 0;
  timers_.Disarm(thread.parting);
}

// By the agent, once for each kLookNs. The lock is held.
void Process::OnParting(HostThread& thread) {
  const uint64_t waits = thread.waits.load(std::memory_order_relaxed);
  if (waits == thread.waits_seen) return Part(thread);
  thread.waits_seen = waits;
  timers_.Arm(thread.parting, Now() + kLookNs);
  RearmTimerFd();
}

}  // namespace parley::host
