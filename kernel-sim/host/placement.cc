// On which CPU a thread waits for its peer.
//
// A client and a server that wait for each other have nothing to do in parallel; but Linux wakes
// each of them on a CPU that idles, and an idle CPU takes ten times as long to wake as a switch on
// a busy one. So who has slept shortly several times in a row stays, as long as that goes on, on
// one CPU: the server where it is, the client where its server is.
//
// Who is kept on one CPU and finds its peer awake there every time might do better with a CPU each:
// after kYields of that it is let go, and Linux spreads the pair if it has a CPU to spare.
//
// A server whom its clients do not let sleep fills a CPU. What runs there besides takes turns with
// it, and all its clients wait for those turns; so a client who finds itself there stands aside, on
// the other CPUs, until the server has slept.
//
// The agent lets a thread go again when it has waited for nobody for a while, since it may have
// begun to work; so a thread's work is kept from a free CPU for kLookNs at most. A thread that may
// run on one CPU only is let alone.
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernel-sim/host/process.h"

namespace parley::host {
namespace {

constexpr int64_t kShortSleepNs = 300'000;
constexpr int kShortSleeps = 4;
constexpr int kPatience = 1'000;  // short sleeps until one that cannot be paired is tried again
constexpr int kYields = 1'000;
constexpr uint32_t kAnswersAwake = 1'000;  // of a server that does not sleep
constexpr uint64_t kWaitsToStand = 1'024;  // until it stands aside again, of another CPU
constexpr uint64_t kWaitsToYield = 1'024;
constexpr int64_t kLookNs = 10'000'000;

}  // namespace

// A thread that waits counts as blocked: others of its level are to run, though it spins and never
// sleeps. So now and then it lets them.
void HostThread::CountWait() {
  const uint64_t now = waits.load(std::memory_order_relaxed) + 1;
  waits.store(now, std::memory_order_relaxed);
  if (now % kWaitsToYield == 0) sched_yield();
}

void HostThread::CountSleep(Spinner& spin, int64_t slept_ns) {
  spin.LearnFrom(slept_ns);
  waits.fetch_add(1, std::memory_order_relaxed);
  const int before = short_sleeps.load(std::memory_order_relaxed);
  short_sleeps.store(slept_ns < kShortSleepNs ? before + 1 : 0, std::memory_order_relaxed);
}

bool HostThread::WantsToPair(int cpu) const {
  return short_sleeps.load(std::memory_order_relaxed) >= kShortSleeps &&
         paired_on.load(std::memory_order_relaxed) != cpu;
}

bool HostThread::HasYieldedEnough() {
  return paired_on.load(std::memory_order_relaxed) >= 0 && ++yields >= kYields;
}

// What the server says of itself to the client of this answer. Alone with it is who was answered
// before, too.
uint8_t HostChannel::CountAnswer(const Inbound& answered) {
  const uint32_t last = std::exchange(last_answered, answered.handle_slot);
  paired = last == answered.handle_slot && queued() == 0;
  answers_awake = std::min(answers_awake + 1, kAnswersAwake);
  uint8_t load = paired ? kOneClient : 0;
  if (answers_awake >= kAnswersAwake) load |= kNeverSleeps;
  return load;
}

// By the thread itself: before it waits for a server that ran on `server_cpu` last.
void Process::Place(HostThread& thread, uint8_t load, int server_cpu) {
  const bool is_aside = thread.kept.load(std::memory_order_relaxed) &&
                        thread.paired_on.load(std::memory_order_relaxed) < 0;
  if ((load & kNeverSleeps) == 0) {
    if (!is_aside) return;
    Locked locked(lock_);
    Part(thread);
  } else if ((load & kOneClient) == 0 && server_cpu == sched_getcpu() &&
             thread.waits.load(std::memory_order_relaxed) >= thread.stands_until) {
    Locked locked(lock_);
    StandAside(thread, server_cpu);
  }
}

// By the thread itself. The lock is held.
void Process::Pair(HostThread& thread, int cpu) {
  thread.short_sleeps = -kPatience;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (!Keep(thread, one)) return;
  thread.paired_on = cpu;
  thread.yields = 0;
}

// The same.
void Process::StandAside(HostThread& thread, int cpu) {
  thread.stands_until = thread.waits.load(std::memory_order_relaxed) + kWaitsToStand;
  cpu_set_t others;
  std::memset(&others, 0xff, sizeof(others));
  CPU_CLR(cpu, &others);
  if (Keep(thread, others)) thread.paired_on = -1;
}

// On those of `cpus` on which the thread may run. False if there are none, or no others.
bool Process::Keep(HostThread& thread, cpu_set_t cpus) {
  if (!thread.kept) {
    CPU_ZERO(&thread.allowed);
    sched_getaffinity(0, sizeof(thread.allowed), &thread.allowed);
  }
  CPU_AND(&cpus, &cpus, &thread.allowed);
  if (CPU_COUNT(&cpus) == 0 || CPU_EQUAL(&cpus, &thread.allowed)) return false;
  if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) return false;
  thread.kept = true;
  thread.waits_seen = thread.waits.load(std::memory_order_relaxed);
  timers_.Arm(thread.parting, Now() + kLookNs);
  RearmTimerFd();
  return true;
}

// The lock is held.
void Process::Part(HostThread& thread) {
  if (!thread.kept) return;
  sched_setaffinity(static_cast<pid_t>(thread.tid), sizeof(thread.allowed), &thread.allowed);
  thread.kept = false;
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
