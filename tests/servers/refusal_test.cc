// Tests of what servers refuse where time is virtual, and of the disk that takes none.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "servers/fsd/fsd.h"
#include "servers/fused/fused.h"
#include "tests/conformance/files.h"

namespace {

using tests::conformance::Client;
using tests::conformance::Ending;
using tests::conformance::kSoon;

TEST_CASE("no name space is mounted from a simulated kernel, and a misuse is told of first") {
  tests::RunWorld({Ending(fused::Main, 1, {"/mnt"})});
  tests::RunWorld({Ending(fused::Main, 2, {})});
  tests::RunWorld({Ending(fused::Main, 2, {"/mnt", "--what"})});
}

TEST_CASE("simulated, a disk whose speed is not given takes no time, and the same in each run") {
  std::string folder = std::filesystem::temp_directory_path() / "parley-disk-XXXXXX";
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  std::ofstream(folder + "/a") << std::string(1 << 20, 'x');
  const auto run = [&](std::vector<std::string> arguments) {
    absl::Duration took;
    const tests::Actor server = {
        .name = "fsd", .main = fsd::Main, .service = true, .arguments = std::move(arguments)};
    tests::RunWorld({server, Client([&](ipc::Process& self) {
                       const auto file = ipc::File::Open(self, "/fs/a", O_RDONLY, 0, kSoon).value();
                       const ipc::Region region = self.CreateRegion(1 << 20).value();
                       const absl::Time begin = self.Now();
                       CHECK(file.ReadAt(0, region.Out()).value() == 1 << 20);
                       took = self.Now() - begin;
                       CHECK(region.read()[(1 << 20) - 1] == std::byte{'x'});
                     })});
    return took;
  };
  const absl::Duration took = run({folder});
  CHECK(took < absl::Milliseconds(1));
  CHECK(run({folder}) == took);
  CHECK(run({folder, "--device-mbps=10"}) >= absl::Milliseconds(100));
  std::filesystem::remove_all(folder);
}

}  // namespace
