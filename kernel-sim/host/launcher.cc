// The launcher's run: broker, processes, exits, report.
#include "kernel-sim/host/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "kernel-sim/host/broker_loop.h"
#include "kernel-sim/host/child.h"
#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/linux_priority.h"
#include "kernel-sim/refusals.h"

namespace parley::host {
namespace {

constexpr uint64_t kBrokerKey = 0, kSignalKey = ~uint64_t{0};
constexpr int64_t kBrokerEndsNs = 2'000'000'000;  // how long it may take once its launcher is gone

UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

std::string TextOf(const char* begin, size_t room) {
  return std::string(begin, strnlen(begin, room));
}

// How Linux says that a process ended which could not say it itself.
ExitStatus FromWait(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {ExitKind::kReturned, info.si_status, ""};
  const int signal = info.si_status;
  if (signal == SIGKILL || signal == SIGTERM || signal == SIGINT) {
    return {ExitKind::kKilled, 128, "killed"};
  }
  if (signal == SIGABRT) return {ExitKind::kException, 128, "aborted"};
  return {ExitKind::kFault, 128, absl::StrCat("killed by signal ", strsignal(signal))};
}

}  // namespace

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
    return MakeError(Error::kNoSuchName, absl::StrCat("no program is named ", process.program));
  }
  const ProcessOptions& options = process.options;
  if (options.ceiling < kMinPriority || options.ceiling > kMaxPriority) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("ceiling ", options.ceiling, " is not 1 to 255"));
  }
  if (absl::Status valid = CheckScheduling(options.scheduling, options.ceiling); !valid.ok()) {
    return valid;
  }
  initial_.push_back(process);
  return absl::OkStatus();
}

void Launcher::Fail(std::string problem) {
  failed_ = true;
  report_.problems.push_back(std::move(problem));
}

RunReport Launcher::Run() {
  start_ns_ = MonotonicNs();
  std::stable_sort(initial_.begin(), initial_.end(),
                   [](const InitialProcess& a, const InitialProcess& b) {
                     if (a.name_server != b.name_server) return a.name_server;
                     return a.start_ns < b.start_ns;
                   });
  // Above the programs, where that is permitted: it must see them end. Children begin as high, and
  // come down when they join.
  const int policy_before = sched_getscheduler(0);
  sched_param priority_before = {};
  sched_getparam(0, &priority_before);
  const sched_param priority = {kLauncherLinuxPriority};
  sched_setscheduler(0, SCHED_FIFO, &priority);
  sigset_t ends, signals_before;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, &signals_before);
  signals_ = UniqueFd(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));

  if (Start()) {
    while (!IsOver()) {
      while (next_initial_ < initial_.size() && !failed_ &&
             start_ns_ + initial_[next_initial_].start_ns <= MonotonicNs()) {
        SpawnNext();
      }
      if (!IsOver()) Serve(NextTurn());
    }
  }
  KillAll();
  StopBroker();
  signals_.Reset();
  sigprocmask(SIG_SETMASK, &signals_before, nullptr);
  sched_setscheduler(0, policy_before, &priority_before);
  report_.end_ns = MonotonicNs() - start_ns_;
  for (auto& [id, child] : children_) report_.processes.push_back(std::move(child.report));
  return std::move(report_);
}

bool Launcher::IsOver() const {
  return failed_ || report_.timed_out || (next_initial_ == initial_.size() && foreground_ == 0);
}

// When the next process is to start, or the run's time is over.
int64_t Launcher::NextTurn() const {
  int64_t turn = options_.limit_ns == kNever ? kNever : start_ns_ + options_.limit_ns;
  if (next_initial_ < initial_.size()) {
    turn = std::min(turn, start_ns_ + initial_[next_initial_].start_ns);
  }
  return turn;
}

// -- The broker

bool Launcher::Start() {
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!StartBroker()) {
    Fail(absl::StrCat("no broker: ", strerror(errno)));
    return false;
  }
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = kBrokerKey}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, broker_.get(), &event);
  event.data.u64 = kSignalKey;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, signals_.get(), &event);
  std::vector<std::string> names;
  for (const Program& program : programs_) names.push_back(program.name);
  auto answer = Ask(Packet::Of(0, BecomeLauncher{kWireVersion}, JoinTail(names)));
  if (!answer.ok()) Fail(absl::StrCat("the broker refuses: ", answer.status().message()));
  return answer.ok();
}

