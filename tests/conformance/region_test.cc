// Conformance: regions and capabilities (R1 to R10).
#include <optional>

#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Access;
using ipc::Error;
using ipc::ErrorOf;
using tests::Actor;
using tests::Shared;
using tests::conformance::Margin;
using tests::conformance::OnHost;
using tests::conformance::OnSimulationOnly;
using tests::conformance::OpenSoon;
using tests::conformance::RunAny;
using tests::conformance::RunWorld;
using tests::conformance::ServeOnce;
using tests::conformance::WaitUntil;

// Lets /s write the region, and leaves once it has the lease.
void SendAndLeave(ipc::Process& self, const ipc::Region& region, const Shared<bool>& leased) {
  ipc::Connection server = OpenSoon(self, "/s");
  auto send = [&] {
    CHECK(ErrorOf(server.Send({}, {}, {.regions = {region.Out()}}).status()) == Error::kCancelled);
  };
  ipc::Thread sender = self.Spawn({}, send).value();
  CHECK(WaitUntil(self, leased));
  CHECK(sender.Cancel().ok());
  CHECK(sender.Join().ok());
}

TEST_CASE("R1 a region is whole pages of zeros, charged to its creator's quota") {
  RunWorld({{.name = "small",
             .main =
                 [](ipc::Process& self) {
                   ipc::Region region = self.CreateRegion(5000).value();
                   CHECK(region.size() == 8192);
                   CHECK(region.read()[8191] == std::byte{0});
                   region.write()[8191] = std::byte{1};
                   const absl::Status refused = self.CreateRegion(8192).status();
                   CHECK(ErrorOf(refused) == Error::kQuotaExhausted);
                   { ipc::Region closed = std::move(region); }
                   return self.CreateRegion(12288).ok() ? 0 : 1;
                 },
             .only_program = true},
            {.name = "parent", .main = [](ipc::Process& self) {
               ipc::Child child = self.Start("small", {.region_quota_bytes = 12288}).value();
               return child.Wait()->code;
             }}});
}

TEST_CASE("R1 a child's quota is at most its maker's") {
  const auto start = [](ipc::Process& self, const char* program, uint64_t quota) {
    ipc::Child child = self.Start(program, {.region_quota_bytes = quota}).value();
    return child.Wait()->code;
  };
  RunWorld(
      {{.name = "grandchild",
        .main =
            [](ipc::Process& self) {
              CHECK(ErrorOf(self.CreateRegion(8193).status()) == Error::kQuotaExhausted);
              return self.CreateRegion(8192).ok() ? 0 : 1;
            },
        .only_program = true},
       {.name = "child",
        .main = [&](ipc::Process& self) { return start(self, "grandchild", 1 << 20); },
        .only_program = true},
       {.name = "parent", .main = [&](ipc::Process& self) { return start(self, "child", 8192); }}});
}

TEST_CASE("R2 a grant can only narrow, by range and by rights") {
  RunWorld({ServeOnce([](ipc::Process& self, ipc::Message& message) {
              ipc::Token token;
              CHECK(message.Read(0, ipc::MutableBytesOf(token)).ok());
              ipc::Region held = self.Redeem(token).value();
              CHECK(held.size() == 4096);
              CHECK_FALSE(held.writable());
              const ipc::ProcessRef me = self.me();
              CHECK(ErrorOf(held.Grant(me, Access::kReadWrite).status()) == Error::kNotPermitted);
              CHECK(ErrorOf(held.Grant(me, Access::kRead, 0, 8192).status()) ==
                    Error::kInvalidArgument);
              ipc::Region again = self.Redeem(held.Grant(me, Access::kRead).value()).value();
              CHECK(ErrorOf(again.Grant(me, Access::kRead).status()) == Error::kNotPermitted);
              return message.Reply().ok() ? 0 : 1;
            }),
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               ipc::Region region = self.CreateRegion(12288).value();
               CHECK(ErrorOf(region.Grant(server.server(), Access::kRead, 100, 4096).status()) ==
                     Error::kInvalidArgument);
               const ipc::Token token =
                   region.Grant(server.server(), Access::kReadAndGrant, 4096, 4096).value();
               return server.Send(ipc::BytesOf(token), {}).ok() ? 0 : 1;
             }}});
}

