// Conformance: resource managers and their files, on every kernel (M1, M4).
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/conformance/files.h"

namespace {

using ipc::BytesOfText;
using ipc::File;
using tests::conformance::Client;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::LetBlock;
using tests::conformance::ReadText;
using tests::conformance::RunWorld;
using tests::conformance::Serving;
using tests::conformance::WaitUntil;

struct Add {
  static constexpr ipc::MessageType kType{.code = 1, .version = 2};
  int number = 0;
};
struct Sum {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
  int sum = 0;
};

// A number that is read and set as text.
class Counter : public ipc::ResourceManager {
  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile&, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    return ipc::CopyText(absl::StrCat(count_, "\n"), offset, bytes);
  }
  absl::StatusOr<uint64_t> Write(ipc::FileCall&, ipc::OpenFile&, uint64_t,
                                 ipc::ConstBytes bytes) override {
    int count = 0;
    if (!absl::SimpleAtoi(ipc::TextOf(bytes), &count)) return ipc::PosixError(EINVAL);
    count_ = count;
    return bytes.size();
  }
  absl::Status Control(ipc::FileCall& call, ipc::OpenFile& file,
                       ipc::ControlRequest& request) override {
    if (request.Is<Add>()) return request.Reply(Sum{count_ += request.As<Add>().number});
    if (request.code() != 7) return ResourceManager::Control(call, file, request);
    std::vector<std::byte> reversed(request.bytes().rbegin(), request.bytes().rend());
    return request.ReplyBytes(reversed, reversed.size());
  }
  int count_ = 0;
};

TEST_CASE("a device is read, written, sought and asked for its state") {
  RunWorld({Serving([] { return Counter(); }, "/dev/counter", S_IFCHR | 0666),
            Client([](ipc::Process& self) {
              const File file = File::Open(self, "/dev/counter", O_RDWR, 0, kSoon).value();
              CHECK(ReadText(file) == "0\n");
              CHECK(ReadText(file).empty());  // the end
              CHECK(file.Write(BytesOfText("41\n")).value() == 3);
              CHECK(file.Seek(0, SEEK_SET).value() == 0);
              CHECK(ReadText(file) == "41\n");
              CHECK(file.Seek(-1, SEEK_CUR).value() == 2);
              CHECK(ReadText(file) == "\n");
              CHECK(ErrnoOf(file.Seek(-1, SEEK_SET)) == EINVAL);
              CHECK(ErrnoOf(file.Seek(0, 9)) == EINVAL);
              CHECK(ErrnoOf(file.Write(BytesOfText("no"))) == EINVAL);
              CHECK((file.Stat().value().mode & S_IFMT) == S_IFCHR);
              CHECK(ipc::StatOf(self, "/dev/counter").value().mode == (S_IFCHR | 0666));
              CHECK(file.Poll(3).value() == 3);
              char reversed[3] = {};
              CHECK(file.Control(7, BytesOfText("abc"), ipc::MutableBytesOf(reversed)).value() ==
                    3);
              CHECK(std::string(reversed, 3) == "cba");
              CHECK(ErrnoOf(file.Control(7, BytesOfText("abc"), {})) == EMSGSIZE);
              CHECK(ErrnoOf(file.Control(8, {}, {})) == ENOTTY);
              CHECK(file.Control<Sum>(Add{1}).value().sum == 42);
              CHECK(ErrnoOf(file.Control<Add>(Add{1})) == EPROTO);
              CHECK(ErrnoOf(file.Control<Sum>(Sum{1})) == ENOTTY);
              CHECK(ErrnoOf(file.Truncate(0)) == EINVAL);
              char byte = 0;
              CHECK(ErrnoOf(file.ReadAt(~uint64_t{0}, ipc::MutableBytesOf(byte))) == EINVAL);
              CHECK(ErrnoOf(file.WriteAt(uint64_t{1} << 63, BytesOfText("1"))) == EINVAL);
              CHECK(file.Sync().ok());
            })});
}

