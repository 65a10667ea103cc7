// Conformance: deadlines and unblocking (D1 to D5).
#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::Shared;
using tests::conformance::InTime;
using tests::conformance::kSoon;
using tests::conformance::LetBlock;
using tests::conformance::LongEnoughToBeReceived;
using tests::conformance::Margin;
using tests::conformance::OnHost;
using tests::conformance::OpenSoon;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

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
               CHECK(ErrorOf(channel.Receive(Margin()).status()) == Error::kDeadline);
               CHECK(self.Now() - before >= Margin());
               return 0;
             }}});
}

TEST_CASE("D2 a SEND-blocked client leaves at its deadline and its message is never received") {
  Shared<bool> left;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   CHECK(WaitUntil(self, left));
                   CHECK(ErrorOf(channel.Receive(Margin()).status()) == Error::kDeadline);
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               const absl::Time deadline = self.Now() + Margin();
               CHECK(ErrorOf(server.Send({}, {}, {.deadline = deadline}).status()) ==
                     Error::kDeadlineBeforeReceive);
               CHECK(self.Now() >= deadline);
               CHECK(InTime(self.Now() - deadline, absl::Microseconds(10)));
               left = true;
               return 0;
             }}});
}

TEST_CASE(
    "D3 without kUnblockPulse a REPLY-blocked client leaves at once and the handle goes dead") {
  Shared<bool> left;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   CHECK(WaitUntil(self, left));
                   CHECK(ErrorOf(received.message()->Reply()) == Error::kMessageGone);
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               CHECK(
                   ErrorOf(server.Send({}, {}, {.deadline = LongEnoughToBeReceived()}).status()) ==
                   Error::kDeadlineAfterReceive);
               left = true;
               return 0;
             }}});
}

TEST_CASE("D3 with kUnblockPulse the server is told and the client stays until it answers") {
  Shared<bool> left;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.unblock_pulse = true}).value();
                   ipc::Received received = channel.Receive().value();
                   ipc::Message& message = *received.message();
                   ipc::Received pulse = channel.Receive().value();
                   CHECK(pulse.pulse()->code == ipc::Pulse::kUnblock);
                   CHECK(pulse.pulse()->value == message.id());
                   CHECK(message.Refresh().ok());
                   CHECK(message.info().unblock_requested);
                   LetBlock(self);
                   CHECK_FALSE(left);
                   CHECK(message.Reply(ipc::BytesOfText("late")).value() == 4);
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               std::array<char, 4> reply = {};
               const ipc::CallOptions patient{.deadline = LongEnoughToBeReceived(), .grace = kSoon};
               CHECK(server.Send({}, ipc::MutableBytesOf(reply), patient).value() == 4);
               left = true;
               return 0;
             }}});
}

TEST_CASE("D3 a client's grace period bounds how long it stays") {
  Shared<bool> left;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.unblock_pulse = true}).value();
                   ipc::Received received = channel.Receive().value();
                   CHECK(WaitUntil(self, left));
                   return ErrorOf(received.message()->Reply()) == Error::kMessageGone ? 0 : 1;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               const absl::Time deadline = self.Now() + LongEnoughToBeReceived();
               const ipc::CallOptions impatient{.deadline = deadline, .grace = 2 * Margin()};
               CHECK(ErrorOf(server.Send({}, {}, impatient).status()) ==
                     Error::kDeadlineAfterReceive);
               CHECK(self.Now() - deadline >= 2 * Margin());
               CHECK(InTime(self.Now() - deadline, 3 * Margin()));
               left = true;
               return 0;
             }}});
}

TEST_CASE("D4 a reply that overtakes its queued unblock pulse removes it") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.unblock_pulse = true}).value();
                   ipc::Received received = channel.Receive().value();
                   ipc::Message& message = *received.message();
                   CHECK(WaitUntil(self, [&] {
                     return message.Refresh().ok() && message.info().unblock_requested;
                   }));
                   LetBlock(self);  // its pulse is queued by now
                   CHECK(message.Reply().ok());
                   CHECK(ErrorOf(channel.Receive(5 * Margin()).status()) == Error::kDeadline);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               const ipc::CallOptions patient{.deadline = LongEnoughToBeReceived(), .grace = kSoon};
               return OpenSoon(self, "/s").Send({}, {}, patient).ok() ? 0 : 1;
             }}});
}

TEST_CASE("D5 kill of a client never waits for a server") {
  Shared<bool> received, ended;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.unblock_pulse = true}).value();
                   ipc::Received request = channel.Receive().value();
                   received = true;
                   CHECK(WaitUntil(self, ended));  // does nothing for the client until then
                   ipc::Received pulse = channel.Receive().value();
                   CHECK(pulse.pulse()->code == ipc::Pulse::kUnblock);
                   CHECK(ErrorOf(request.message()->Reply()) == Error::kMessageGone);
                   return 0;
                 }},
            {.name = "victim",
             .main =
                 [](ipc::Process& self) {
                   OpenSoon(self, "/s").Send({}, {}).IgnoreError();
                   return 1;
                 },
             .only_program = true},
            {.name = "parent", .main = [&](ipc::Process& self) {
               ipc::Child child = self.Start("victim").value();
               CHECK(WaitUntil(self, received));
               const absl::Time begin = self.Now();
               CHECK(child.Kill().ok());
               CHECK(child.Wait()->kind == ipc::ExitStatus::Kind::kKilled);
               CHECK(InTime(self.Now() - begin, absl::Milliseconds(1)));
               ended = true;
               return 0;
             }}});
}

TEST_CASE("D5 cancel of a thread counts as its deadline, now or at its next blocking call") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.CreateChannel("own").value();
               auto receive = [&] {
                 CHECK(ErrorOf(channel.Receive().status()) == Error::kCancelled);
               };
               ipc::Thread blocked = self.Spawn({}, receive).value();
               LetBlock(self);
               CHECK(blocked.Cancel().ok());
               CHECK(blocked.Join().ok());
               auto work = [&] {
                 self.Compute(5 * Margin());
                 CHECK(ErrorOf(self.Sleep(kSoon)) == Error::kCancelled);
                 CHECK(self.Sleep(absl::Milliseconds(1)).ok());  // once
               };
               ipc::Thread busy = self.Spawn({}, work).value();
               CHECK(busy.Cancel().ok());
               CHECK(busy.Join().ok());
               return 0;
             }}});
}

TEST_CASE("the wall's clock is the host's; in virtual time it begins with the year 2000") {
  const absl::Time before = absl::Now();
  RunWorld({{.name = "alone", .main = [&](ipc::Process& self) {
               const absl::Time begin = self.WallTime();
               const absl::Time day =
                   absl::FromCivil(absl::CivilDay(2000, 1, 1), absl::UTCTimeZone());
               if (OnHost()) {
                 CHECK(begin >= before);
                 CHECK(begin <= absl::Now());
               } else {
                 CHECK(begin >= day);
                 CHECK(begin < day + Margin());
               }
               const absl::Time now = self.Now();
               CHECK(self.Sleep(Margin()).ok());
               if (!OnHost()) CHECK(self.WallTime() - begin >= self.Now() - now);
               return 0;
             }}});
}

}  // namespace