TEST_CASE("R3 a token is worthless to everybody but its holder") {
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   ipc::Region region = self.CreateRegion(4096).value();
                   ipc::Channel channel = self.CreateChannel("c").value();
                   const ipc::Token token = region.Grant(self.me(), Access::kRead).value();
                   CHECK(self.Redeem(token).ok());
                   CHECK(ipc::Token::Parse(token.ToString()).value() == token);
                   CHECK_FALSE(ipc::Token::Parse("12").ok());
                   ipc::Token guess = token;
                   guess.low ^= 1;
                   CHECK(ErrorOf(self.Redeem(guess).status()) == Error::kNotPermitted);
                   CHECK(ErrorOf(self.Connect(token, "no channel").status()) ==
                         Error::kNotPermitted);
                   return 0;
                 }},
            ServeOnce([](ipc::Process& self, ipc::Message& message) {
              ipc::Token token;
              CHECK(message.Read(0, ipc::MutableBytesOf(token)).ok());
              const absl::Status refused = self.Redeem(token).status();
              CHECK(ErrorOf(refused) == Error::kNotPermitted);
              CHECK(absl::IsPermissionDenied(refused));
              return message.Reply().ok() ? 0 : 1;
            }),
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Region region = self.CreateRegion(4096).value();
               const ipc::Token mine = region.Grant(self.me(), Access::kReadWrite).value();
               return OpenSoon(self, "/s").Send(ipc::BytesOf(mine), {}).ok() ? 0 : 1;
             }}});
}

TEST_CASE(
    "R4 memory is mapped with the rights of its token: a write beyond them is caught and "
    "reported") {
  const parley::RunReport report =
      RunAny({ServeOnce([](ipc::Process& self, ipc::Message& message) {
                ipc::Token token;
                CHECK(message.Read(0, ipc::MutableBytesOf(token)).ok());
                ipc::Region held = self.Redeem(token).value();
                CHECK(held.read()[0] == std::byte{42});
                CHECK(held.write().empty());
                const_cast<std::byte&>(held.read()[0]) = std::byte{1};
                return 0;
              }),
              {.name = "client", .main = [](ipc::Process& self) {
                 ipc::Connection server = OpenSoon(self, "/s");
                 ipc::Region region = self.CreateRegion(4096).value();
                 region.write()[0] = std::byte{42};
                 const ipc::Token token = region.Grant(server.server(), Access::kRead).value();
                 CHECK(ErrorOf(server.Send(ipc::BytesOf(token), {}).status()) ==
                       Error::kServerDiedAfterReceive);
                 CHECK(region.read()[0] == std::byte{42});
                 return 0;
               }}});
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].find("server: thread main wrote to region") != std::string::npos);
  CHECK(report.problems[0].find("(R4)") != std::string::npos);
}

TEST_CASE("R4 an owner can make writing by others impossible, and freeze for ever") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Region closed = self.CreateRegion(4096, {.others_may_write = false}).value();
               CHECK(ErrorOf(closed.Grant(self.me(), Access::kReadWrite).status()) ==
                     Error::kNotPermitted);
               ipc::Region open = self.CreateRegion(4096).value();
               const ipc::Token token = open.Grant(self.me(), Access::kReadWrite).value();
               CHECK(open.Freeze().ok());
               CHECK(open.write().empty());
               CHECK_FALSE(self.Redeem(token)->writable());
               CHECK(ErrorOf(open.Grant(self.me(), Access::kReadWrite).status()) ==
                     Error::kNotPermitted);
               return 0;
             }}});
}

TEST_CASE("R5 a region reference is leased until the reply, in its direction") {
  Shared<bool> refused;
  RunWorld({ServeOnce([&](ipc::Process& self, ipc::Message& message) {
              ipc::Lease in = message.Region(0).value();
              ipc::Lease out = message.Region(1).value();
              CHECK(in.size() == 100);
              CHECK(in.read()[0] == std::byte{7});
              CHECK(in.write().empty());
              out.write()[0] = std::byte{8};
              CHECK(ErrorOf(message.Region(2).status()) == Error::kInvalidArgument);
              CHECK(message.Reply().ok());
              CHECK(in.read().empty());
              CHECK(out.write().empty());
              CHECK(WaitUntil(self, refused));
              return 0;
            }),
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Region region = self.CreateRegion(3 * 4096).value();
               region.write()[50] = std::byte{7};
               CHECK(OpenSoon(self, "/s")
                         .Send({}, {}, {.regions = {region.In(50, 100), region.Out(8192)}})
                         .ok());
               CHECK(region.read()[8192] == std::byte{8});
               CHECK(ErrorOf(OpenSoon(self, "/s")
                                 .Send({}, {}, {.regions = {region.In(12000, 4096)}})
                                 .status()) == Error::kInvalidArgument);
               refused = true;
               return 0;
             }}});
}

