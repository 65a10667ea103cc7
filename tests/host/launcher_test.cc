// The launcher, its processes real ones that speak to the broker in packets.
#include "kernel-sim/host/launcher.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernel-sim/host/service.h"
#include "tests/host/guest.h"

namespace parley::host::tests {
namespace {

// What a program of these tests is handed. Its exit code is what Linux sees, unless it has said
// farewell.
struct Child {
  Guest broker;
  Joined joined;
  std::vector<std::string> arguments;  // the process's name first
  Farewell& farewell;
};

void SleepMs(int64_t ms) {
  const timespec time = {ms / 1000, ms % 1000 * 1'000'000};
  nanosleep(&time, nullptr);
}
size_t CountEntries(const std::string& folder) {
  size_t count = 0;
  DIR* open = opendir(folder.c_str());
  while (open != nullptr && readdir(open) != nullptr) ++count;
  if (open != nullptr) closedir(open);
  return count;
}
size_t CountDescriptors() { return CountEntries("/proc/self/fd") - 3; }  // `.`, `..`, its own
// Memory that is shared with other processes and has no name, as a farewell is.
size_t CountSharedMemory() {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  size_t count = 0;
  while (std::getline(maps, line)) count += line.ends_with("/dev/zero (deleted)") ? 1 : 0;
  return count;
}
std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::ifstream list(absl::StrCat("/proc/", parent, "/task/", parent, "/children"));
  return {std::istream_iterator<pid_t>(list), std::istream_iterator<pid_t>()};
}

[[noreturn]] void DieOf(int signal_number) {
  signal(signal_number, SIG_DFL);
  raise(signal_number);
  _exit(99);
}
int Argument(const Child& self) { return self.arguments.size() < 2 ? 0 : stoi(self.arguments[1]); }

size_t shared_memory_before = 0;  // of the launcher, as its children inherit the number

// -- The programs: 0 says that all was as it should be.

int Returns(Child& self) { return Argument(self); }
int ReturnsLater(Child& self) {
  SleepMs(50);
  return Argument(self);
}
int Sleeps(Child&) {
  for (;;) pause();
}
int Dies(Child& self) { DieOf(Argument(self)); }
int SaysFarewell(Child& self) {
  Farewell& farewell = self.farewell;
  farewell.kind = static_cast<uint32_t>(ExitKind::kException);
  farewell.code = 128;
  farewell.reason.fill('x');  // and no zero byte at the end
  farewell.messages_sent = 1;
  farewell.messages_received = 2;
  farewell.bytes_copied = 3;
  farewell.bytes_leased = 4;
  farewell.late_responses = 5;
  farewell.worst_response_ns = 6;
  farewell.counters_used = 1000;
  farewell.counters[0] = {{"frames"}, 7};
  farewell.said = 1;
  return 0;
}
int SaysNonsense(Child& self) {
  self.farewell.kind = 77;
  self.farewell.said = 1;
  return 0;
}
int Makes(Child& self) {  // a child that returns 7, and one that is killed
  const auto first = self.broker.Ask<Spawned>(Guest::PlainSpawn(), JoinTail({"returns", "a", "7"}));
  if (!first) return 1;
  const auto ended = self.broker.Notice<ChildEnded>();
  if (!ended || ended->process != first->process || ended->code != 7 || ended->kind != 0) return 2;
  const auto second = self.broker.Spawn("sleeps", "b");
  if (!second || !self.broker.Ask<Done>(Kill{second->process})) return 3;
  const auto killed = self.broker.Notice<ChildEnded>();
  if (!killed || killed->process != second->process) return 4;
  return killed->kind == static_cast<uint32_t>(ExitKind::kKilled) ? 0 : 5;
}
int MakesAndLeaves(Child& self) {
  Packet spawn = Packet::Of(1, Guest::PlainSpawn(), JoinTail({"returns later", "left", "7"}));
  SendPacket(self.broker.socket(), spawn).IgnoreError();
  return self.broker.Call(Kill{ProcessId{99}}).As<Failed>() ? 0 : 1;  // it has been read, then
}
int MakesASleeper(Child& self) {
  if (!self.broker.Spawn("sleeps")) return 1;
  return Sleeps(self);
}
int LooksAround(Child& self) {
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  int on_death = 0;
  prctl(PR_GET_PDEATHSIG, &on_death);
  if (getuid() != self.joined.uid || geteuid() != self.joined.uid) return 1;
  if (getgid() != self.joined.gid || getegid() != self.joined.gid) return 2;
  if (getuid() != 0 && getgroups(0, nullptr) != 0 && self.arguments.size() > 1) return 3;
  if (on_death != SIGKILL) return 4;
  if (sigismember(&mask, SIGTERM) != 0 || sigismember(&mask, SIGINT) != 0) return 5;
  if (CountDescriptors() > 4) return 6;  // standard ones, and the broker's
  if (CountSharedMemory() != shared_memory_before + 1) return 7;
  return 0;
}
int InterruptsLauncher(Child& self) {
  kill(getppid(), Argument(self));
  return Sleeps(self);
}
int KillsBroker(Child& self) {
  pid_t killed = 0;
  for (pid_t sibling : ChildrenOf(getppid())) {
    if (sibling == getpid()) continue;
    killed = sibling;
    kill(sibling, SIGKILL);
  }
  self.broker.last = {};
  for (int i = 0; i < 10'000; ++i) {
    for (pid_t sibling : ChildrenOf(getppid())) {
      if (sibling != getpid() && sibling != killed) return 0;
    }
    usleep(1000);
  }
  return 1;
}

const std::map<std::string_view, int (*)(Child&)> kPrograms = {
    {"returns", Returns},
    {"returns later", ReturnsLater},
    {"sleeps", Sleeps},
    {"dies", Dies},
    {"says farewell", SaysFarewell},
    {"says nonsense", SaysNonsense},
    {"makes", Makes},
    {"makes and leaves", MakesAndLeaves},
    {"makes a sleeper", MakesASleeper},
    {"looks around", LooksAround},
    {"interrupts", InterruptsLauncher},
    {"kills the broker", KillsBroker},
};

void Main(ProcessStart start) {
  Guest broker(ConnectToSame(start.broker_address, start.broker_listener));
  const auto joined = broker.Join(start.ticket);
  if (!joined && broker.last.As<Failed>()) DieOf(SIGKILL);  // killed before it was there
  if (!joined) _exit(98);
  Child self = {std::move(broker), *joined, {}, *start.farewell};
  self.arguments = SplitTail(self.broker.last.Tail<Joined>());
  self.broker.last = {};
  _exit(kPrograms.at(start.program->name)(self));
}

std::vector<Program> Programs() {
  std::vector<Program> programs;
  for (const auto& [name, main] : kPrograms) programs.push_back({std::string(name), nullptr});
  return programs;
}

InitialProcess Start(const std::string& program, const std::vector<std::string>& arguments = {}) {
  InitialProcess process;
  process.program = program;
  process.options.arguments = arguments;
  return process;
}
InitialProcess Service(const std::string& program) {
  InitialProcess process = Start(program);
  process.service = true;
  return process;
}

// Every test is also a leak test: no descriptor, child or signal mask is left as it was not before.
RunReport Run(const std::vector<InitialProcess>& processes, int64_t limit_ns = 30'000'000'000) {
  HostOptions options;
  options.limit_ns = limit_ns;
  Launcher launcher(options, Programs(), Main);
  for (const InitialProcess& process : processes) REQUIRE(launcher.Add(process).ok());
  const size_t descriptors = CountDescriptors();
  sigset_t before, after;
  sigprocmask(SIG_BLOCK, nullptr, &before);
  shared_memory_before = CountSharedMemory();
  RunReport report = launcher.Run();
  CHECK(CountDescriptors() == descriptors);
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
  CHECK(CountSharedMemory() == shared_memory_before);
  sigprocmask(SIG_BLOCK, nullptr, &after);
  for (int number : {SIGINT, SIGTERM, SIGCHLD}) {
    CHECK(sigismember(&before, number) == sigismember(&after, number));
  }
  return report;
}
std::string Problems(const RunReport& report) { return absl::StrJoin(report.problems, "; "); }

TEST_CASE("launcher: processes return what they return, and their numbers are reported") {
  InitialProcess timed = Start("says farewell");
  timed.response_limit_ns = 1;
  const RunReport report = Run({Start("returns"), Start("returns", {"3"}), timed});
  CHECK_FALSE(report.timed_out);
  REQUIRE(report.processes.size() == 3);
  CHECK(report.processes[0].exit.code == 0);
  CHECK(report.processes[0].name == "returns");
  CHECK(report.processes[0].id == ProcessId{1});
  CHECK_FALSE(report.processes[0].running);
  CHECK(report.processes[1].exit.code == 3);
  CHECK(report.processes[1].exit.kind == ExitKind::kReturned);
  const ProcessReport& said = report.processes[2];
  CHECK(said.exit.kind == ExitKind::kException);
  CHECK(said.exit.reason == std::string(512, 'x'));
  CHECK(report.problems == std::vector<std::string>{"says farewell: " + said.exit.reason});
  CHECK(said.messages_sent == 1);
  CHECK(said.messages_received == 2);
  CHECK(said.bytes_copied == 3);
  CHECK(said.bytes_leased == 4);
  CHECK(said.late_responses == 5);
  CHECK(said.worst_response_ns == 6);
  CHECK(report.processes[0].worst_response_ns == ProcessReport::kNotMeasured);  // has no limit
  CHECK(said.counters.at("frames") == 7);
}

TEST_CASE("launcher: a death by a signal is told apart, and a crash is a problem") {
  const auto dead_of = [](int signal_number) {
    const RunReport report = Run({Start("dies", {absl::StrCat(signal_number)})});
    REQUIRE(report.processes.size() == 1);
    const ExitStatus& exit = report.processes[0].exit;
    CHECK(exit.code == 128);
    CHECK_FALSE(exit.reason.empty());
    CHECK(report.problems.size() == (exit.kind == ExitKind::kKilled ? 0 : 1));
    if (!report.problems.empty()) CHECK(report.problems[0] == "dies: " + exit.reason);
    CHECK(report.processes[0].killed_from_outside == (exit.kind == ExitKind::kKilled));
    return exit.kind;
  };
  CHECK(dead_of(SIGKILL) == ExitKind::kKilled);
  CHECK(dead_of(SIGTERM) == ExitKind::kKilled);
  CHECK(dead_of(SIGABRT) == ExitKind::kException);
  for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) CHECK(dead_of(fault) == ExitKind::kFault);
}

