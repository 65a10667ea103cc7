// Regions and leases as libipc hands them out: addresses only while they may be touched.
#include "ipc/region.h"

#include "tests/support/world.h"

namespace {

using ipc::Access;
using ipc::Error;
using ipc::ErrorOf;
using tests::RunWorld;

constexpr uint64_t kPage = 4096;

void RunAlone(const std::function<void(ipc::Process&)>& body) {
  RunWorld({{.name = "alone", .main = [&](ipc::Process& self) {
               body(self);
               return 0;
             }}});
}

TEST_CASE("a region that was moved away gives out nothing, and what it was moved to all") {
  RunAlone([](ipc::Process& self) {
    ipc::Region first = self.CreateRegion(1).value();
    CHECK(first.size() == kPage);
    first.write()[kPage - 1] = std::byte{7};
    ipc::Region second = std::move(first);
    CHECK(first.read().empty());
    CHECK(first.write().empty());
    CHECK_FALSE(first.live());
    CHECK(ErrorOf(first.Check()) == Error::kBadHandle);
    CHECK(second.read()[kPage - 1] == std::byte{7});
  });
}

TEST_CASE("assigning over a region closes it and gives its quota back") {
  RunWorld({{.name = "small",
             .main =
                 [](ipc::Process& self) {
                   ipc::Region region = self.CreateRegion(3 * kPage).value();
                   CHECK(ErrorOf(self.CreateRegion(kPage).status()) == Error::kQuotaExhausted);
                   ipc::Region& same = region;
                   region = std::move(same);
                   CHECK(region.live());
                   return 0;
                 },
             .only_program = true},
            {.name = "parent", .main = [](ipc::Process& self) {
               ipc::Child child = self.Start("small", {.region_quota_bytes = 3 * kPage}).value();
               CHECK(child.Wait()->code == 0);
               ipc::Region region = self.CreateRegion(kPage).value();
               const ipc::Token old = region.Grant(self.me(), Access::kRead).value();
               region = self.CreateRegion(2 * kPage).value();
               CHECK(region.size() == 2 * kPage);
               CHECK_FALSE(self.Redeem(old).ok());  // its region has ended
               return 0;
             }}});
}

TEST_CASE("a grant to read gives out no bytes to write") {
  RunAlone([](ipc::Process& self) {
    ipc::Region region = self.CreateRegion(2 * kPage).value();
    region.write()[kPage] = std::byte{9};
    ipc::Region page = self.Redeem(region.Grant(self.me(), Access::kRead, kPage).value()).value();
    CHECK(page.size() == kPage);  // from there to the end
    CHECK_FALSE(page.writable());
    CHECK(page.write().empty());
    CHECK(page.read()[0] == std::byte{9});
    CHECK(ErrorOf(page.Freeze()) == Error::kNotPermitted);
    CHECK(ErrorOf(page.Reclaim()) == Error::kNotPermitted);
    CHECK(ErrorOf(region.Grant(self.me(), Access::kRead, 2 * kPage).status()) ==
          Error::kInvalidArgument);
    CHECK(ErrorOf(region.Grant(self.me(), Access::kRead, ~uint64_t{0}).status()) ==
          Error::kInvalidArgument);
  });
}

TEST_CASE("a revoked or reclaimed region gives out nothing to its holders, all to its owner") {
  RunAlone([](ipc::Process& self) {
    ipc::Region region = self.CreateRegion(kPage).value();
    region.write()[0] = std::byte{5};
    const ipc::Token token = region.Grant(self.me(), Access::kReadWrite).value();
    ipc::Region revoked = self.Redeem(token).value();
    CHECK(revoked.live());
    CHECK(self.Revoke(token).ok());
    CHECK(revoked.read().empty());
    CHECK(ErrorOf(revoked.Check()) == Error::kLeaseEnded);

    ipc::Region reclaimed =
        self.Redeem(region.Grant(self.me(), Access::kReadWrite).value()).value();
    const std::byte* address = region.read().data();
    CHECK(region.Reclaim().ok());
    CHECK(reclaimed.read().empty());
    CHECK(region.read().data() == address);
    CHECK(region.read()[0] == std::byte{5});
    region.write()[0] = std::byte{6};
    CHECK(region.Freeze().ok());
    CHECK(region.write().empty());
    CHECK(region.read()[0] == std::byte{6});
  });
}

TEST_CASE("a lease gives out its range until the reply, and nothing after") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   ipc::Message& message = *received.message();
                   CHECK(message.info().region_count == 2);
                   ipc::Lease in = message.Region(0).value();
                   ipc::Lease out = message.Region(1).value();
                   CHECK(ErrorOf(message.Region(2).status()) == Error::kInvalidArgument);
                   CHECK(in.size() == 3);
                   CHECK(in.write().empty());
                   CHECK(in.read()[0] == std::byte{1});
                   out.write()[0] = std::byte{2};
                   ipc::Lease moved = std::move(out);
                   CHECK(out.write().empty());
                   CHECK(moved.size() == kPage - 5);
                   CHECK(message.Reply().ok());
                   CHECK(in.read().empty());
                   CHECK(moved.write().empty());
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection to = self.Open("/s", absl::Seconds(1)).value();
               ipc::Region region = self.CreateRegion(kPage).value();
               ipc::Region other = self.CreateRegion(kPage).value();
               region.write()[10] = std::byte{1};
               CHECK(to.Send({}, {}, {.regions = {region.In(10, 3), other.Out(5)}}).ok());
               CHECK(other.read()[5] == std::byte{2});
               return 0;
             }}});
}

}  // namespace