TEST_CASE("a region is read into and written from") {
  RunWorld({Serving([] { return Counter(); }, "/dev/counter", S_IFCHR | 0666),
            Client([](ipc::Process& self) {
              const File file = File::Open(self, "/dev/counter", O_RDWR, 0, kSoon).value();
              const ipc::Region region = self.CreateRegion(4096).value();
              std::memcpy(region.write().data(), "77", 2);
              CHECK(file.WriteAt(0, region.In(0, 2)).value() == 2);
              CHECK(file.ReadAt(1, region.Out(100)).value() == 2);
              CHECK(ipc::TextOf(region.read().subspan(100, 2)) == "7\n");
              CHECK(ErrnoOf(file.ReadAt(0, region.In())) == EACCES);
            })});
}

TEST_CASE("what an open refuses, and what an open file does") {
  RunWorld({Serving([] { return Counter(); }, "/dev/counter", S_IFCHR | 0666),
            Client([](ipc::Process& self) {
              const auto open = [&](const char* path, uint32_t flags) {
                return File::Open(self, path, flags, 0666, kSoon);
              };
              const File reader = open("/dev/counter", O_RDONLY).value();
              CHECK(ErrnoOf(reader.Write(BytesOfText("1"))) == EBADF);
              const File writer = open("/dev/counter", O_WRONLY).value();
              char byte = 0;
              CHECK(ErrnoOf(writer.Read(ipc::MutableBytesOf(byte))) == EBADF);
              CHECK(ErrnoOf(open("/dev/counter/x", O_RDONLY)) == ENOTDIR);
              CHECK(ErrnoOf(open("/dev/counter", O_RDONLY | O_DIRECTORY)) == ENOTDIR);
              CHECK(ErrnoOf(open("/dev/counter", O_CREAT | O_EXCL)) == EEXIST);
              CHECK(ErrnoOf(File::Open(self, "/none", O_RDONLY)) == ENOENT);
            })});
}

TEST_CASE("a manager whose name is taken says so, and ends with status 1") {
  RunWorld({Serving([] { return Counter(); }, "/dev/counter", S_IFCHR | 0666),
            Client([](ipc::Process& self) {
              CHECK(File::Open(self, "/dev/counter", O_RDONLY, 0, kSoon).ok());
              Counter second;
              CHECK(second.Run(self, "/dev/counter", std::make_shared<ipc::Node>(S_IFCHR)) == 1);
            })});
}

// Bytes that one writes and another reads: empty, a reader waits; full, a writer does.
class Pipe : public ipc::ResourceManager {
  static constexpr size_t kRoom = 4;
  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile& file, uint64_t,
                                ipc::MutableBytes bytes) override {
    if (held_.empty()) return ipc::PosixError(EAGAIN);
    const uint64_t count = ipc::CopyText(held_, 0, bytes);
    held_.erase(0, count);
    Wake(file.node());
    return count;
  }
  absl::StatusOr<uint64_t> Write(ipc::FileCall&, ipc::OpenFile& file, uint64_t,
                                 ipc::ConstBytes bytes) override {
    const uint64_t count = std::min(bytes.size(), kRoom - held_.size());
    if (count == 0) return ipc::PosixError(EAGAIN);
    absl::StrAppend(&held_, ipc::TextOf(bytes).substr(0, count));
    Wake(file.node());
    return count;
  }
  uint32_t Poll(ipc::OpenFile&) override {
    return (held_.empty() ? 0 : ipc::files::kReadable) |
           (held_.size() == kRoom ? 0 : ipc::files::kWritable);
  }
  // How many have it open.
  absl::Status Control(ipc::FileCall&, ipc::OpenFile&, ipc::ControlRequest& request) override {
    return request.Reply(open_);
  }
  absl::StatusOr<std::shared_ptr<ipc::OpenFile>> Open(ipc::FileCall& call,
                                                      std::shared_ptr<ipc::Node> node,
                                                      uint32_t flags) override {
    ++open_;
    return ResourceManager::Open(call, std::move(node), flags);
  }
  void Close(ipc::OpenFile&) override { --open_; }
  std::string held_;
  uint64_t open_ = 0;
};

