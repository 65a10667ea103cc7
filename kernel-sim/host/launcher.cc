// The launcher's run: broker, processes, exits, report.
#include "kernel-sim/host/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "kernel-sim/host/broker_loop.h"
#include "kernel-sim/host/child.h"
#include "kernel-sim/host/exit_report.h"
#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/service.h"
#include "kernel-sim/host/spawn.h"
#include "kernel-sim/host/ticks.h"
#include "kernel-sim/refusals.h"

namespace parley::host {
Launcher::Launcher(const HostOptions& options, std::vector<Program> programs,
                   ProcessMain process_main)
    : options_(options), programs_(std::move(programs)), process_main_(process_main) {}

Launcher::~Launcher() = default;

const Program* Launcher::FindProgram(std::string_view name) const {
  auto found = std::find_if(programs_.begin(), programs_.end(),
                            [&](const Program& program) { return program.name == name; });
  return found == programs_.end() ? nullptr : &*found;
}

absl::Status Launcher::Add(const InitialProcess& process) {
  if (FindProgram(process.program) == nullptr) {
    return MakeError(Error::kNoSuchName,
                     absl::StrCat("no program is called '", process.program, "'"));
  }
  if (process.name_server && std::any_of(initial_.begin(), initial_.end(),
                                         [](const auto& other) { return other.name_server; })) {
    return MakeError(Error::kInvalidArgument, "a second name server");
  }
  if (absl::Status valid = CheckProcess(process.options, kMaxPriority, geteuid(), getegid());
      !valid.ok()) {
    return valid;
  }
  const auto spawn = MakeSpawn(process.program, process.options);
  if (!spawn.ok()) return spawn.status();
  initial_.push_back(process);
  return absl::OkStatus();
}

void Launcher::Fail(std::string problem) {
  failed_ = true;
  report_.problems.push_back(std::move(problem));
}

RunReport Launcher::Run() {
  start_ns_ = MonotonicNs();
  trace_scale_.begin_ticks = Ticks();
  std::stable_sort(initial_.begin(), initial_.end(),
                   [](const InitialProcess& a, const InitialProcess& b) {
                     if (a.name_server != b.name_server) return a.name_server;
                     return a.start_ns < b.start_ns;
                   });
  scope_.emplace();
  if (options_.low_latency) HoldLatency();
  if (Start()) {
    while (!IsOver()) {
      while (next_initial_ < initial_.size() && !failed_ &&
             AfterStart(initial_[next_initial_].start_ns) <= MonotonicNs()) {
        SpawnNext();
      }
      if (!IsOver()) Serve(NextTurn());
    }
  }
  if (report_.timed_out) NoteWhoIsLeft();
  KillAll();
  StopBroker();
  scope_.reset();
  latency_.Reset();
  report_.real_time = true;
  report_.end_ns = MonotonicNs() - start_ns_;
  if (options_.trace != nullptr) TellTrace();
  for (auto& [id, child] : children_) report_.processes.push_back(std::move(child.report));
  return std::move(report_);
}

// A process's child is announced before its maker's exit is confirmed: with nobody that runs and
// nothing to confirm there is nobody left, and nobody to come.
bool Launcher::IsOver() const {
  if (failed_ || stopped_ || report_.timed_out) return true;
  if (!options_.serve_at.empty()) return false;
  return next_initial_ == initial_.size() && foreground_ == 0 && unconfirmed_ == 0;
}

int64_t Launcher::AfterStart(int64_t ns) const {
  return start_ns_ + std::min(ns, kNever - start_ns_);
}

// When the next process is to start, or the run's time is over.
int64_t Launcher::NextTurn() const {
  int64_t turn = AfterStart(options_.limit_ns);
  if (next_initial_ < initial_.size()) {
    turn = std::min(turn, AfterStart(initial_[next_initial_].start_ns));
  }
  return turn;
}

// Linux keeps its promise while the file is open. Without permission the run goes on without it.
void Launcher::HoldLatency() {
  latency_ = UniqueFd(open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC));
  const int32_t most_us = 0;
  if (latency_.valid() && write(latency_.get(), &most_us, sizeof(most_us)) < 0) latency_.Reset();
}

