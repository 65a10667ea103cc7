// Conformance: pulses, events, timers (U1 to U5).
#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::conformance::InTime;
using tests::conformance::kSoon;
using tests::conformance::Margin;
using tests::conformance::OnHost;
using tests::conformance::OpenSoon;
using tests::conformance::RunWorld;

// A channel of this process and a connection to it.
struct Loop {
  explicit Loop(ipc::Process& self)
      : channel(self.CreateChannel("own").value()),
        to(self.Connect(channel.Grant(self.me(), {.badge = 9}).value(), "own").value()) {}
  ipc::Channel channel;
  ipc::Connection to;
};

TEST_CASE("U1 a pulse carries code, value and priority, and its sender never blocks") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               Loop loop(self);
               const absl::Time before = self.Now();
               CHECK(loop.to.SendPulse(127, ~uint64_t{0}, 33).ok());
               CHECK(InTime(self.Now() - before, absl::Microseconds(1)));
               ipc::Received received = loop.channel.Receive().value();
               const ipc::Pulse& pulse = *received.pulse();
               CHECK(pulse.code == 127);
               CHECK(pulse.value == ~uint64_t{0});
               CHECK(pulse.priority == 33);
               CHECK(pulse.badge == 9);
               CHECK(ErrorOf(loop.to.SendPulse(128, 0, 10)) == Error::kInvalidArgument);
               CHECK(ErrorOf(loop.to.SendPulse(1, 0, 0)) == Error::kInvalidArgument);
               return 0;
             }}});
}

TEST_CASE("U2 identical pulses coalesce and count; a connection's quota is bounded") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               Loop loop(self);
               for (int i = 0; i < 5; ++i) CHECK(loop.to.SendPulse(1, 1, 10).ok());
               for (uint64_t i = 2; i <= 64; ++i) CHECK(loop.to.SendPulse(1, i, 10).ok());
               CHECK(ErrorOf(loop.to.SendPulse(1, 65, 10)) == Error::kQuotaExhausted);
               CHECK(loop.to.SendPulse(1, 1, 10).ok());  // coalesces: needs no room
               CHECK(loop.channel.Receive()->pulse()->count == 6);
               CHECK(loop.to.SendPulse(1, 65, 10).ok());
               return 0;
             }}});
}

TEST_CASE("U2 the kernel's own pulses are never lost and take nobody's quota") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               Loop loop(self);
               ipc::Timer timer = loop.channel.MakeTimer(2, 0, 20).value();
               for (uint64_t i = 0; i < 64; ++i) CHECK(loop.to.SendPulse(1, i, 10).ok());
               CHECK(timer.Arm(absl::Milliseconds(1)).ok());
               self.Sleep(Margin() + absl::Milliseconds(1)).IgnoreError();
               CHECK(ErrorOf(loop.to.SendPulse(1, 64, 10)) == Error::kQuotaExhausted);
               int timers = 0;
               for (int i = 0; i < 65; ++i) {
                 if (loop.channel.Receive(kSoon)->pulse()->code == 2) ++timers;
               }
               CHECK(timers == 1);
               return 0;
             }}});
}

TEST_CASE("U3 a receive with no room at all still gets a pulse") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               Loop loop(self);
               CHECK(loop.to.SendPulse(3, 4, 10).ok());
               ipc::Received received = loop.channel.Receive(ipc::MutableBytes(), kSoon).value();
               CHECK(received.message() == nullptr);
               CHECK(received.pulse()->value == 4);
               return 0;
             }}});
}

TEST_CASE("U4 only the server that an event was given to can deliver it, and only as registered") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   std::array<ipc::EventToken, 2> events;
                   CHECK(received.message()->Read(0, ipc::MutableBytesOf(events)).ok());
                   CHECK(ErrorOf(self.Deliver(events[0], 5)) == Error::kNotPermitted);
                   CHECK(self.Deliver(events[0]).ok());
                   CHECK(self.Deliver(events[1], 6).ok());
                   return received.message()->Reply().ok() ? 0 : 1;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               ipc::Channel channel = self.CreateChannel("events").value();
               const std::array<ipc::EventToken, 2> events = {
                   channel.RegisterEvent(server, 1, 11, 10).value(),
                   channel.RegisterEvent(server, 2, 0, 10, true).value()};
               CHECK(ErrorOf(self.Deliver(events[0])) == Error::kNotPermitted);  // not given to us
               CHECK(server.Send(ipc::BytesOf(events), {}).ok());
               CHECK(channel.Receive()->pulse()->value == 11);
               CHECK(channel.Receive()->pulse()->value == 6);
               return 0;
             }}});
}

TEST_CASE("U5 timers deliver once or periodically, absolute or relative, and count overruns") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               Loop loop(self);
               auto count = [&] { return loop.channel.Receive(kSoon)->pulse()->count; };
               ipc::Timer timer = loop.channel.MakeTimer(5, 55, 20).value();
               CHECK(timer.Arm(self.Now() + Margin()).ok());
               CHECK(loop.channel.Receive(kSoon)->pulse()->value == 55);
               CHECK_FALSE(loop.channel.Receive(5 * Margin()).ok());  // once

               const absl::Time armed = self.Now();
               CHECK(timer.Arm(Margin(), 2 * Margin()).ok());
               uint32_t total = count();
               CHECK(self.Now() - armed >= Margin());
               CHECK(InTime(self.Now() - armed, 1.1 * Margin()));
               if (!OnHost()) CHECK(total == 1);
               self.Sleep(armed + 10 * Margin()).IgnoreError();
               const uint32_t coalesced = count();  // of 3, 5, 7 and 9 margins
               if (!OnHost()) CHECK(coalesced == 4);
               CHECK(coalesced > 1);
               // No fewer than are due by now, and no more.
               for (total += coalesced; total < 5;) total += count();
               CHECK(total <= 1 + (self.Now() - armed - Margin()) / (2 * Margin()));

               CHECK(timer.Disarm().ok());
               while (loop.channel.Receive(ipc::Deadline::Poll()).ok()) continue;
               CHECK_FALSE(loop.channel.Receive(5 * Margin()).ok());
               return 0;
             }}});
}

}  // namespace
