// Processes.
#include "tests/bench/process.h"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace parley_bench {
namespace {

using Clock = std::chrono::steady_clock;

volatile sig_atomic_t interrupted = 0;  // a signal handler reaches nothing else

sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

// In a new child, before its body.
void Settle(pid_t parent, const std::vector<int>& cpus, int death_signal) {
  prctl(PR_SET_PDEATHSIG, death_signal);
  if (getppid() != parent) _exit(1);  // it died before the line above
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  const sigset_t signals = EndSignals();
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  RunOn(cpus);
}

}  // namespace

void Fatal(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, what.c_str());
  _exit(1);
}

void Require(bool ok, const char* what) {
  if (!ok) Fatal(std::string(what) + ": " + std::strerror(errno));
}

std::vector<int> AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  Require(sched_getaffinity(0, sizeof(set), &set) == 0, "sched_getaffinity");
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<int> ServerCpus(Placement placement) {
  if (placement == Placement::kUnpinned) return {};
  return {AllowedCpus()[0]};
}

std::vector<int> ClientCpus(Placement placement) {
  if (placement == Placement::kTwoCores) return {AllowedCpus()[1]};
  return ServerCpus(placement);
}

void RunOn(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  Require(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

Child::Child(const std::vector<int>& cpus, const std::function<void()>& body, int death_signal) {
  std::fflush(nullptr);  // or the child would print it too
  pid_ = fork();
  Require(pid_ >= 0, "fork");
  if (pid_ == 0) {
    Settle(parent_, cpus, death_signal);
    body();
    std::exit(0);  // libraries tidy up when static objects end
  }
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  Require(pidfd_ >= 0, "pidfd_open");
}

Child::~Child() {
  if (getpid() != parent_) return;
  kill(pid_, SIGTERM);
  if (!EndedWithin(2'000)) kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  close(pidfd_);
}

bool Child::EndedWithin(int timeout_ms) const {
  pollfd ended = {pidfd_, POLLIN, 0};
  return poll(&ended, 1, timeout_ms) == 1;
}

void TakeSignals() {
  // Blocked but for the moments of waiting, so that none is overlooked before a wait.
  const sigset_t signals = EndSignals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGINT, [](int) { interrupted = 1; });
  signal(SIGTERM, [](int) { interrupted = 1; });
}

absl::Status WaitUntil(absl::Span<const Child* const> children, const std::function<bool()>& done,
                       int limit_ms, int tick_ms) {
  std::vector<pollfd> ends;
  for (const Child* child : children) ends.push_back({child->ended_fd(), POLLIN, 0});
  const Clock::time_point limit = Clock::now() + std::chrono::milliseconds(limit_ms);
  const timespec tick = {tick_ms / 1'000, tick_ms % 1'000 * 1'000'000L};
  sigset_t none;
  sigemptyset(&none);
  while (!done()) {
    if (Clock::now() >= limit) {
      return absl::DeadlineExceededError("no answer for " + std::to_string(limit_ms) + " ms");
    }
    const int ready = ppoll(ends.data(), ends.size(), &tick, &none);
    if (interrupted != 0) return absl::CancelledError("interrupted");
    if (ready > 0 && !done()) return absl::UnavailableError("a process of it has ended early");
  }
  return absl::OkStatus();
}

}  // namespace parley_bench