tests::Actor Piping() {
  return Serving([] { return Pipe(); }, "/pipe", S_IFIFO | 0666);
}

TEST_CASE("a reader waits for a writer, and a writer for a reader") {
  RunWorld({Piping(), Client([](ipc::Process& self) {
              const File reader = File::Open(self, "/pipe", O_RDONLY, 0, kSoon).value();
              std::string got;
              while (got.size() < 8) got += ReadText(reader, 3);
              CHECK(got == "abcdefgh");
              CHECK(ErrnoOf(reader.Seek(0, SEEK_SET)) == ESPIPE);
              CHECK(ErrnoOf(reader.ReadAt(0, ipc::MutableBytes())) == ESPIPE);
            }),
            Client(
                [](ipc::Process& self) {
                  const File writer = File::Open(self, "/pipe", O_WRONLY, 0, kSoon).value();
                  LetBlock(self);
                  for (std::string text = "abcdefgh"; !text.empty();) {
                    text.erase(0, writer.Write(BytesOfText(text)).value());
                  }
                },
                "writer")});
}

TEST_CASE("who does not want to wait is told so, and a deadline ends a wait") {
  RunWorld({Piping(), Client([](ipc::Process& self) {
              const File now = File::Open(self, "/pipe", O_RDWR | O_NONBLOCK, 0, kSoon).value();
              char byte = 0;
              CHECK(ErrnoOf(now.Read(ipc::MutableBytesOf(byte))) == EAGAIN);
              CHECK(now.Poll(ipc::files::kReadable).value() == 0);
              const File later = File::Open(self, "/pipe", O_RDWR, 0, kSoon).value();
              const absl::Duration short_time = tests::conformance::Margin();
              CHECK(ErrnoOf(later.Read(ipc::MutableBytesOf(byte), short_time)) == ETIMEDOUT);
              CHECK(ErrnoOf(later.Wait(ipc::files::kReadable, short_time)) == ETIMEDOUT);
              // Nothing of those waits is left to swallow this.
              CHECK(later.Write(BytesOfText("x")).value() == 1);
              CHECK(later.Wait(ipc::files::kReadable).value() == ipc::files::kReadable);
              CHECK(ReadText(now) == "x");
            })});
}

// Opens the pipe and waits to read.
tests::Actor Victim(tests::Shared<bool>& opened) {
  return {.name = "victim",
          .main =
              [&](ipc::Process& self) {
                const File file = File::Open(self, "/pipe", O_RDWR, 0, kSoon).value();
                opened = true;
                char byte = 0;
                file.Read(ipc::MutableBytesOf(byte)).IgnoreError();
                return 1;
              },
          .only_program = true};
}

TEST_CASE("a client that dies takes its waits and its open files along") {
  tests::Shared<bool> opened;
  RunWorld({Piping(), Victim(opened), Client([&](ipc::Process& self) {
              const File file = File::Open(self, "/pipe", O_RDWR, 0, kSoon).value();
              for (int i = 0; i < 3; ++i) {
                opened = false;
                const ipc::Child victim = self.Start("victim").value();
                CHECK(WaitUntil(self, opened));
                LetBlock(self);
                CHECK(victim.Kill().ok());
                CHECK(victim.Wait(kSoon).ok());
              }
              // A server learns of a death by itself, perhaps later than the parent.
              CHECK(tests::conformance::WaitUntil(
                  self, [&] { return file.Control(1, {}, {}).value() == 1; }));
              CHECK(file.Write(BytesOfText("x")).value() == 1);
              CHECK(ReadText(file) == "x");
            })});
}

