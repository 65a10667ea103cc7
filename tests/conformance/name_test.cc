// Conformance: names (N1 to N5).
#include "ipc/name_protocol.h"
#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::Shared;
using tests::conformance::InTime;
using tests::conformance::kSoon;
using tests::conformance::LacksOtherUsers;
using tests::conformance::LetBlock;
using tests::conformance::Margin;
using tests::conformance::OpenSoon;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

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
  Shared<bool> refused, opened;
  RunWorld({{.name = "client",
             .main =
                 [&](ipc::Process& self) {
                   CHECK(ErrorOf(self.Open("/late").status()) == Error::kNoSuchName);
                   const absl::Time begin = self.Now();
                   CHECK(ErrorOf(self.Open("/late", Margin()).status()) == Error::kNoSuchName);
                   CHECK(self.Now() - begin >= Margin());
                   refused = true;
                   CHECK(self.Open("/late", kSoon).ok());
                   CHECK(InTime(self.Now() - begin, 5 * Margin()));
                   opened = true;
                   return 0;
                 }},
            {.name = "server", .main = [&](ipc::Process& self) {
               CHECK(WaitUntil(self, refused));
               LetBlock(self);  // the client, in its open
               ipc::Channel channel = self.Attach("/late").value();
               CHECK(WaitUntil(self, opened));
               return 0;
             }}});
}

TEST_CASE("N2 a watch tells of names that come and go at or below its prefix") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel events = self.CreateChannel("events").value();
               CHECK(self.Watch("/dev", events, 4, 10).ok());
               { ipc::Channel other = self.Attach("/device").value(); }
               { ipc::Channel disk = self.Attach("/dev/disk").value(); }
               ipc::Received attached = events.Receive(kSoon).value();
               CHECK(attached.pulse()->code == 4);
               CHECK(attached.pulse()->value == 1);
               CHECK(events.Receive(kSoon)->pulse()->value == 0);
               CHECK_FALSE(events.Receive(Margin()).ok());
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
               ipc::Connection old = OpenSoon(self, "/s");
               CHECK(first.Kill().ok());
               CHECK(WaitUntil(
                   self, [&] { return ErrorOf(self.Open("/s").status()) == Error::kNoSuchName; }));
               ipc::Child second = self.Start("server").value();
               CHECK(self.Open("/s", kSoon).ok());
               CHECK(ErrorOf(old.Send({}, {}).status()) == Error::kNoSuchChannel);
               return second.Kill().ok() ? 0 : 1;
             }}});
}

TEST_CASE("N4 a name has an owner and a mode") {
  if (LacksOtherUsers()) return;
  Shared<bool> attached;
  Shared<int> finished;
  RunWorld({{.name = "owner",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel closed = self.Attach("/mine", {.mode = 0600}).value();
                   ipc::Channel group = self.Attach("/mine/group", {.mode = 0620}).value();
                   attached = true;
                   CHECK(WaitUntil(self, [&] { return finished == 2; }));
                   return 0;
                 },
             .uid = 1000,
             .gid = 100},
            {.name = "stranger",
             .main =
                 [&](ipc::Process& self) {
                   CHECK(WaitUntil(self, attached));
                   CHECK(ErrorOf(self.Open("/mine").status()) == Error::kNotPermitted);
                   CHECK(self.Open("/mine/group").ok());
                   const absl::Status below = self.Attach("/mine/too").status();
                   CHECK(ErrorOf(below) == Error::kNotPermitted);
                   CHECK(absl::IsPermissionDenied(below));
                   ++finished;
                   return 0;
                 },
             .uid = 1001,
             .gid = 100},
            {.name = "root",
             .main =
                 [&](ipc::Process& self) {
                   CHECK(WaitUntil(self, attached));
                   CHECK(self.Open("/mine").ok());
                   CHECK(self.Attach("/mine/by/root").ok());
                   ++finished;
                   return 0;
                 },
             .uid = 0,
             .gid = 0}});
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