TEST_CASE("R5 a client that left while a server could write is told that the region is contested") {
  Shared<bool> leased, seen, done;
  RunWorld({ServeOnce([&](ipc::Process& self, ipc::Message& message) {
              ipc::Lease out = message.Region(0).value();
              const ipc::MutableBytes kept = out.write();
              leased = true;
              CHECK(WaitUntil(self, seen));
              CHECK(WaitUntil(self, [&] { return out.write().empty(); }));  // dead,
              kept[0] = std::byte{1};  // but touching it harms nobody (R9)
              CHECK(ErrorOf(message.Reply()) == Error::kMessageGone);
              CHECK(WaitUntil(self, done));
              return 0;
            }),
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Region region = self.CreateRegion(4096).value();
               SendAndLeave(self, region, leased);
               CHECK(ErrorOf(region.Check()) == Error::kContested);
               CHECK(ErrorOf(region.Freeze()) == Error::kContested);
               seen = true;
               CHECK(WaitUntil(self, [&] { return region.Check().ok(); }));  // it has let go
               done = true;
               return 0;
             }}});
}

TEST_CASE("R6 the same range leased again is at the same address") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   const std::byte* first = nullptr;
                   for (int i = 0; i < 3; ++i) {
                     ipc::Received received = channel.Receive().value();
                     ipc::Lease lease = received.message()->Region(0).value();
                     if (i == 0) first = lease.read().data();
                     CHECK(lease.read().data() == first);
                     CHECK(lease.read()[0] == std::byte(i));
                     CHECK(received.message()->Reply().ok());
                   }
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Region region = self.CreateRegion(4096).value();
               ipc::Connection server = OpenSoon(self, "/s");
               for (int i = 0; i < 3; ++i) {
                 region.write()[0] = std::byte(i);
                 CHECK(server.Send({}, {}, {.regions = {region.In()}}).ok());
               }
               return 0;
             }}});
}

TEST_CASE("R7 revoking kills the capability and all granted from it at once") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Region region = self.CreateRegion(4096).value();
               const ipc::Token token = region.Grant(self.me(), Access::kReadAndGrant).value();
               ipc::Region held = self.Redeem(token).value();
               const ipc::Token child = held.Grant(self.me(), Access::kRead).value();
               CHECK(self.Revoke(token).ok());
               CHECK(held.read().empty());
               CHECK_FALSE(self.Redeem(token).ok());
               CHECK_FALSE(self.Redeem(child).ok());
               CHECK_FALSE(held.Grant(self.me(), Access::kRead).ok());
               CHECK(region.write().size() == 4096);  // the owner's own goes on
               return 0;
             }}});
}

TEST_CASE("R7 a touch after the revoke is reported, and sees a private copy") {
  if (OnSimulationOnly("Linux does not say who touches mapped memory")) return;
  const parley::RunReport report = RunAny({{.name = "alone", .main = [](ipc::Process& self) {
                                              ipc::Region region = self.CreateRegion(4096).value();
                                              const ipc::Token token =
                                                  region.Grant(self.me(), Access::kRead).value();
                                              ipc::Region held = self.Redeem(token).value();
                                              const ipc::ConstBytes kept = held.read();
                                              CHECK(self.Revoke(token).ok());
                                              region.write()[0] = std::byte{6};
                                              CHECK(kept[0] == std::byte{6});  // no fault (R9)
                                              region.write()[0] = std::byte{7};
                                              CHECK(kept[0] == std::byte{6});
                                              return 0;
                                            }}});
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].find("alone/main: touched region") == 0);
  CHECK(report.problems[0].find("(R7)") != std::string::npos);
}