bool Launcher::StartBroker() {
  uint64_t random[2];
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) return false;
  address_ = absl::StrCat("parley-", absl::Hex(random[0]), absl::Hex(random[1]));
  UniqueFd listener = Listen(address_);
  if (!listener.valid()) return false;
  std::fflush(nullptr);
  broker_pid_ = fork();
  if (broker_pid_ < 0) return false;
  if (broker_pid_ == 0) {
    // Only what it listens on stays open.
    dup2(listener.get(), 3);
    close_range(4, ~0u, 0);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    _exit(RunBroker(UniqueFd(3), /*private_to_launcher=*/true));
  }
  broker_pidfd_ = OpenPidfd(broker_pid_);
  broker_ = ConnectTo(address_);
  return broker_.valid();
}

void Launcher::StopBroker() {
  broker_.Reset();
  if (broker_pid_ < 0) return;
  const int64_t until = MonotonicNs() + kBrokerEndsNs;
  pollfd ended = {broker_pidfd_.get(), POLLIN, 0};
  if (poll(&ended, 1, static_cast<int>((until - MonotonicNs()) / 1'000'000)) != 1) {
    kill(broker_pid_, SIGKILL);
  }
  waitpid(broker_pid_, nullptr, 0);
  broker_pid_ = -1;
  broker_pidfd_.Reset();
  epoll_.Reset();
}

// Waits for the answer; notices that come before it are kept.
absl::StatusOr<Packet> Launcher::Ask(Packet packet) {
  const uint32_t number = ++last_call_;
  Header header = *packet.header();
  header.call = number;
  std::memcpy(packet.bytes.data(), &header, sizeof(header));
  if (absl::Status sent = SendPacket(broker_, packet); !sent.ok()) return sent;
  for (;;) {
    auto answer = ReceivePacket(broker_);
    if (!answer.ok()) return answer;
    const auto head = answer->header();
    if (head && head->call == number) {
      const auto failed = answer->As<Failed>();
      if (!failed) return answer;
      return MakeError(static_cast<Error>(failed->error), answer->Tail<Failed>());
    }
    notices_.push_back(*std::move(answer));
  }
}

// -- Processes

bool Launcher::SpawnNext() {
  const InitialProcess& initial = initial_[next_initial_++];
  const ProcessOptions& options = initial.options;
  Spawn spawn = {};
  spawn.scheduling = ToWire(options.scheduling);
  spawn.ceiling = options.ceiling;
  spawn.has_uid = options.uid.has_value() ? 1 : 0;
  spawn.uid = options.uid.value_or(0);
  spawn.has_gid = options.gid.has_value() ? 1 : 0;
  spawn.gid = options.gid.value_or(0);
  spawn.name_server = initial.name_server ? 1 : 0;
  spawn.region_quota_bytes = options.region_quota_bytes;
  std::vector<std::string> strings = {initial.program, options.name};
  strings.insert(strings.end(), options.arguments.begin(), options.arguments.end());
  auto answer = Ask(Packet::Of(0, spawn, JoinTail(strings)));
  const std::string& name = options.name.empty() ? initial.program : options.name;
  if (!answer.ok()) {
    Fail(absl::StrCat("process ", name, ": ", answer.status().message()));
    return false;
  }
  const auto spawned = answer->As<Spawned>();
  if (!spawned) return false;
  Child& child = children_[spawned->process];
  child.initial = &initial;
  child.report.id = spawned->process;
  child.report.name = name;
  child.report.service = initial.service || initial.name_server;
  child.report.response_limit_ns = initial.response_limit_ns;
  child.report.running = true;
  if (!child.report.service) ++foreground_;
  while (!notices_.empty()) {
    const Packet notice = std::move(notices_.front());
    notices_.pop_front();
    OnLaunch(notice);
  }
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
      Fail("interrupted");
    } else if (key != kBrokerKey) {
      Reap(children_.at(ProcessId{static_cast<uint32_t>(key)}));
    } else if (!OnBroker() && !failed_) {
      Fail("the broker has ended");
    }
  }
  if (options_.limit_ns != kNever && MonotonicNs() - start_ns_ >= options_.limit_ns) {
    report_.timed_out = true;
  }
}

