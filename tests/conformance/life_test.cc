// Conformance: life and death (L1 to L5).
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::InTime;
using tests::Ms;
using tests::RunAny;
using tests::RunWorld;
using tests::Start;

ipc::Connection OpenSoon(ipc::Process& self, const char* path) {
  return self.Open(path, absl::Seconds(1)).value();
}

// Receives one message, keeps it unanswered, and waits for its end.
int Keeper(ipc::Process& self) {
  ipc::Channel channel = self.Attach("/s").value();
  ipc::Received kept = channel.Receive().value();
  self.Sleep(absl::InfiniteDuration()).IgnoreError();
  return 1;
}

TEST_CASE(
    "L1 when a server dies every blocked client wakes, and knows whether its request may have "
    "run") {
  RunWorld({{.name = "keeper", .main = Keeper, .only_program = true},
            {.name = "parent", .main = [](ipc::Process& self) {
               ipc::Child server = self.Start("keeper").value();
               ipc::Connection to = OpenSoon(self, "/s");
               absl::Time killed;
               auto client = [&](Error expected) {
                 return self
                     .Spawn({},
                            [&, expected] {
                              CHECK(ErrorOf(to.Send({}, {}).status()) == expected);
                              CHECK(InTime(self.Now() - killed, Ms(10)));
                            })
                     .value();
               };
               ipc::Thread received = client(Error::kServerDiedAfterReceive);
               self.Sleep(Ms(1)).IgnoreError();
               ipc::Thread queued = client(Error::kServerDiedBeforeReceive);
               self.Sleep(Ms(1)).IgnoreError();
               killed = self.Now();
               CHECK(server.Kill().ok());
               CHECK(received.Join().ok());
               CHECK(queued.Join().ok());
               CHECK(ErrorOf(to.Send({}, {}).status()) == Error::kNoSuchChannel);
               return 0;
             }}});
}

TEST_CASE("L1 a connection that asked for it gets a death pulse when the channel is destroyed") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   {
                     ipc::Channel channel = self.Attach("/s").value();
                     self.Sleep(Ms(2)).IgnoreError();
                   }
                   self.Sleep(Ms(5)).IgnoreError();
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Channel deaths = self.CreateChannel("deaths").value();
               ipc::Connection server =
                   self.Open("/s", {.deadline = absl::Seconds(1), .death = &deaths, .cookie = 1234})
                       .value();
               ipc::Received received = deaths.Receive(Ms(4)).value();
               CHECK(received.pulse()->code == ipc::Pulse::kDeath);
               CHECK(received.pulse()->value == 1234);
               CHECK(ErrorOf(server.SendPulse(1, 1, 1)) == Error::kNoSuchChannel);
               return 0;
             }}});
}

TEST_CASE(
    "L2 when a client dies its queued messages vanish, its received ones turn dead, its pulses "
    "stay") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel =
                       self.Attach("/s", {.unblock_pulse = true, .disconnect_pulse = true}).value();
                   ipc::Received received = channel.Receive().value();
                   const ipc::ProcessRef client = received.message()->info().sender;
                   self.Sleep(Start() + Ms(20)).IgnoreError();
                   CHECK(ErrorOf(received.message()->Reply()) == Error::kMessageGone);
                   CHECK(channel.Receive()->pulse()->code == 7);  // it had queued this
                   CHECK(channel.Receive()->pulse()->code == ipc::Pulse::kUnblock);
                   ipc::Received last = channel.Receive().value();
                   CHECK(last.pulse()->code == ipc::Pulse::kDisconnect);
                   CHECK(last.pulse()->value == client.id());
                   CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
                   return 0;
                 }},
            {.name = "victim",
             .main =
                 [](ipc::Process& self) {
                   ipc::Connection server = OpenSoon(self, "/s");
                   ipc::Connection second = OpenSoon(self, "/s");
                   ipc::Thread one =
                       self.Spawn({}, [&] { server.Send({}, {}).IgnoreError(); }).value();
                   self.Sleep(Ms(1)).IgnoreError();
                   ipc::Thread two =
                       self.Spawn({}, [&] { second.Send({}, {}).IgnoreError(); }).value();
                   server.SendPulse(7, 0, 10).IgnoreError();
                   self.Sleep(absl::InfiniteDuration()).IgnoreError();
                   return 1;
                 },
             .only_program = true},
            {.name = "parent", .main = [](ipc::Process& self) {
               ipc::Child victim = self.Start("victim").value();
               self.Sleep(Ms(10)).IgnoreError();
               return victim.Kill().ok() ? 0 : 1;
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
                   self.Sleep(Ms(1)).IgnoreError();  // both serve it by now
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
  if (tests::OnlySimulated("a run's report; the host shows it in parley ps")) return;
  // Both threads of each pool call the other pool; nobody is left to receive.
  auto pool = [](const char* own, const char* other) {
    return [own, other](ipc::Process& self) {
      ipc::Channel channel = self.Attach(own).value();
      ipc::Connection to = OpenSoon(self, other);
      auto serve = [&] {
        CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
        self.Sleep(Ms(1)).IgnoreError();  // all four serve by now
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
              {.name = "toucher",
               .main =
                   [](ipc::Process&) {
                     volatile uintptr_t address = 64;
                     return *reinterpret_cast<volatile int*>(address);
                   }},
              {.name = "bystander",
               .main = [](ipc::Process& self) { return self.Sleep(Ms(1)).ok() ? 0 : 1; }}});
  CHECK(report.processes[1].exit.kind == parley::ExitKind::kException);
  CHECK(report.processes[1].exit.reason == "uncaught exception: no disk");
  CHECK(report.processes[2].exit.kind == parley::ExitKind::kFault);
  CHECK(report.processes[3].exit.code == 0);
  CHECK(report.problems.size() == 2);
}

}  // namespace