TEST_CASE("a server that dies fails every call with EIO") {
  tests::Actor manager = Piping();
  manager.service = false;
  manager.only_program = true;
  RunWorld({manager, Client([](ipc::Process& self) {
              const ipc::Child server = self.Start("manager").value();
              const File file = File::Open(self, "/pipe", O_RDWR, 0, kSoon).value();
              ipc::Thread reader =
                  self.Spawn({},
                             [&] {
                               char byte = 0;
                               CHECK(ErrnoOf(file.Read(ipc::MutableBytesOf(byte))) == EIO);
                             })
                      .value();
              LetBlock(self);
              CHECK(server.Kill().ok());
              CHECK(reader.Join().ok());
              CHECK(ErrnoOf(file.Stat()) == EIO);
            })});
}

struct OpenStatClose {
  ipc::MessageHeader header = ipc::HeaderOf<ipc::files::Operations>();
  ipc::files::Operations operations = {.count = 3};
  ipc::files::Operation list[3] = {
      {.verb = ipc::files::Verb::kOpen, .flags = O_RDONLY, .payload_bytes = 5},
      {.verb = ipc::files::Verb::kStat},
      {.verb = ipc::files::Verb::kClose}};
  char path[8] = "/pipe";
};
constexpr size_t kOpenStatCloseBytes = offsetof(OpenStatClose, path) + 5;
struct ThreeResults {
  ipc::MessageHeader header;
  ipc::files::Results results;
  ipc::files::Result list[3] = {};
  ipc::files::Stat stat = {};
};

TEST_CASE("operations of one message are done in order until one fails") {
  RunWorld({Piping(), Client([](ipc::Process& self) {
              const ipc::Connection to = self.Open("/pipe", kSoon).value();
              OpenStatClose request;
              ThreeResults got;
              const auto send = [&] {
                got = {};
                return to.Send(ipc::BytesOf(request).first(kOpenStatCloseBytes),
                               ipc::MutableBytesOf(got));
              };
              CHECK(send().value() == sizeof(got));
              CHECK(got.results.count == 3);
              CHECK(got.stat.mode == (S_IFIFO | 0666));
              request.list[1] = {.verb = ipc::files::Verb::kRead, .file = 1'000'000};
              CHECK(send().ok());
              CHECK(got.results.count == 2);
              CHECK(got.list[0].error == 0);
              CHECK(got.list[1].error == EBADF);
              request.list[1] = {.verb = static_cast<ipc::files::Verb>(999)};
              CHECK(send().ok());
              CHECK(got.list[1].error == ENOSYS);
            })});
}

TEST_CASE("a malformed message has no results, and does no harm") {
  RunWorld({Piping(), Client([](ipc::Process& self) {
              const ipc::Connection to = self.Open("/pipe", kSoon).value();
              const auto refuses = [&](const OpenStatClose& request, size_t bytes) {
                const auto sent = to.Send(ipc::BytesOf(request).first(bytes), {});
                return ipc::ErrorOf(sent.status()) == ipc::Error::kNotReplied;
              };
              OpenStatClose request;
              for (size_t bytes = 0; bytes < kOpenStatCloseBytes; ++bytes) {
                CHECK(refuses(request, bytes));
              }
              CHECK(refuses(request, kOpenStatCloseBytes + 1));
              for (const uint32_t count : {0u, 2u, 4u, 9u, ~0u}) {
                request.operations.count = count;
                CHECK(refuses(request, kOpenStatCloseBytes));
              }
              request.operations.count = 3;
              for (const uint32_t payload : {0u, 4u, 6u, ~0u}) {
                request.list[0].payload_bytes = payload;
                CHECK(refuses(request, kOpenStatCloseBytes));
              }
              request = {};
              request.header.code = 1;
              CHECK(refuses(request, kOpenStatCloseBytes));
              request.header = ipc::HeaderOf<ipc::files::Operations>();
              ++request.header.version;
              CHECK(refuses(request, kOpenStatCloseBytes));
              CHECK(ipc::StatOf(self, "/pipe").ok());
            })});
}

}  // namespace
