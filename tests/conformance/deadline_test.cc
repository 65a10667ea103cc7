// Conformance: deadlines and unblocking (D1 to D5).
#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::InTime;
using tests::Ms;
using tests::RunWorld;
using tests::Us;

ipc::Connection OpenSoon(ipc::Process& self, const char* path) {
  return self.Open(path, absl::Seconds(1)).value();
}

TEST_CASE("D1 a deadline in the past means only if it need not block") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.CreateChannel("own").value();
               ipc::Connection to = self.Connect(channel.Grant(self.me()).value(), "own").value();
               CHECK(ErrorOf(channel.Receive(ipc::Deadline::Poll()).status()) == Error::kDeadline);
               CHECK(to.SendPulse(1, 2, 10).ok());
               CHECK(channel.Receive(ipc::Deadline::Poll()).ok());
               CHECK(
                   ErrorOf(to.Send({}, {}, {.deadline = self.Now() - absl::Seconds(1)}).status()) ==
                   Error::kDeadlineBeforeReceive);
               const absl::Time before = self.Now();
               CHECK(ErrorOf(channel.Receive(Ms(3)).status()) == Error::kDeadline);
               CHECK(self.Now() - before >= Ms(3));
               return 0;
             }}});
}

TEST_CASE("D2 a SEND-blocked client leaves at its deadline and its message is never received") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   self.Sleep(Ms(5)).IgnoreError();
                   CHECK(ErrorOf(channel.Receive(Ms(5)).status()) == Error::kDeadline);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               const absl::Time deadline = self.Now() + Ms(1);
               CHECK(ErrorOf(server.Send({}, {}, {.deadline = deadline}).status()) ==
                     Error::kDeadlineBeforeReceive);
               CHECK(InTime(self.Now() - deadline, Us(10)));
               return 0;
             }}});
}

TEST_CASE(
    "D3 without kUnblockPulse a REPLY-blocked client leaves at once and the handle goes dead") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   self.Sleep(Ms(5)).IgnoreError();
                   CHECK(ErrorOf(received.message()->Reply()) == Error::kMessageGone);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               CHECK(ErrorOf(server.Send({}, {}, {.deadline = Ms(1)}).status()) ==
                     Error::kDeadlineAfterReceive);
               return 0;
             }}});
}

TEST_CASE("D3 with kUnblockPulse the server is told and the client stays until it answers") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.unblock_pulse = true}).value();
                   ipc::Received received = channel.Receive().value();
                   ipc::Message& message = *received.message();
                   ipc::Received pulse = channel.Receive().value();
                   CHECK(pulse.pulse()->code == ipc::Pulse::kUnblock);
                   CHECK(pulse.pulse()->value == message.id());
                   CHECK(message.Refresh().ok());
                   CHECK(message.info().unblock_requested);
                   self.Sleep(Ms(5)).IgnoreError();
                   CHECK(message.Reply(ipc::BytesOfText("late")).value() == 4);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               std::array<char, 4> reply = {};
               CHECK(server.Send({}, ipc::MutableBytesOf(reply), {.deadline = Ms(1)}).value() == 4);
               return 0;
             }}});
}

TEST_CASE("D3 a client's grace period bounds how long it stays") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.unblock_pulse = true}).value();
                   ipc::Received received = channel.Receive().value();
                   self.Sleep(Ms(50)).IgnoreError();
                   return ErrorOf(received.message()->Reply()) == Error::kMessageGone ? 0 : 1;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               const absl::Time begin = self.Now();
               CHECK(ErrorOf(server.Send({}, {}, {.deadline = Ms(1), .grace = Ms(2)}).status()) ==
                     Error::kDeadlineAfterReceive);
               CHECK(self.Now() - begin >= Ms(3));
               CHECK(InTime(self.Now() - begin, Ms(4)));
               return 0;
             }}});
}

TEST_CASE("D4 a reply that overtakes its queued unblock pulse removes it") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.unblock_pulse = true}).value();
                   ipc::Received received = channel.Receive().value();
                   self.Sleep(Ms(5)).IgnoreError();  // the pulse is queued by now
                   CHECK(received.message()->Reply().ok());
                   CHECK(ErrorOf(channel.Receive(Ms(5)).status()) == Error::kDeadline);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               return OpenSoon(self, "/s").Send({}, {}, {.deadline = Ms(1)}).ok() ? 0 : 1;
             }}});
}

TEST_CASE("D5 kill of a client never waits for a server") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.unblock_pulse = true}).value();
                   ipc::Received received = channel.Receive().value();
                   ipc::Received pulse = channel.Receive().value();
                   CHECK(pulse.pulse()->code == ipc::Pulse::kUnblock);
                   CHECK(ErrorOf(received.message()->Reply()) == Error::kMessageGone);
                   return 0;
                 }},
            {.name = "victim",
             .main =
                 [](ipc::Process& self) {
                   OpenSoon(self, "/s").Send({}, {}).IgnoreError();
                   return 1;
                 },
             .only_program = true},
            {.name = "parent", .main = [](ipc::Process& self) {
               ipc::Child child = self.Start("victim").value();
               self.Sleep(Ms(1)).IgnoreError();
               const absl::Time begin = self.Now();
               CHECK(child.Kill().ok());
               CHECK(child.Wait()->kind == ipc::ExitStatus::Kind::kKilled);
               CHECK(InTime(self.Now() - begin, Ms(1)));
               return 0;
             }}});
}

TEST_CASE("D5 cancel of a thread counts as its deadline, now or at its next blocking call") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.CreateChannel("own").value();
               ipc::Thread blocked =
                   self.Spawn(
                           {},
                           [&] { CHECK(ErrorOf(channel.Receive().status()) == Error::kCancelled); })
                       .value();
               self.Sleep(Ms(1)).IgnoreError();
               CHECK(blocked.Cancel().ok());
               CHECK(blocked.Join().ok());
               ipc::Thread busy =
                   self.Spawn({},
                              [&] {
                                self.Compute(Ms(5));
                                CHECK(ErrorOf(self.Sleep(absl::Seconds(1))) == Error::kCancelled);
                                CHECK(self.Sleep(Ms(1)).ok());  // once
                              })
                       .value();
               CHECK(busy.Cancel().ok());
               CHECK(busy.Join().ok());
               return 0;
             }}});
}

}  // namespace
