// The process: what it is born with, its threads' bodies, its children.
#include "ipc/process.h"

#include "absl/strings/match.h"
#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::RunWorld;

// Its children may end as they like.
void RunParent(const tests::Actor& child, const std::function<int(ipc::Process&)>& parent) {
  const parley::RunReport report = tests::RunAny({child, {.name = "parent", .main = parent}});
  for (const parley::ProcessReport& process : report.processes) {
    if (process.name == "parent") CHECK_MESSAGE(process.exit.code == 0, process.exit.reason);
  }
  CHECK_FALSE(report.deadlock);
}

TEST_CASE("a child is born with its name, its arguments and who it runs as") {
  RunParent({.name = "program",
             .main =
                 [](ipc::Process& self) {
                   CHECK(self.name() == "child");
                   CHECK(self.arguments() == std::vector<std::string>{"one", "", "three words"});
                   CHECK(self.uid() == 7);
                   CHECK(self.gid() == 8);
                   CHECK(self.priority() == 42);
                   CHECK(self.me() != ipc::ProcessRef());
                   return 3;
                 },
             .only_program = true},
            [](ipc::Process& self) {
              ipc::Child child = self.Start("program", {.name = "child",
                                                        .arguments = {"one", "", "three words"},
                                                        .scheduling = {.priority = 42},
                                                        .uid = 7,
                                                        .gid = 8})
                                     .value();
              CHECK(child.process() != self.me());
              const ipc::ExitStatus exit = child.Wait().value();
              CHECK(exit.kind == ipc::ExitStatus::Kind::kReturned);
              CHECK(exit.code == 3);
              CHECK(exit.reason.empty());
              CHECK(ErrorOf(self.Start("nothing").status()) == Error::kNoSuchName);
              return 0;
            });
}

TEST_CASE("a child that is killed says so") {
  RunParent({.name = "sleeper",
             .main =
                 [](ipc::Process& self) {
                   self.Sleep(absl::InfiniteDuration()).IgnoreError();
                   return 0;
                 },
             .only_program = true},
            [](ipc::Process& self) {
              ipc::Child child = self.Start("sleeper").value();
              CHECK(ErrorOf(child.Wait(absl::Milliseconds(1)).status()) == Error::kDeadline);
              CHECK(child.Kill().ok());
              const ipc::ExitStatus exit = child.Wait().value();
              CHECK(exit.kind == ipc::ExitStatus::Kind::kKilled);
              CHECK(exit.code == 128);
              return 0;
            });
}

constexpr int kThreads = 200;

// Makes kernel calls as it goes, which lets other threads run.
struct LeavesSlowly {
  ipc::Process* self;
  int* gone;
  ~LeavesSlowly() {
    if (self == nullptr) return;
    self->Yield();
    ++*gone;
  }
  LeavesSlowly(ipc::Process& process, int& count) : self(&process), gone(&count) {}
  LeavesSlowly(LeavesSlowly&&) = delete;
};

TEST_CASE("a thread's body is destroyed when the thread has ended, while others come and go") {
  parley::SimulationOptions options;
  options.cpus = 4;
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   int gone = 0;
                   std::vector<ipc::Thread> threads;
                   for (int i = 0; i < kThreads; ++i) {
                     auto held = std::make_shared<LeavesSlowly>(self, gone);
                     threads.push_back(self.Spawn({}, [held = std::move(held)] {}).value());
                     if (i % 3 == 0) self.Yield();
                   }
                   for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
                   CHECK(gone == kThreads);
                   return 0;
                 }}},
           options);
}

TEST_CASE("a body that was refused a thread is destroyed at once") {
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   int gone = 0;
                   auto held = std::make_shared<LeavesSlowly>(self, gone);
                   const absl::Status refused =
                       self.Spawn({.scheduling = ipc::Scheduling{.priority = 101}},
                                  [held = std::move(held)] {})
                           .status();
                   CHECK(ErrorOf(refused) == Error::kNotPermitted);
                   CHECK(gone == 1);
                   return 0;
                 },
             .ceiling = 100}});
}

TEST_CASE("work and remarks are in the run's report") {
  const parley::RunReport report = RunWorld({{.name = "worker", .main = [](ipc::Process& self) {
                                                const absl::Time begin = self.Now();
                                                self.Compute(absl::Milliseconds(2));
                                                self.Charge(absl::Milliseconds(1));
                                                CHECK(self.Now() - begin >= absl::Milliseconds(3));
                                                self.Count("frames", 2);
                                                self.Count("frames");
                                                return 0;
                                              }}});
  for (const parley::ProcessReport& process : report.processes) {
    if (process.name != "worker") continue;
    CHECK(process.counters.at("frames") == 3);
    CHECK(process.cpu_ns >= 3'000'000);
    return;
  }
  FAIL("no worker in the report");
}

}  // namespace