TEST_CASE("launcher: a farewell that makes no sense is a fault of who said it") {
  const RunReport report = Run({Start("says nonsense")});
  CHECK(report.processes.at(0).exit.kind == ExitKind::kFault);
  CHECK(report.problems.size() == 1);
}

TEST_CASE("launcher: a process makes others, hears of their ends, and kills them") {
  const RunReport report = Run({Start("makes")});
  CHECK(Problems(report) == "");
  REQUIRE(report.processes.size() == 3);
  CHECK(report.processes[0].exit.code == 0);
  CHECK(report.processes[1].name == "a");
  CHECK(report.processes[1].exit.code == 7);
  CHECK(report.processes[2].name == "b");
  CHECK(report.processes[2].exit.kind == ExitKind::kKilled);
  CHECK_FALSE(report.processes[2].killed_from_outside);
}

TEST_CASE("launcher: whoever is made in a process's last moment still runs") {
  for (int i = 0; i < 10; ++i) {
    const RunReport report = Run({Start("makes and leaves")});
    CHECK(Problems(report) == "");
    REQUIRE(report.processes.size() == 2);
    CHECK(report.processes[0].exit.code == 0);
    CHECK(report.processes[1].exit.code == 7);
  }
}

TEST_CASE("launcher: services, and whom they make, end with the last other process") {
  const RunReport report =
      Run({Service("sleeps"), Service("makes a sleeper"), Start("returns later")});
  CHECK(Problems(report) == "");
  CHECK_FALSE(report.timed_out);
  REQUIRE(report.processes.size() == 4);
  for (const ProcessReport& process : report.processes) {
    CHECK(process.service == (process.name != "returns later"));
    CHECK(process.running == process.service);
    CHECK(process.exit.code == 0);
  }
}

