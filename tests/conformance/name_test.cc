// Conformance: names (N1 to N5).
#include "ipc/name_protocol.h"
#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::InTime;
using tests::Ms;
using tests::RunWorld;

TEST_CASE("N1 a taken name is refused, and the longest attached prefix serves a path") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel gfx = self.Attach("/dev/gfx").value();
               CHECK(ErrorOf(self.Attach("/dev/gfx").status()) == Error::kAlreadyExists);
               ipc::Channel zero = self.Attach("/dev/gfx/0").value();
               CHECK(self.Open("/dev/gfx/1/mode")->rest() == "/1/mode");
               CHECK(self.Open("/dev/gfx/0/mode")->rest() == "/mode");
               CHECK(self.Open("/dev/gfx/0")->rest() == "");
               CHECK(ErrorOf(self.Open("/dev/gfx0").status()) == Error::kNoSuchName);
               for (const char* path : {"", "/", "dev", "/a//b", "/a/", "/a/./b", "/a/../b"}) {
                 CHECK_MESSAGE(ErrorOf(self.Attach(path).status()) == Error::kInvalidArgument,
                               path);
               }
               CHECK(ErrorOf(self.Attach("/" + std::string(255, 'x')).status()) ==
                     Error::kInvalidArgument);
               CHECK(self.ListNames("/dev").value() ==
                     std::vector<std::string>{"/dev/gfx", "/dev/gfx/0"});
               return 0;
             }}});
}

TEST_CASE("N2 an open waits for the name to appear, until its deadline") {
  RunWorld({{.name = "client",
             .main =
                 [](ipc::Process& self) {
                   CHECK(ErrorOf(self.Open("/late").status()) == Error::kNoSuchName);
                   const absl::Time begin = self.Now();
                   CHECK(ErrorOf(self.Open("/late", Ms(2)).status()) == Error::kNoSuchName);
                   CHECK(self.Now() - begin >= Ms(2));
                   CHECK(self.Open("/late", Ms(20)).ok());
                   CHECK(InTime(self.Now() - begin, Ms(11)));
                   return 0;
                 }},
            {.name = "server", .main = [](ipc::Process& self) {
               self.Sleep(Ms(10)).IgnoreError();
               ipc::Channel channel = self.Attach("/late").value();
               self.Sleep(Ms(10)).IgnoreError();
               return 0;
             }}});
}

TEST_CASE("N2 a watch tells of names that come and go at or below its prefix") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel events = self.CreateChannel("events").value();
               CHECK(self.Watch("/dev", events, 4, 10).ok());
               { ipc::Channel other = self.Attach("/device").value(); }
               { ipc::Channel disk = self.Attach("/dev/disk").value(); }
               ipc::Received attached = events.Receive(Ms(1)).value();
               CHECK(attached.pulse()->code == 4);
               CHECK(attached.pulse()->value == 1);
               CHECK(events.Receive(Ms(1))->pulse()->value == 0);
               CHECK_FALSE(events.Receive(Ms(1)).ok());
               return 0;
             }}});
}

TEST_CASE("N3 a name dies with its channel; a new server is reached by a new open only") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   self.Sleep(absl::InfiniteDuration()).IgnoreError();
                   return 1;
                 },
             .only_program = true},
            {.name = "parent", .main = [](ipc::Process& self) {
               ipc::Child first = self.Start("server").value();
               ipc::Connection old = self.Open("/s", absl::Seconds(1)).value();
               CHECK(first.Kill().ok());
               self.Sleep(Ms(1)).IgnoreError();
               CHECK(ErrorOf(self.Open("/s").status()) == Error::kNoSuchName);
               ipc::Child second = self.Start("server").value();
               CHECK(self.Open("/s", absl::Seconds(1)).ok());
               CHECK(ErrorOf(old.Send({}, {}).status()) == Error::kNoSuchChannel);
               return second.Kill().ok() ? 0 : 1;
             }}});
}

TEST_CASE("N4 a name has an owner and a mode") {
  RunWorld({{.name = "owner",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel closed = self.Attach("/mine", {.mode = 0600}).value();
                   ipc::Channel group = self.Attach("/mine/group", {.mode = 0620}).value();
                   self.Sleep(Ms(10)).IgnoreError();
                   return 0;
                 },
             .uid = 1000,
             .gid = 100},
            {.name = "stranger",
             .main =
                 [](ipc::Process& self) {
                   self.Sleep(Ms(1)).IgnoreError();
                   CHECK(ErrorOf(self.Open("/mine").status()) == Error::kNotPermitted);
                   CHECK(self.Open("/mine/group").ok());
                   const absl::Status below = self.Attach("/mine/too").status();
                   CHECK(ErrorOf(below) == Error::kNotPermitted);
                   CHECK(absl::IsPermissionDenied(below));
                   return 0;
                 },
             .uid = 1001,
             .gid = 100},
            {.name = "root", .main = [](ipc::Process& self) {
               self.Sleep(Ms(1)).IgnoreError();
               CHECK(self.Open("/mine").ok());
               return self.Attach("/mine/by/root").ok() ? 0 : 1;
             }}});
}

TEST_CASE("N5 the name server answers nonsense with an error and lives on") {
  RunWorld(
      {{.name = "alone", .main = [](ipc::Process& self) {
          // Its own connection is not for programs: a stranger's message is what a server of ours
          // would get.
          ipc::Channel channel = self.Attach("/s").value();
          ipc::Connection to = self.Open("/s").value();
          ipc::Thread server =
              self.Spawn({},
                         [&] {
                           ipc::Received received = channel.Receive().value();
                           received.message()->As<ipc::names::OpenRequest>().status().IgnoreError();
                         })
                  .value();
          CHECK(absl::IsInvalidArgument(to.Send(ipc::BytesOfText("?"), {}).status()));
          CHECK(server.Join().ok());
          CHECK(ErrorOf(self.TakeNameServiceChannel().status()) == Error::kNotPermitted);
          return 0;
        }}});
}

}  // namespace
