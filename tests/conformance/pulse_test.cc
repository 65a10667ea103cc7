// Conformance: pulses, events, timers (U1 to U5).
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
               CHECK(InTime(self.Now() - before, Us(1)));
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
               CHECK(timer.Arm(Ms(1)).ok());
               self.Sleep(Ms(2)).IgnoreError();
               CHECK(loop.channel.Receive()->pulse()->code == 2);
               return 0;
             }}});
}

TEST_CASE("U3 a receive with no room at all still gets a pulse") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               Loop loop(self);
               CHECK(loop.to.SendPulse(3, 4, 10).ok());
               ipc::Received received =
                   loop.channel.Receive(ipc::MutableBytes(), absl::Seconds(1)).value();
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
               ipc::Timer timer = loop.channel.MakeTimer(5, 55, 20).value();
               CHECK(timer.Arm(self.Now() + Ms(1)).ok());
               CHECK(loop.channel.Receive()->pulse()->value == 55);
               CHECK_FALSE(loop.channel.Receive(Ms(5)).ok());  // once
               const absl::Time armed = self.Now();
               CHECK(timer.Arm(Ms(1), Ms(2)).ok());
               CHECK(loop.channel.Receive()->pulse()->count == 1);
               CHECK(InTime(self.Now() - armed, Ms(1.1)));
               self.Sleep(armed + Ms(10)).IgnoreError();
               CHECK(loop.channel.Receive()->pulse()->count == 4);  // at 3, 5, 7 and 9 ms
               CHECK(timer.Disarm().ok());
               CHECK_FALSE(loop.channel.Receive(Ms(5)).ok());
               return 0;
             }}});
}

}  // namespace