TEST_CASE("launcher: a service that crashes is a problem, and its maker's run goes on") {
  InitialProcess crasher = Service("dies");
  crasher.options.arguments = {absl::StrCat(SIGSEGV)};
  const RunReport report = Run({crasher, Start("returns later")});
  CHECK(report.problems.size() == 1);
  CHECK_FALSE(report.processes[0].running);
  CHECK(report.processes[1].exit.code == 0);
}

TEST_CASE("launcher: a process starts when it is to") {
  InitialProcess late = Start("returns");
  late.start_ns = 50'000'000;
  const RunReport report = Run({late, Start("returns")});
  CHECK(report.end_ns >= 50'000'000);
  CHECK(report.processes.size() == 2);
}

TEST_CASE("launcher: a run ends at its limit") {
  const RunReport report = Run({Start("sleeps"), Service("sleeps")}, 50'000'000);
  CHECK(report.timed_out);
  CHECK(Problems(report) == "");
  CHECK(report.end_ns >= 50'000'000);
  REQUIRE(report.processes.size() == 2);
  CHECK(report.processes[0].running);
  CHECK(report.processes[1].running);
  // Who was left, but services; this one never speaks to the broker.
  REQUIRE(report.notes.size() == 1);
  CHECK(absl::StartsWith(report.notes[0], "at the time limit: sleeps has not joined (Linux: S"));
}

