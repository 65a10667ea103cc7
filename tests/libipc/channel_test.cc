// Channels as libipc hands them out: buffers of the caller's, names in errors, events, timers.
#include "ipc/channel.h"

#include <array>

#include "absl/strings/match.h"
#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::RunWorld;

// One process that is its own server.
void RunAlone(const std::function<void(ipc::Process&)>& body) {
  RunWorld({{.name = "alone", .main = [&](ipc::Process& self) {
               body(self);
               return 0;
             }}});
}

TEST_CASE("a request received into the caller's buffer is there and not in the message") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   std::array<std::byte, 4> buffer = {};
                   ipc::Received received =
                       channel.Receive(ipc::MutableBytes(buffer.data(), 4)).value();
                   ipc::Message& message = *received.message();
                   CHECK(std::memcmp(buffer.data(), "lett", 4) == 0);
                   CHECK(message.bytes().empty());
                   CHECK(message.info().request_bytes == 7);
                   std::array<std::byte, 8> rest = {};
                   CHECK(message.Read(4, ipc::MutableBytes(rest.data(), 8)).value() == 3);
                   CHECK(std::memcmp(rest.data(), "ers", 3) == 0);
                   return message.Reply().ok() ? 0 : 1;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection connection = self.Open("/s", absl::Seconds(1)).value();
               return connection.Send(ipc::BytesOfText("letters"), {}).ok() ? 0 : 1;
             }}});
}

TEST_CASE("errors name the channel") {
  RunAlone([](ipc::Process& self) {
    ipc::Channel channel = self.CreateChannel("mailbox").value();
    const absl::Status empty = channel.Receive(ipc::Deadline::Poll()).status();
    CHECK(ErrorOf(empty) == Error::kDeadline);
    CHECK(absl::StartsWith(empty.message(), "mailbox: "));
    CHECK(ErrorOf(channel.Grant(ipc::ProcessRef()).status()) == Error::kNoSuchName);
  });
}

TEST_CASE("a channel that was moved away is closed, and what it was moved to works") {
  RunAlone([](ipc::Process& self) {
    ipc::Channel first = self.CreateChannel("first").value();
    ipc::Channel second = std::move(first);
    CHECK(ErrorOf(first.Receive(ipc::Deadline::Poll()).status()) == Error::kBadHandle);
    CHECK(ErrorOf(second.Receive(ipc::Deadline::Poll()).status()) == Error::kDeadline);
    ipc::Connection to =
        self.Connect(second.Grant(self.me(), {.badge = 7}).value(), "itself").value();
    CHECK(to.SendPulse(1, 2, 3).ok());
    CHECK(second.Receive(ipc::Deadline::Poll())->pulse()->badge == 7);
  });
}

TEST_CASE("a timer that is moved goes on, and one that is destroyed is silent") {
  RunAlone([](ipc::Process& self) {
    ipc::Channel channel = self.CreateChannel("timers").value();
    {
      ipc::Timer gone = channel.MakeTimer(1, 0, 10).value();
      CHECK(gone.Arm(absl::Milliseconds(1)).ok());
    }
    ipc::Timer first = channel.MakeTimer(2, 0, 10).value();
    CHECK(first.Arm(absl::Milliseconds(2)).ok());
    ipc::Timer second = std::move(first);
    CHECK(ErrorOf(first.Disarm()) == Error::kBadHandle);
    ipc::Received received = channel.Receive(absl::Milliseconds(10)).value();
    CHECK(received.pulse()->code == 2);
    CHECK(ErrorOf(second.Arm(absl::Milliseconds(1), absl::Nanoseconds(-1))) ==
          Error::kInvalidArgument);
  });
}

TEST_CASE("the pulses of a program are its own codes, at priorities that exist") {
  RunAlone([](ipc::Process& self) {
    ipc::Channel channel = self.CreateChannel("pulses").value();
    const auto refused = [&](uint8_t code, int priority) {
      return ErrorOf(channel.MakeTimer(code, 0, priority).status()) == Error::kInvalidArgument;
    };
    CHECK(refused(128, 10));
    CHECK(refused(1, 0));
    CHECK(refused(1, 256));
    CHECK(refused(1, -1));
    CHECK(channel.MakeTimer(127, 0, 255).ok());
    CHECK(channel.MakeTimer(0, 0, 1).ok());
  });
}

}  // namespace
