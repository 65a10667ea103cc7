// Conformance: life and death (L1 to L5).
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::Shared;
using tests::conformance::InTime;
using tests::conformance::kSoon;
using tests::conformance::LetBlock;
using tests::conformance::OnSimulationOnly;
using tests::conformance::OpenSoon;
using tests::conformance::RunAny;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

TEST_CASE(
    "L1 when a server dies every blocked client wakes, and knows whether its request may have "
    "run") {
  Shared<bool> received;
  RunWorld({{.name = "keeper",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received kept = channel.Receive().value();
                   received = true;
                   self.Sleep(absl::InfiniteDuration()).IgnoreError();
                   return 1;
                 },
             .only_program = true},
            {.name = "parent", .main = [&](ipc::Process& self) {
               ipc::Child server = self.Start("keeper").value();
               ipc::Connection to = OpenSoon(self, "/s");
               absl::Time killed;
               auto client = [&](Error expected) {
                 auto send = [&, expected] {
                   CHECK(ErrorOf(to.Send({}, {}).status()) == expected);
                   CHECK(InTime(self.Now() - killed, absl::Milliseconds(10)));
                 };
                 return self.Spawn({}, send).value();
               };
               ipc::Thread first = client(Error::kServerDiedAfterReceive);
               CHECK(WaitUntil(self, received));
               ipc::Thread queued = client(Error::kServerDiedBeforeReceive);
               LetBlock(self);
               killed = self.Now();
               CHECK(server.Kill().ok());
               CHECK(first.Join().ok());
               CHECK(queued.Join().ok());
               CHECK(ErrorOf(to.Send({}, {}).status()) == Error::kNoSuchChannel);
               return 0;
             }}});
}

TEST_CASE("L1 a connection that asked for it gets a death pulse when the channel is destroyed") {
  Shared<bool> connected, told;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   {
                     ipc::Channel channel = self.Attach("/s").value();
                     CHECK(WaitUntil(self, connected));
                   }
                   CHECK(WaitUntil(self, told));  // lives on
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Channel deaths = self.CreateChannel("deaths").value();
               ipc::Connection server =
                   self.Open("/s", {.deadline = kSoon, .death = &deaths, .cookie = 1234}).value();
               connected = true;
               ipc::Received received = deaths.Receive(kSoon).value();
               CHECK(received.pulse()->code == ipc::Pulse::kDeath);
               CHECK(received.pulse()->value == 1234);
               CHECK(ErrorOf(server.SendPulse(1, 1, 1)) == Error::kNoSuchChannel);
               told = true;
               return 0;
             }}});
}

TEST_CASE(
    "L2 when a client dies its queued messages vanish, its received ones turn dead, its pulses "
    "stay") {
  Shared<bool> received, all_sent, ended;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel =
                       self.Attach("/s", {.unblock_pulse = true, .disconnect_pulse = true}).value();
                   ipc::Received request = channel.Receive().value();
                   const ipc::ProcessRef client = request.message()->info().sender;
                   const uint32_t connection = request.message()->info().connection;
                   received = true;
                   CHECK(WaitUntil(self, ended));
                   CHECK(WaitUntil(self, [&] {
                     return ErrorOf(request.message()->Refresh()) == Error::kMessageGone;
                   }));
                   CHECK(ErrorOf(request.message()->Reply()) == Error::kMessageGone);
                   CHECK(channel.Receive()->pulse()->code == 7);  // it had queued this
                   CHECK(channel.Receive()->pulse()->code == ipc::Pulse::kUnblock);
                   ipc::Received last = channel.Receive().value();
                   CHECK(last.pulse()->code == ipc::Pulse::kDisconnect);
                   CHECK(last.pulse()->value == client.id());
                   CHECK(last.pulse()->badge >= connection);  // the newest one
                   CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
                   return 0;
                 }},
            {.name = "victim",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Connection server = OpenSoon(self, "/s");
                   ipc::Connection second = OpenSoon(self, "/s");
                   auto send = [](ipc::Connection& to) {
                     return [&to] { to.Send({}, {}).IgnoreError(); };
                   };
                   ipc::Thread one = self.Spawn({}, send(server)).value();
                   CHECK(WaitUntil(self, received));
                   ipc::Thread two = self.Spawn({}, send(second)).value();
                   server.SendPulse(7, 0, 10).IgnoreError();
                   LetBlock(self);
                   all_sent = true;
                   self.Sleep(absl::InfiniteDuration()).IgnoreError();
                   return 1;
                 },
             .only_program = true},
            {.name = "parent", .main = [&](ipc::Process& self) {
               ipc::Child victim = self.Start("victim").value();
               CHECK(WaitUntil(self, all_sent));
               CHECK(victim.Kill().ok());
               CHECK(victim.Wait().ok());
               ended = true;
               return 0;
             }}});
}

TEST_CASE("L3 the child of a fork holds no connections and no channels") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.CreateChannel("own").value();
               ipc::Connection to = self.Connect(channel.Grant(self.me()).value(), "own").value();
               const pid_t child = fork();
               if (child == 0) {
                 const bool refused =
                     ErrorOf(to.SendPulse(1, 1, 1)) == Error::kForked &&
                     absl::IsFailedPrecondition(channel.Receive(ipc::Deadline::Poll()).status());
                 _exit(refused ? 0 : 1);
               }
               int status = -1;
               CHECK(waitpid(child, &status, 0) == child);
               CHECK(status == 0);
               CHECK(to.SendPulse(1, 1, 1).ok());
               return 0;
             }}});
}

