// Conformance: regions that are frozen, revoked, reclaimed or closed while messages refer to them
// (R4 to R8).
#include <array>
#include <optional>

#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Access;
using ipc::Error;
using ipc::ErrorOf;
using tests::Actor;
using tests::Shared;
using tests::conformance::OnHost;
using tests::conformance::OpenSoon;
using tests::conformance::RunAny;
using tests::conformance::RunWorld;
using tests::conformance::ServeOnce;
using tests::conformance::WaitUntil;

TEST_CASE("R4 a region is frozen while a server may read it") {
  Shared<bool> leased, frozen;
  RunWorld({ServeOnce([&](ipc::Process& self, ipc::Message& message) {
              ipc::Lease in = message.Region(0).value();
              leased = true;
              CHECK(WaitUntil(self, frozen));
              CHECK(in.read()[0] == std::byte{7});
              return message.Reply().ok() ? 0 : 1;
            }),
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               ipc::Region region = self.CreateRegion(4096).value();
               region.write()[0] = std::byte{7};
               ipc::Thread sender =
                   self.Spawn({},
                              [&] { CHECK(server.Send({}, {}, {.regions = {region.In()}}).ok()); })
                       .value();
               CHECK(WaitUntil(self, leased));
               CHECK(region.Freeze().ok());
               frozen = true;
               CHECK(region.read()[0] == std::byte{7});
               CHECK(ErrorOf(server.Send({}, {}, {.regions = {region.Out()}}).status()) ==
                     Error::kNotPermitted);
               CHECK(sender.Join().ok());
               return 0;
             }}});
}

TEST_CASE(
    "R4 a call that copies to where its caller may not write fails, and touches still end it") {
  Shared<int> copies_refused;
  const parley::RunReport report = RunAny(
      {ServeOnce([&](ipc::Process& self, ipc::Message& message) {
         const auto writable = [](ipc::ConstBytes bytes) {
           return ipc::MutableBytes(const_cast<std::byte*>(bytes.data()), 1);
         };
         ipc::Region frozen = self.CreateRegion(4096).value();
         CHECK(frozen.Freeze().ok());
         CHECK(ErrorOf(message.Read(0, writable(frozen.read())).status()) == Error::kBadAddress);
         copies_refused = 1;
         ipc::ConstBytes unmapped;
         {
           ipc::Region closed = self.CreateRegion(4096).value();
           unmapped = closed.read();
         }
         CHECK(ErrorOf(message.Read(0, writable(unmapped)).status()) == Error::kBadAddress);
         copies_refused = 2;
         writable(frozen.read())[0] = std::byte{1};
         return 0;
       }),
       {.name = "client", .main = [](ipc::Process& self) {
          const std::array<std::byte, 1> request = {};
          CHECK(ErrorOf(OpenSoon(self, "/s").Send(request, {}).status()) ==
                Error::kServerDiedAfterReceive);
          return 0;
        }}});
  CHECK(copies_refused == 2);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].find("server: thread main wrote to region") != std::string::npos);
  CHECK(report.problems[0].find("(R4)") != std::string::npos);
}

TEST_CASE("R5 a lease lives on when another region of the same message is revoked") {
  Shared<bool> leased;
  RunWorld({ServeOnce([&](ipc::Process& self, ipc::Message& message) {
              ipc::Lease revoked = message.Region(0).value();
              ipc::Lease kept = message.Region(1).value();
              leased = true;
              CHECK(WaitUntil(self, [&] { return revoked.read().empty(); }));
              CHECK(ErrorOf(message.Region(0).status()) == Error::kLeaseEnded);
              CHECK_FALSE(kept.read().empty());
              CHECK(message.Region(1).ok());
              return message.Reply().ok() ? 0 : 1;
            }),
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               ipc::Region region = self.CreateRegion(4096).value();
               ipc::Region other = self.CreateRegion(4096).value();
               const ipc::Token token = region.Grant(self.me(), Access::kRead).value();
               ipc::Region held = self.Redeem(token).value();
               ipc::Thread sender =
                   self.Spawn(
                           {},
                           [&] {
                             CHECK(server.Send({}, {}, {.regions = {held.In(), other.In()}}).ok());
                           })
                       .value();
               CHECK(WaitUntil(self, leased));
               CHECK(self.Revoke(token).ok());
               CHECK(sender.Join().ok());
               return 0;
             }}});
}

TEST_CASE("R5 a channel that is destroyed under an out lease leaves nothing that is trusted") {
  Shared<bool> checked, done;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   std::optional<ipc::Channel> channel = self.Attach("/s").value();
                   ipc::Received received = channel->Receive().value();
                   ipc::Lease out = received.message()->Region(0).value();
                   channel.reset();
                   CHECK(out.write().empty());
                   CHECK(WaitUntil(self, checked));
                   { ipc::Message dropped = std::move(*received.message()); }
                   CHECK(WaitUntil(self, done));
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               ipc::Region region = self.CreateRegion(4096).value();
               CHECK(ErrorOf(server.Send({}, {}, {.regions = {region.Out()}}).status()) ==
                     Error::kServerDiedAfterReceive);
               // The simulated kernel takes the memory away; Linux leaves it to the server.
               if (OnHost()) CHECK(ErrorOf(region.Check()) == Error::kContested);
               checked = true;
               CHECK(WaitUntil(self, [&] { return region.Check().ok(); }));
               done = true;
               return 0;
             }}});
}

TEST_CASE("R7 what is sent after a reclaim refers to the new memory") {
  constexpr int kTimes = 100;
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   for (int i = 0; i < kTimes; ++i) {
                     ipc::Received received = channel.Receive().value();
                     ipc::Lease lease = received.message()->Region(0).value();
                     CHECK(lease.read()[0] == std::byte(i));
                     lease.write()[1] = std::byte(i);
                     CHECK(received.message()->Reply().ok());
                   }
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               ipc::Region region = self.CreateRegion(4096).value();
               for (int i = 0; i < kTimes; ++i) {
                 region.write()[0] = std::byte(i);
                 CHECK(region.Reclaim().ok());
                 CHECK(server.Send({}, {}, {.regions = {region.InOut()}}).ok());
                 CHECK(region.read()[1] == std::byte(i));
               }
               return 0;
             }}});
}

TEST_CASE("R8 a region that is closed ends with the message that refers to it twice") {
  Shared<bool> received, closed;
  RunWorld({ServeOnce([&](ipc::Process& self, ipc::Message& message) {
              received = true;
              CHECK(WaitUntil(self, closed));
              CHECK(message.Region(0)->read()[0] == std::byte{7});
              CHECK(message.Region(1)->write().size() == 4096);
              return message.Reply().ok() ? 0 : 1;
            }),
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               std::optional<ipc::Region> region = self.CreateRegion(8192).value();
               region->write()[0] = std::byte{7};
               const ipc::Token token = region->Grant(self.me(), Access::kRead).value();
               const ipc::RegionReference in = region->In(0, 4096), out = region->Out(4096);
               ipc::Thread sender =
                   self.Spawn({},
                              [&, in, out] {
                                CHECK(server.Send({}, {}, {.regions = {in, out}}).ok());
                              })
                       .value();
               CHECK(WaitUntil(self, received));
               region.reset();
               CHECK(self.Redeem(token).ok());  // in flight
               closed = true;
               CHECK(sender.Join().ok());
               CHECK_FALSE(self.Redeem(token).ok());
               return 0;
             }}});
}

}  // namespace
