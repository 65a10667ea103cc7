// Connections as libipc hands them out: names in errors, what is left of a path, lifetimes.
#include "ipc/connection.h"

#include <array>

#include "absl/strings/match.h"
#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::RunWorld;

TEST_CASE("a deadline's error names the server and says whether the request may have run") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/calc/add").value();
                   self.Sleep(absl::Milliseconds(3)).IgnoreError();
                   ipc::Received second = channel.Receive().value();
                   self.Sleep(absl::Milliseconds(3)).IgnoreError();
                   CHECK(ErrorOf(second.message()->Reply()) == Error::kMessageGone);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection add = self.Open("/calc/add", absl::Seconds(1)).value();
               const absl::Status before =
                   add.Send({}, {}, {.deadline = absl::Milliseconds(1)}).status();
               CHECK(ErrorOf(before) == Error::kDeadlineBeforeReceive);
               CHECK(absl::StartsWith(before.message(), "/calc/add: "));
               const absl::Status after =
                   add.Send({}, {}, {.deadline = self.Now() + absl::Milliseconds(4)}).status();
               CHECK(ErrorOf(after) == Error::kDeadlineAfterReceive);
               CHECK(absl::StartsWith(after.message(), "/calc/add: "));
               CHECK(absl::StrContains(after.message(), "may have run"));
               return 0;
             }}});
}

TEST_CASE("a connection that was moved away is closed, and what it was moved to works") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.Attach("/s").value();
               ipc::Connection first = self.Open("/s/deep/er").value();
               ipc::Connection second = std::move(first);
               CHECK(ErrorOf(first.SendPulse(1, 2, 3)) == Error::kBadHandle);
               CHECK(first.server() == ipc::ProcessRef());
               CHECK(second.SendPulse(1, 2, 3).ok());
               CHECK(second.server() == self.me());
               CHECK(second.name() == "/s/deep/er");
               CHECK(second.rest() == "/deep/er");
               ipc::Connection third = self.Open("/s").value();
               third = std::move(second);
               CHECK(third.SendPulse(1, 2, 3).ok());
               CHECK(third.rest() == "/deep/er");
               return 0;
             }}});
}

TEST_CASE("closing one connection of a name leaves the others of it alone") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.Attach("/s").value();
               ipc::Connection stays = self.Open("/s").value();
               { ipc::Connection goes = self.Open("/s").value(); }
               CHECK(stays.SendPulse(1, 2, 3).ok());
               return 0;
             }}});
}

TEST_CASE("a connection closed while another thread sends on it lets that send end") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   self.Sleep(absl::Milliseconds(5)).IgnoreError();
                   return received.message()->Reply().ok() ? 0 : 1;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Channel deaths = self.CreateChannel("deaths").value();
               auto connection = std::make_unique<ipc::Connection>(
                   self.Open("/s", {.deadline = absl::Seconds(1), .death = &deaths}).value());
               absl::Status sent = absl::UnknownError("not yet");
               ipc::Thread sender =
                   self.Spawn({},
                              [&, raw = connection.get()] { sent = raw->Send({}, {}).status(); })
                       .value();
               self.Sleep(absl::Milliseconds(2)).IgnoreError();
               ipc::Connection moved = std::move(*connection);
               { ipc::Connection closed = std::move(moved); }
               { ipc::Channel gone = std::move(deaths); }  // before the send has ended
               CHECK(sender.Join().ok());
               CHECK_MESSAGE(sent.ok(), sent.ToString());
               return 0;
             }}});
}

TEST_CASE("more parts or regions than are possible are refused before anything is sent") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.Attach("/s").value();
               ipc::Connection to = self.Open("/s").value();
               const std::vector<ipc::ConstBytes> parts(1025);
               CHECK(ErrorOf(to.SendParts(parts, {}).status()) == Error::kInvalidArgument);
               ipc::Region region = self.CreateRegion(1).value();
               ipc::CallOptions options;
               options.regions.assign(17, region.In());
               CHECK(ErrorOf(to.Send({}, {}, options).status()) == Error::kInvalidArgument);
               options.regions = {region.In(4096)};
               CHECK(ErrorOf(to.Send({}, {}, options).status()) == Error::kInvalidArgument);
               options.regions = {region.In(1, 4096)};
               CHECK(ErrorOf(to.Send({}, {}, options).status()) == Error::kInvalidArgument);
               CHECK(ErrorOf(channel.Receive(ipc::Deadline::Poll()).status()) == Error::kDeadline);
               return 0;
             }}});
}

}  // namespace