bool Launcher::OnBroker() {
  auto packet = ReceivePacket(broker_);
  if (!packet.ok()) return false;
  OnLaunch(*packet);
  return true;
}

// Everything else that comes is an answer that nobody waits for.
void Launcher::OnLaunch(const Packet& packet) {
  const auto launch = packet.As<Launch>();
  if (!launch) return;
  const Program* program = FindProgram(packet.Tail<Launch>());
  Child& child = children_[launch->process];
  if (child.initial == nullptr) {
    child.report.id = launch->process;
    child.report.name = program == nullptr ? "?" : program->name;
    child.report.running = true;
    ++foreground_;
  }
  void* memory =
      mmap(nullptr, sizeof(Farewell), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (program == nullptr || memory == MAP_FAILED) return Fail("no memory for a process");
  child.farewell = SharedMapping(static_cast<std::byte*>(memory), sizeof(Farewell));
  std::fflush(nullptr);
  const pid_t launcher = getpid();
  child.pid = fork();
  if (child.pid < 0) return Fail(absl::StrCat("no process: ", strerror(errno)));
  if (child.pid == 0) {
    if (!BecomeChild({launch->uid, launch->gid, options_.cpus}, launcher)) _exit(126);
    process_main_({.broker = ConnectTo(address_),
                   .ticket = launch->ticket,
                   .program = program,
                   .farewell = child.farewell.As<Farewell>(),
                   .response_limit_ns =
                       child.initial == nullptr ? kNever : child.initial->response_limit_ns});
    _exit(0);
  }
  child.pidfd = OpenPidfd(child.pid);
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = Raw(launch->process)}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, child.pidfd.get(), &event);
}

void Launcher::Reap(Child& child) {
  if (child.pid < 0) return;
  siginfo_t info = {};
  if (waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED) != 0) return;
  child.pid = -1;
  child.pidfd.Reset();
  const Farewell& farewell = *child.farewell.As<Farewell>();
  ProcessReport& report = child.report;
  report.running = ending_ && report.service;
  if (info.si_code == CLD_EXITED && farewell.said != 0) {
    report.exit = {static_cast<ExitKind>(farewell.kind), farewell.code,
                   TextOf(farewell.reason.data(), farewell.reason.size())};
  } else if (!report.running) {
    report.exit = FromWait(info);
  }
  report.messages_sent = farewell.messages_sent;
  report.messages_received = farewell.messages_received;
  report.bytes_copied = farewell.bytes_copied;
  report.bytes_leased = farewell.bytes_leased;
  report.late_responses = farewell.late_responses;
  report.worst_response_ns = farewell.worst_response_ns;
  for (uint32_t i = 0; i < std::min<uint32_t>(farewell.counters_used, Farewell::kMaxCounters);
       ++i) {
    const Farewell::Counter& counter = farewell.counters[i];
    report.counters[TextOf(counter.name.data(), counter.name.size())] = counter.total;
  }
  child.farewell = SharedMapping();
  if (ending_) return;
  if (!report.service) --foreground_;
  if (report.exit.kind > ExitKind::kKilled) {
    report_.problems.push_back(absl::StrCat(report.name, ": ", report.exit.reason));
  }
  const Exited exited = {report.id, static_cast<uint32_t>(report.exit.kind), report.exit.code};
  Packet packet = Packet::Of(++last_call_, exited, report.exit.reason);
  if (absl::Status sent = SendPacket(broker_, packet); !sent.ok() && !failed_) {
    Fail("the broker has ended");
  }
}

// Services, and whoever is left when a run fails or its time is over.
void Launcher::KillAll() {
  ending_ = true;
  for (auto& [id, child] : children_) {
    if (child.pid < 0) continue;
    if (!child.report.service) child.report.exit = {ExitKind::kKilled, 128, "killed at the end"};
    kill(child.pid, SIGKILL);
  }
  for (auto& [id, child] : children_) {
    const ExitStatus exit = child.report.exit;
    const bool was_running = child.pid >= 0;
    Reap(child);
    if (was_running) child.report.running = true;
  }
}

}  // namespace parley::host

namespace parley {

absl::StatusOr<std::unique_ptr<Machine>> MakeHost(const HostOptions& options,
                                                  std::vector<Program> programs) {
  return std::make_unique<host::Launcher>(options, std::move(programs), &host::RunProcess);
}

}  // namespace parley