TEST_CASE("launcher: a process begins with its user, its memory, and little else") {
  std::vector<InitialProcess> processes = {Start("sleeps"), Start("looks around")};
  processes[0].service = true;
  if (geteuid() == 0) {
    processes.push_back(Start("looks around", {"as another"}));
    processes[2].options.uid = 1234;
    processes[2].options.gid = 2345;
  }
  const RunReport report = Run(processes);
  CHECK(Problems(report) == "");
  for (const ProcessReport& process : report.processes) CHECK(process.exit.code == 0);
}

TEST_CASE("launcher: an interrupted run ends all, and the launcher lives on") {
  for (int number : {SIGINT, SIGTERM}) {
    const RunReport report = Run({Start("interrupts", {absl::StrCat(number)}), Start("sleeps")});
    CHECK(Problems(report) == "interrupted");
    CHECK(report.processes.size() == 2);
  }
}

TEST_CASE("launcher: a broker that dies is followed by another, which learns of every end") {
  const RunReport report = Run({Start("kills the broker")});
  CHECK(Problems(report) == "");
  for (const ProcessReport& process : report.processes) {
    CHECK_FALSE(process.running);
    CHECK(process.exit.code == 0);
  }
}

TEST_CASE("launcher: more processes at once than it may have files open") {
  rlimit before = {};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few = {64, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
  std::vector<InitialProcess> processes(80, Start("returns later", {"1"}));
  const RunReport report = Run(processes);
  rlimit after = {};
  getrlimit(RLIMIT_NOFILE, &after);
  CHECK(after.rlim_cur == 64);
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(Problems(report) == "");
  CHECK(report.processes.size() == 80);
  for (const ProcessReport& process : report.processes) CHECK(process.exit.code == 1);
}

TEST_CASE("launcher: it sees its children end though its own maker ignores such news") {
  struct sigaction before = {};
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  REQUIRE(sigaction(SIGCHLD, &ignore, &before) == 0);
  const RunReport report = Run({Start("returns", {"3"})}, 5'000'000'000);
  struct sigaction after = {};
  sigaction(SIGCHLD, &before, &after);
  const bool still_ignores = after.sa_handler == SIG_IGN;
  CHECK(still_ignores);
  CHECK_FALSE(report.timed_out);
  CHECK(report.processes.at(0).exit.code == 3);
}

TEST_CASE("launcher: its death is that of its processes and of its broker") {
  const pid_t launcher = fork();
  if (launcher == 0) {
    Launcher machine({}, Programs(), Main);
    for (int i = 0; i < 3; ++i) machine.Add(Start("sleeps")).IgnoreError();
    machine.Run();
    _exit(0);
  }
  std::vector<pid_t> children;
  for (int i = 0; i < 1000 && children.size() < 4; ++i) {
    SleepMs(10);
    children = ChildrenOf(launcher);
  }
  CHECK(children.size() == 4);
  std::vector<UniqueFd> pidfds;
  for (pid_t child : children) {
    pidfds.emplace_back(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  }
  kill(launcher, SIGKILL);
  REQUIRE(waitpid(launcher, nullptr, 0) == launcher);
  for (const UniqueFd& pidfd : pidfds) {
    pollfd ended = {pidfd.get(), POLLIN, 0};
    CHECK(poll(&ended, 1, 10'000) == 1);
  }
}

TEST_CASE("launcher: what cannot be started is refused when it is added") {
  Launcher launcher({}, Programs(), Main);
  CHECK(ErrorOf(launcher.Add(Start("nothing"))) == Error::kNoSuchName);
  InitialProcess process = Start("returns");
  process.options.scheduling.priority = 0;
  CHECK(ErrorOf(launcher.Add(process)) == Error::kInvalidArgument);
  process = Start("returns");
  process.options.ceiling = kMaxPriority + 1;
  CHECK(ErrorOf(launcher.Add(process)) == Error::kNotPermitted);
  process = Start("returns");
  process.options.name.assign(kMaxNameBytes + 1, 'x');
  CHECK(ErrorOf(launcher.Add(process)) == Error::kInvalidArgument);
  process = Start("returns", {std::string(100'000, 'x')});
  CHECK(ErrorOf(launcher.Add(process)) == Error::kInvalidArgument);
  process = Start("returns");
  process.name_server = true;
  CHECK(launcher.Add(process).ok());
  CHECK(ErrorOf(launcher.Add(process)) == Error::kInvalidArgument);
}

TEST_CASE("launcher: a child may be killed before it is there, and a refused one harms nobody") {
  const auto maker = [](Kernel& kernel) {
    ProcessOptions options;
    options.arguments = {std::string(100'000, 'x')};
    if (ErrorOf(kernel.ProcessSpawn("idle", options).status()) != Error::kInvalidArgument) return 1;
    options.arguments = {std::string(1, '\0')};
    if (ErrorOf(kernel.ProcessSpawn("idle", options).status()) != Error::kInvalidArgument) return 2;
    for (int i = 0; i < 20; ++i) {
      const auto child = kernel.ProcessSpawn("idle", {});
      if (!child.ok() || !kernel.ProcessKill(*child).ok()) return 3;
      const auto exit = kernel.ProcessWait(*child, kNever);
      if (!exit.ok() || exit->kind != ExitKind::kKilled) return 4;
    }
    return 0;
  };
  const auto idle = [](Kernel&) {
    for (;;) pause();
    return 0;
  };
  auto machine = MakeHost({.limit_ns = 30'000'000'000}, {{"maker", maker}, {"idle", idle}});
  REQUIRE(machine.ok());
  REQUIRE((*machine)->Add(Start("maker")).ok());
  const RunReport report = (*machine)->Run();
  CHECK(Problems(report) == "");
  CHECK(report.processes.size() == 21);
  CHECK(report.processes.at(0).exit.code == 0);
}

}  // namespace
}  // namespace parley::host::tests