TEST_CASE("R7 reclaim gives the owner memory that a cheat cannot reach") {
  Shared<bool> leased, reclaimed, cheated;
  RunWorld({ServeOnce([&](ipc::Process& self, ipc::Message& message) {
              ipc::Lease out = message.Region(0).value();
              const ipc::MutableBytes kept = out.write();
              kept[0] = std::byte{1};
              leased = true;
              CHECK(WaitUntil(self, reclaimed));
              kept[0] = std::byte{66};  // never gives up its mapping
              cheated = true;
              return ErrorOf(message.Reply()) == Error::kMessageGone ? 0 : 1;
            }),
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Region region = self.CreateRegion(4096).value();
               SendAndLeave(self, region, leased);
               CHECK(region.Reclaim().ok());
               CHECK(region.Check().ok());
               reclaimed = true;
               CHECK(WaitUntil(self, cheated));
               CHECK(region.read()[0] == std::byte{1});
               return 0;
             }}});
}

TEST_CASE("R8 death of a holder drops its grants, death of the owner ends the region") {
  RunWorld({{.name = "owner",
             .main =
                 [](ipc::Process& self) {
                   ipc::Region region = self.CreateRegion(4096).value();
                   ipc::Connection parent = OpenSoon(self, "/s");
                   const ipc::Token token = region.Grant(parent.server(), Access::kRead).value();
                   CHECK(parent.Send(ipc::BytesOf(token), {}).ok());
                   return 0;
                 },
             .only_program = true},
            {.name = "parent", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.Attach("/s").value();
               ipc::Child owner = self.Start("owner").value();
               ipc::Received received = channel.Receive().value();
               ipc::Token token;
               CHECK(received.message()->Read(0, ipc::MutableBytesOf(token)).ok());
               ipc::Region held = self.Redeem(token).value();
               CHECK(held.Check().ok());
               CHECK(received.message()->Reply().ok());
               CHECK(owner.Wait().ok());
               CHECK(WaitUntil(self, [&] { return held.read().empty(); }));
               CHECK_FALSE(held.Check().ok());
               CHECK_FALSE(self.Redeem(token).ok());
               return 0;
             }}});
}

TEST_CASE("R8 a lease that was never received does not outlive its send") {
  Shared<bool> left;
  RunWorld({{.name = "s",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   CHECK(WaitUntil(self, left));  // does not receive
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection to = OpenSoon(self, "/s");
               std::optional<ipc::Region> region = self.CreateRegion(4096).value();
               const ipc::Token token = region->Grant(self.me(), Access::kRead).value();
               const ipc::CallOptions options{.regions = {region->In()}, .deadline = Margin()};
               CHECK(ErrorOf(to.Send({}, {}, options).status()) == Error::kDeadlineBeforeReceive);
               region.reset();
               CHECK_FALSE(self.Redeem(token).ok());  // the region has ended
               left = true;
               return 0;
             }}});
}

TEST_CASE("R9 a server that touches a lease after its own reply is caught") {
  if (OnSimulationOnly("Linux does not say who touches mapped memory")) return;
  const parley::RunReport report =
      RunAny({ServeOnce([](ipc::Process&, ipc::Message& message) {
                ipc::Lease in = message.Region(0).value();
                const ipc::ConstBytes kept = in.read();
                CHECK(message.Reply().ok());
                return static_cast<int>(kept[0]);
              }),
              {.name = "client", .main = [](ipc::Process& self) {
                 ipc::Region region = self.CreateRegion(4096).value();
                 return OpenSoon(self, "/s").Send({}, {}, {.regions = {region.In()}}).ok() ? 0 : 1;
               }}});
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].find("after the reply that ended its lease (R5)") != std::string::npos);
}

TEST_CASE("R10 several regions are in flight at once through deferred replies") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   std::vector<ipc::Message> kept;
                   for (int i = 0; i < 4; ++i)
                     kept.push_back(std::move(*channel.Receive().value().message()));
                   for (ipc::Message& message : kept) {
                     ipc::Lease lease = message.Region(0).value();
                     lease.write()[1] = lease.read()[0];
                   }
                   for (ipc::Message& message : kept) CHECK(message.Reply().ok());
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               std::vector<ipc::Thread> threads;
               for (int i = 0; i < 4; ++i) {
                 threads.push_back(
                     self.Spawn({},
                                [&, i] {
                                  ipc::Region region = self.CreateRegion(4096).value();
                                  region.write()[0] = std::byte(i + 1);
                                  CHECK(server.Send({}, {}, {.regions = {region.InOut()}}).ok());
                                  CHECK(region.read()[1] == std::byte(i + 1));
                                })
                         .value());
               }
               for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
               return 0;
             }}});
}

}  // namespace
