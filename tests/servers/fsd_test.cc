// Tests of servers/fsd/fsd.h: the server with clients, good and bad, on the simulated kernel.
#include "servers/fsd/fsd.h"

#include <stdlib.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "servers/fsd/protocol.h"
#include "tests/support/world.h"

namespace fsd {
namespace {

constexpr uint64_t kFileBytes = 10'000;

char ByteAt(uint64_t offset) { return static_cast<char>('a' + offset % 23); }

// A folder with one file whose every byte tells its offset.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "parley-fsd-XXXXXX").string();
    path_ = mkdtemp(name.data());
    std::ofstream file(path_ + "/film");
    for (uint64_t i = 0; i < kFileBytes; ++i) file.put(ByteAt(i));
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

tests::Actor Server(const Folder& folder, const std::string& device = "--device-mbps=0") {
  return {.name = "fsd", .main = Main, .service = true, .arguments = {folder.path(), device}};
}

ipc::Connection Connect(ipc::Process& self) { return self.Open(kName, absl::Seconds(1)).value(); }

absl::StatusOr<OpenReply> OpenFile(const ipc::Connection& fs, const std::string& path) {
  OpenRequest request;
  std::memcpy(request.path, path.data(), path.size());
  return fs.Call<OpenReply>(request);
}

bool Holds(ipc::ConstBytes bytes, uint64_t offset) {
  for (uint64_t i = 0; i < bytes.size(); ++i) {
    if (static_cast<char>(bytes[i]) != ByteAt(offset + i)) return false;
  }
  return true;
}

TEST_CASE("a read fills the referenced range of the client's region and nothing beside it") {
  const Folder folder;
  tests::RunWorld(
      {Server(folder),
       {.name = "client", .main = [](ipc::Process& self) {
          const ipc::Connection fs = Connect(self);
          const OpenReply file = OpenFile(fs, "film").value();
          CHECK(file.size_bytes == kFileBytes);
          const ipc::Region region = self.CreateRegion(8192).value();
          const ReadRequest request = {.offset = 1234, .file = file.file};
          CHECK(fs.Call<ReadReply>(request, {.regions = {region.Out(100, 5000)}})->bytes == 5000);
          CHECK(Holds(region.read().subspan(100, 5000), 1234));
          CHECK(region.read()[99] == std::byte{0});
          CHECK(region.read()[5100] == std::byte{0});
          return 0;
        }}});
}

TEST_CASE("a read at the file's end is short, beyond it empty") {
  const Folder folder;
  tests::RunWorld({Server(folder),
                   {.name = "client", .main = [](ipc::Process& self) {
                      const ipc::Connection fs = Connect(self);
                      const uint32_t file = OpenFile(fs, "film")->file;
                      const ipc::Region region = self.CreateRegion(4096).value();
                      const auto read = [&](uint64_t offset) {
                        return fs.Call<ReadReply>(ReadRequest{.offset = offset, .file = file},
                                                  {.regions = {region.Out()}});
                      };
                      CHECK(read(kFileBytes - 10)->bytes == 10);
                      CHECK(read(kFileBytes)->bytes == 0);
                      CHECK(read(~uint64_t{0}).status().code() == absl::StatusCode::kOutOfRange);
                      return 0;
                    }}});
}

TEST_CASE("the same bytes come inside the reply when asked for so") {
  const Folder folder;
  tests::RunWorld(
      {Server(folder),
       {.name = "client", .main = [](ipc::Process& self) {
          const ipc::Connection fs = Connect(self);
          const ReadInlineRequest request = {
              .offset = 77, .bytes = 3000, .file = OpenFile(fs, "film")->file};
          const ipc::MessageHeader header = ipc::HeaderOf<ReadInlineRequest>();
          ipc::MessageHeader reply_header;
          ReadReply reply;
          std::vector<std::byte> bytes(3000);
          const std::array<ipc::ConstBytes, 2> out = {ipc::BytesOf(header), ipc::BytesOf(request)};
          const std::array<ipc::MutableBytes, 3> in = {
              ipc::MutableBytesOf(reply_header), ipc::MutableBytesOf(reply), absl::MakeSpan(bytes)};
          CHECK(fs.SendParts(out, in).value() == sizeof reply_header + sizeof reply + 3000);
          CHECK(reply.bytes == 3000);
          CHECK(Holds(bytes, 77));
          return 0;
        }}});
}

TEST_CASE("what cannot be served is refused with its cause, and the server goes on") {
  const Folder folder;
  tests::RunWorld(
      {Server(folder),
       {.name = "client", .main = [](ipc::Process& self) {
          const ipc::Connection fs = Connect(self);
          CHECK(OpenFile(fs, "none").status().code() == absl::StatusCode::kNotFound);
          CHECK(OpenFile(fs, "../film").status().code() == absl::StatusCode::kPermissionDenied);
          CHECK(OpenFile(fs, std::string(kMaxPathBytes + 1, 'x')).status().code() !=
                absl::StatusCode::kOk);
          const uint32_t file = OpenFile(fs, "film")->file;
          const ipc::Region region = self.CreateRegion(4096).value();
          const ReadRequest read = {.file = file};
          CHECK_FALSE(fs.Call<ReadReply>(read).ok());
          CHECK(fs.Call<ReadReply>(read, {.regions = {region.In()}}).status().code() ==
                absl::StatusCode::kInvalidArgument);
          CHECK(fs.Call<ReadReply>(ReadRequest{.file = file + 1}, {.regions = {region.Out()}})
                    .status()
                    .code() == absl::StatusCode::kNotFound);
          CHECK_FALSE(
              fs.Call<ReadReply>(ReadInlineRequest{.bytes = ~uint64_t{0}, .file = file}).ok());
          CHECK_FALSE(fs.Call<ReadReply>(ReadReply{}).ok());
          CHECK(fs.Call<CloseReply>(CloseRequest{file}).ok());
          CHECK(fs.Call<ReadReply>(read, {.regions = {region.Out()}}).status().code() ==
                absl::StatusCode::kNotFound);
          CHECK(OpenFile(fs, "film").ok());
          return 0;
        }}});
}

TEST_CASE("a client can use its own open files only, and holds a bounded number of them") {
  const Folder folder;
  uint32_t file = 0;
  tests::RunWorld({Server(folder),
                   {.name = "owner",
                    .main =
                        [&](ipc::Process& self) {
                          const ipc::Connection fs = Connect(self);
                          file = OpenFile(fs, "film")->file;
                          for (size_t i = 1; i < kMaxOpenFiles; ++i)
                            CHECK(OpenFile(fs, "film").ok());
                          CHECK(OpenFile(fs, "film").status().code() ==
                                absl::StatusCode::kResourceExhausted);
                          return self.Sleep(absl::Seconds(2)).ok() ? 0 : 1;
                        }},
                   {.name = "stranger", .main = [&](ipc::Process& self) {
                      const ipc::Connection fs = Connect(self);
                      if (!self.Sleep(absl::Seconds(1)).ok()) return 1;
                      CHECK(fs.Call<CloseReply>(CloseRequest{file}).status().code() ==
                            absl::StatusCode::kNotFound);
                      CHECK(OpenFile(fs, "film").ok());
                      return 0;
                    }}});
}

TEST_CASE("several reads are in flight at once, and the device serves them one after the other") {
  const Folder folder;
  tests::RunWorld(
      {Server(folder, "--device-mbps=1"),
       {.name = "client", .main = [](ipc::Process& self) {
          const ipc::Connection fs = Connect(self);
          const uint32_t file = OpenFile(fs, "film")->file;
          const ipc::Region region = self.CreateRegion(8192).value();
          const absl::Time start = self.Now();
          std::vector<ipc::Thread> threads;
          for (uint64_t i = 0; i < 4; ++i) {
            threads.push_back(
                self.Spawn({},
                           [&, i] {
                             const ReadRequest request = {.offset = 1000 * i, .file = file};
                             CHECK(fs.Call<ReadReply>(request,
                                                      {.regions = {region.Out(1000 * i, 1000)}})
                                       ->bytes == 1000);
                           })
                    .value());
          }
          for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
          CHECK(Holds(region.read().first(4000), 0));
          const absl::Duration took =
              self.Now() - start;  // of virtual time: a byte takes a microsecond
          CHECK(took >= absl::Milliseconds(4));
          CHECK(took < absl::Microseconds(4200));
          return 0;
        }}});
}

TEST_CASE("a client that leaves during its read harms nobody") {
  const Folder folder;
  tests::RunWorld({Server(folder, "--device-mbps=1"),
                   {.name = "client", .main = [](ipc::Process& self) {
                      const ipc::Connection fs = Connect(self);
                      const uint32_t file = OpenFile(fs, "film")->file;
                      ipc::Region region = self.CreateRegion(4096).value();
                      const auto left = fs.Call<ReadReply>(
                          ReadRequest{.file = file},
                          {.regions = {region.Out()}, .deadline = absl::Milliseconds(1)});
                      CHECK(ipc::ErrorOf(left.status()) == ipc::Error::kDeadlineAfterReceive);
                      const ipc::Region other = self.CreateRegion(4096).value();
                      CHECK(fs.Call<ReadReply>(ReadRequest{.offset = 5, .file = file},
                                               {.regions = {other.Out(0, 100)}})
                                ->bytes == 100);
                      CHECK(Holds(other.read().first(100), 5));
                      return 0;
                    }}});
}

TEST_CASE("a server without a folder to export ends with an error") {
  const auto report = tests::RunAny({{.name = "fsd", .main = Main, .arguments = {"/none/such"}}});
  REQUIRE(report.processes.size() == 2);
  CHECK(report.processes[1].exit.code == 1);
}

}  // namespace
}  // namespace fsd