TEST_CASE(
    "L4 a send that would close a cycle nobody else could free is refused, and the error names "
    "it") {
  RunWorld({{.name = "one",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/one").value();
                   ipc::Connection two = OpenSoon(self, "/two");
                   CHECK_FALSE(
                       channel.Receive(ipc::Deadline::Poll()).ok());  // serves it from now on
                   CHECK(two.Send({}, {}).ok());
                   return 0;
                 }},
            {.name = "two", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.Attach("/two").value();
               ipc::Connection one = OpenSoon(self, "/one");
               ipc::Received received = channel.Receive().value();
               const absl::Status refused = one.Send({}, {}).status();
               CHECK(ErrorOf(refused) == Error::kWouldDeadlock);
               CHECK(refused.message() == "/one: would deadlock: two/main -> one/main -> two/main");
               return received.message()->Reply().ok() ? 0 : 1;
             }}});
}

TEST_CASE("L4 a cycle that another thread could free is not refused") {
  RunWorld({{.name = "one",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/one").value();
                   ipc::Connection two = OpenSoon(self, "/two");
                   ipc::Thread second = self.Spawn({},
                                                   [&] {
                                                     ipc::Received received =
                                                         channel.Receive().value();
                                                     CHECK(received.message()->Reply().ok());
                                                   })
                                            .value();
                   CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
                   LetBlock(self);  // both serve it by now
                   CHECK(two.Send({}, {}).ok());
                   return second.Join().ok() ? 0 : 1;
                 }},
            {.name = "two", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.Attach("/two").value();
               ipc::Connection one = OpenSoon(self, "/one");
               ipc::Received received = channel.Receive().value();
               CHECK(one.Send({}, {}).ok());
               return received.message()->Reply().ok() ? 0 : 1;
             }}});
}

TEST_CASE("L4 a circle through thread pools is reported, by name, though the run goes on") {
  if (OnSimulationOnly("it ends a run's report, which the host cannot take at one instant")) return;
  // Both threads of each pool call the other pool; nobody is left to receive.
  auto pool = [](const char* own, const char* other) {
    return [own, other](ipc::Process& self) {
      ipc::Channel channel = self.Attach(own).value();
      ipc::Connection to = OpenSoon(self, other);
      auto serve = [&] {
        CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
        self.Sleep(absl::Milliseconds(1)).IgnoreError();  // all four serve by now
        to.Send({}, {}).IgnoreError();
      };
      ipc::Thread second = self.Spawn({}, serve).value();
      serve();
      return 0;
    };
  };
  const parley::RunReport report =
      tests::RunAny({{.name = "a", .main = pool("/a", "/b"), .service = true},
                     {.name = "b", .main = pool("/b", "/a"), .service = true},
                     {.name = "timer", .main = [](ipc::Process& self) {
                        return self.Sleep(absl::Seconds(1)).ok() ? 0 : 1;
                      }}});
  CHECK_FALSE(report.deadlock);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].starts_with("only they could free each other: a/main, b/main, "));
}

TEST_CASE("L5 no call crashes on a bad argument") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.CreateChannel("own").value();
               ipc::Connection to = self.Connect(channel.Grant(self.me()).value(), "own").value();
               ipc::Region gone = self.CreateRegion(4096).value();
               const ipc::ConstBytes unmapped = gone.read();
               ipc::Thread server =
                   self.Spawn({},
                              [&] {
                                ipc::Received received = channel.Receive().value();
                                CHECK(ErrorOf(received.message()->Reply(unmapped).status()) ==
                                      Error::kBadAddress);
                              })
                       .value();
               { ipc::Region closed = std::move(gone); }
               CHECK(ErrorOf(to.Send(unmapped, {}).status()) == Error::kBadAddress);
               std::array<std::byte, 16> reply;
               CHECK(ErrorOf(to.Send({}, absl::MakeSpan(reply)).status()) == Error::kNotReplied);
               CHECK(server.Join().ok());
               ipc::Connection moved = std::move(to);
               CHECK(ErrorOf(to.Send({}, {}).status()) == Error::kBadHandle);
               CHECK_FALSE(self.Redeem(ipc::Token{1, 2}).ok());
               CHECK_FALSE(self.CreateRegion(0).ok());
               CHECK_FALSE(self.Start("no such program").ok());
               return 0;
             }}});
}

TEST_CASE("L5 a program that throws, or touches what is not its own, ends alone") {
  const parley::RunReport report =
      RunAny({{.name = "thrower",
               .main = [](ipc::Process&) -> int { throw std::runtime_error("no disk"); }},
              {.name = "thrower's thread",
               .main =
                   [](ipc::Process& self) {
                     ipc::Thread thread =
                         self.Spawn({}, [] { throw std::runtime_error("no net"); }).value();
                     return thread.Join().ok() ? 0 : 1;
                   }},
              {.name = "toucher",
               .main =
                   [](ipc::Process&) {
                     volatile uintptr_t address = 64;
                     return *reinterpret_cast<volatile int*>(address);
                   }},
              {.name = "bystander",
               .main =
                   [](ipc::Process& self) {
                     LetBlock(self);  // while the others end
                     return 0;
                   }},
              {.name = "hopeful", .main = [](ipc::Process& self) {
                 return self.Open("/nobody").value().name().empty() ? 1 : 0;
               }}});
  CHECK(report.processes[1].exit.kind == parley::ExitKind::kException);
  CHECK(report.processes[1].exit.reason == "uncaught exception: no disk");
  CHECK(report.processes[2].exit.kind == parley::ExitKind::kException);
  CHECK(report.processes[2].exit.reason == "uncaught exception: no net");
  CHECK(report.processes[3].exit.kind == parley::ExitKind::kFault);
  CHECK(report.processes[4].exit.code == 0);
  CHECK(report.processes[5].exit.reason ==
        "uncaught exception: no value: NOT_FOUND: /nobody: the name server: nobody serves this "
        "name");
  CHECK(report.problems.size() == 4);
}

}  // namespace