// -- Processes

bool Launcher::SpawnNext() {
  const InitialProcess& initial = initial_[next_initial_++];
  const ProcessOptions& options = initial.options;
  const std::string& name = options.name.empty() ? initial.program : options.name;
  auto spawn = MakeSpawn(initial.program, options, initial.name_server);
  auto answer = spawn.ok() ? Ask(*spawn) : absl::StatusOr<Packet>(spawn.status());
  if (!answer.ok()) {
    Fail(absl::StrCat("process ", name, ": ", answer.status().message()));
    return false;
  }
  TakeNotices();
  return true;
}

void Launcher::Serve(int64_t until_ns) {
  const int64_t now = MonotonicNs();
  int timeout_ms = -1;
  if (until_ns != kNever) {
    timeout_ms =
        static_cast<int>(std::clamp<int64_t>((until_ns - now + 999'999) / 1'000'000, 0, 1'000'000));
  }
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
  for (int i = 0; i < count; ++i) {
    const uint64_t key = events[static_cast<size_t>(i)].data.u64;
    if (key == kSignalKey) {
      CheckInterrupt();
    } else if (key != kBrokerKey) {
      Reap(children_.at(ProcessId{static_cast<uint32_t>(key)}));
    } else if (!OnBroker()) {
      OnBrokerGone();
    }
  }
  if (MonotonicNs() >= AfterStart(options_.limit_ns)) report_.timed_out = true;
}

bool Launcher::CheckInterrupt() {
  if (!scope_->TakeInterrupt()) return false;
  if (!options_.serve_at.empty()) stopped_ = true;
  if (!failed_ && !stopped_) Fail("interrupted");
  return true;
}

void Launcher::OnLaunch(const Launch& launch, std::string_view tail) {
  const std::vector<std::string> strings = SplitTail(tail);
  const Program* program = strings.size() >= 2 ? FindProgram(strings[0]) : nullptr;
  if (program == nullptr) return Fail("the broker asks for a program that nobody has");
  Child& child = children_[launch.process];
  child.report.id = launch.process;
  child.report.name = strings[1];
  child.report.running = true;
  if (launch.maker == ProcessId::kNone) {  // the one that was asked for last
    child.initial = &initial_[next_initial_ - 1];
    child.report.service = child.initial->service || child.initial->name_server;
    child.report.response_limit_ns = child.initial->response_limit_ns;
  } else {
    auto maker = children_.find(launch.maker);
    child.report.service = maker != children_.end() && maker->second.report.service;
  }
  if (!child.report.service) ++foreground_;
  child.launch = launch;
  child.launch_tail = std::string(tail);
  if (!Fork(child, launch, *program)) {
    Fail(absl::StrCat("process ", child.report.name, " cannot be started: ", strerror(errno)));
  }
  Tell(Packet::Of(0, Launched{launch.process})).IgnoreError();  // the next one learns it anyway
}

bool Launcher::Fork(Child& child, const Launch& launch, const Program& program) {
  void* memory =
      mmap(nullptr, sizeof(Farewell), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  child.farewell = SharedMapping(static_cast<std::byte*>(memory), sizeof(Farewell));
  if (options_.trace != nullptr && !MakeTraceArea(child)) return false;
  std::fflush(nullptr);
  const pid_t launcher = getpid();
  child.pid = fork();
  if (child.pid < 0) return false;
  if (child.pid == 0) {
    if (!BecomeChild({launch.spawn.uid, launch.spawn.gid, options_.cpus}, launcher)) _exit(126);
    process_main_(
        {.broker_address = address_,
         .broker_listener = listener_is_,
         .ticket = launch.ticket,
         .program = &program,
         .farewell = child.farewell.As<Farewell>(),
         .trace = child.trace.As<TraceArea>(),
         .response_limit_ns = child.initial == nullptr ? kNever : child.initial->response_limit_ns,
         .low_latency = options_.low_latency,
         .copies_through_link = options_.copies_through_link});
    _exit(0);
  }
  // Its last words are nobody else's to write.
  for (const SharedMapping* its : {&child.farewell, &child.trace}) {
    if (its->address() == nullptr) continue;
    if (madvise(its->address(), its->bytes(), MADV_DONTFORK) != 0) return false;
  }
  child.pidfd = OpenPidfd(child.pid);
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = Raw(launch.process)}};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, child.pidfd.get(), &event) == 0;
}

// Books the end of a process and tells the broker. False: it has not ended, and `options` say not
// to wait for that.
bool Launcher::Reap(Child& child, int options) {
  siginfo_t info = {};
  rusage used = {};
  // The call of Linux itself: its library's leaves out what the process has used.
  if (child.pid < 0 ||
      syscall(SYS_waitid, P_PID, child.pid, &info, WEXITED | options, &used) != 0 ||
      info.si_pid == 0) {
    return false;
  }
  child.pid = -1;
  child.pidfd.Reset();
  const SharedMapping memory = std::move(child.farewell);
  const Farewell& farewell = *memory.As<Farewell>();
  ProcessReport& report = child.report;
  ReadNumbers(farewell, used, report);
  if (options_.trace != nullptr) KeepTrace(child);
  if (ending_) return true;  // it was running when the run ended
  report.running = false;
  report.exit = ReadExit(info, farewell);
  if (options_.trace != nullptr) traced_.AddExit(report.id, report.exit, Ticks());
  if (!report.service) --foreground_;
  // What ends the whole run is told as that.
  child.killed_by_a_signal = info.si_code != CLD_EXITED && report.exit.kind == ExitKind::kKilled &&
                             !failed_ && !stopped_ && !CheckInterrupt();
  if (report.exit.kind > ExitKind::kKilled) {
    report_.problems.push_back(absl::StrCat(report.name, ": ", report.exit.reason));
  }
  // What everybody has come for.
  if (!options_.serve_at.empty()) Fail(absl::StrCat(report.name, " has ended"));
  const Exited exited = {report.id, static_cast<uint32_t>(report.exit.kind), report.exit.code};
  ForgetOldExits();
  Exit& exit = exits_[++last_call_];
  exit.packet = Packet::Of(last_call_, exited, report.exit.reason);
  ++unconfirmed_;
  if (!Tell(exit.packet).ok()) OnBrokerGone();
  return true;
}

// Services, and whoever is left when a run fails or its time is over.
void Launcher::KillAll() {
  for (auto& [id, child] : children_) Reap(child, WNOHANG);  // who has ended by itself
  ending_ = true;
  for (auto& [id, child] : children_) {
    if (child.pid >= 0) kill(child.pid, SIGKILL);
  }
  for (auto& [id, child] : children_) Reap(child);
}

// -- The trace

// Linux finds memory for what is written only.
bool Launcher::MakeTraceArea(Child& child) const {
  void* memory = mmap(nullptr, sizeof(TraceArea), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  child.trace = SharedMapping(static_cast<std::byte*>(memory), sizeof(TraceArea));
  child.trace.As<TraceArea>()->tells_answers = options_.join.empty() ? 0 : 1;
  return true;
}

void Launcher::KeepTrace(Child& child) {
  const SharedMapping memory = std::move(child.trace);
  traced_.Add(child.report.id, child.report.name, *memory.As<TraceArea>());
}

void Launcher::TellTrace() {
  trace_scale_.end_ticks = Ticks();
  trace_scale_.end_ns = report_.end_ns;
  traced_.Tell(trace_scale_, *options_.trace);
  for (std::string& note : traced_.notes()) report_.notes.push_back(std::move(note));
}

}  // namespace parley::host

namespace parley {

absl::StatusOr<std::unique_ptr<Machine>> MakeHost(const HostOptions& options,
                                                  std::vector<Program> programs) {
  return std::make_unique<host::Launcher>(options, std::move(programs), &host::RunProcess);
}

}  // namespace parley
