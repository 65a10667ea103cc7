// Conformance: /dev/null, /dev/zero, /dev/random and named pipes, on every kernel.
#include "servers/devices/devices.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ipc/file_server.h"
#include "servers/devices/nodes.h"
#include "tests/conformance/files.h"

namespace {

using ipc::BytesOfText;
using ipc::File;
using ipc::files::kReadable;
using ipc::files::kWritable;
using tests::conformance::Client;
using tests::conformance::Ending;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::LetBlock;
using tests::conformance::ReadText;
using tests::conformance::RunWorld;

tests::Actor Devices(std::vector<std::string> arguments = {"--seed=1"}) {
  return {
      .name = "devices", .main = devices::Main, .service = true, .arguments = std::move(arguments)};
}

File Open(ipc::Process& self, const char* path, uint32_t flags) {
  return File::Open(self, path, flags, 0666, kSoon).value();
}

TEST_CASE("null is empty and takes all, zero never ends") {
  RunWorld({Devices(), Client([](ipc::Process& self) {
              const File null = Open(self, "/dev/null", O_RDWR);
              CHECK(ReadText(null).empty());
              CHECK(null.Write(BytesOfText("gone")).value() == 4);
              CHECK(null.Poll(kReadable | kWritable).value() == (kReadable | kWritable));
              const File zero = Open(self, "/dev/zero", O_RDWR);
              CHECK(ReadText(zero, 5) == std::string(5, '\0'));
              CHECK(zero.Write(BytesOfText("gone")).value() == 4);
              CHECK((zero.Stat().value().mode & S_IFMT) == S_IFCHR);
              // By region, past what one read moves.
              const ipc::Region region = self.CreateRegion(devices::kMaxTransferBytes * 2).value();
              CHECK(zero.ReadAt(0, region.Out()).value() == devices::kMaxTransferBytes);
            })});
}

TEST_CASE("random bytes with a seed are the same in each run") {
  std::array<tests::Shared<uint64_t>, 3> got;
  const std::array<const char*, 3> seeds = {"--seed=5", "--seed=5", "--seed=6"};
  for (size_t run = 0; run < got.size(); ++run) {
    RunWorld({Devices({seeds[run]}), Client([&](ipc::Process& self) {
                uint64_t random = 0;
                const File file = Open(self, "/dev/random", O_RDONLY);
                CHECK(file.Read(ipc::MutableBytesOf(random)).value() == sizeof(random));
                got[run] = random;
              })});
  }
  CHECK(got[0] == got[1]);
  CHECK(got[0] != got[2]);
}

TEST_CASE("devices ends with its usage when it does not understand its arguments") {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--seed=x"}, {"seed"}, {"--seed=1", "--seed=2"}}) {
    RunWorld({Ending(devices::Main, 2, arguments)});
  }
}

TEST_CASE("a named pipe is made, listed and removed, and who has it open goes on") {
  RunWorld({Devices(), Client([](ipc::Process& self) {
              const File both = Open(self, "/dev/pipe/a", O_RDWR | O_CREAT);
              CHECK((both.Stat().value().mode & S_IFMT) == S_IFIFO);
              const File folder = Open(self, "/dev/pipe", O_RDONLY | O_DIRECTORY);
              CHECK(folder.List().value().at(0).name == "a");
              CHECK(ErrnoOf(File::Open(self, "/dev/pipe/none", O_RDONLY)) == ENOENT);
              CHECK(ErrnoOf(ipc::MakeDirectory(self, "/dev/pipe/folder")) == EPERM);
              CHECK(ipc::Unlink(self, "/dev/pipe/a").ok());
              CHECK(folder.Seek(0, SEEK_SET).ok());
              CHECK(folder.List().value().empty());
              CHECK(both.Write(BytesOfText("x")).value() == 1);
              CHECK(ReadText(both) == "x");
              CHECK(ErrnoOf(both.Seek(0, SEEK_SET)) == ESPIPE);
            })});
}

TEST_CASE("the folder of pipes has room for so many") {
  RunWorld({Devices(), Client([](ipc::Process& self) {
              const auto server = ipc::FileServer::Connect(self, "/dev/pipe", {.deadline = kSoon});
              const auto make = [&](size_t i) {
                return server->MakeNode(absl::StrCat("/dev/pipe/", i), S_IFIFO | 0666);
              };
              for (size_t i = 0; i < devices::PipeFolder::kMaxPipes; ++i) CHECK(make(i).ok());
              CHECK(ErrnoOf(make(devices::PipeFolder::kMaxPipes)) == ENOSPC);
              CHECK(server->Unlink("/dev/pipe/3").ok());
              CHECK(make(devices::PipeFolder::kMaxPipes).ok());
            })});
}

TEST_CASE("a pipe's reader waits for its writer, takes all, and is told of the end") {
  RunWorld({Devices(), Client([](ipc::Process& self) {
              const File reader = Open(self, "/dev/pipe/a", O_RDONLY | O_CREAT);
              std::string got;
              for (std::string more = "?"; !more.empty();) got += more = ReadText(reader, 5000);
              CHECK(got == std::string(200'000, 'w'));
            }),
            Client(
                [](ipc::Process& self) {
                  const File writer = Open(self, "/dev/pipe/a", O_WRONLY | O_CREAT);
                  LetBlock(self);
                  for (std::string text(200'000, 'w'); !text.empty();) {
                    text.erase(0, writer.Write(BytesOfText(text)).value());
                  }
                },
                "writer")});
}

TEST_CASE("small writes to a pipe that several fill are never mixed") {
  const auto writer = [](char letter) {
    return Client(
        [letter](ipc::Process& self) {
          const File file = Open(self, "/dev/pipe/a", O_WRONLY | O_CREAT);
          const std::string text(devices::Pipe::kAtomicBytes - 96, letter);
          for (int i = 0; i < 20; ++i) CHECK(file.Write(BytesOfText(text)).value() == text.size());
        },
        letter == 'a' ? "a" : "b");
  };
  RunWorld({Devices(), writer('a'), writer('b'), Client([](ipc::Process& self) {
              const File reader = Open(self, "/dev/pipe/a", O_RDONLY | O_CREAT);
              std::string got;
              while (got.size() < 160'000) got += ReadText(reader, 8192);
              for (size_t at = 0; at < got.size(); at += 4000) {
                CHECK(got.substr(at, 4000) == std::string(4000, got[at]));
              }
              CHECK(std::count(got.begin(), got.end(), 'a') == 80'000);
            })});
}

TEST_CASE("a pipe tells who may read or write, and a writer that its readers have gone") {
  RunWorld({Devices(), Client([](ipc::Process& self) {
              const File writer = Open(self, "/dev/pipe/a", O_WRONLY | O_CREAT | O_NONBLOCK);
              CHECK(writer.Poll(kReadable | kWritable).value() == kWritable);
              {
                const File reader = Open(self, "/dev/pipe/a", O_RDONLY | O_NONBLOCK);
                char byte = 0;
                CHECK(ErrnoOf(reader.Read(ipc::MutableBytesOf(byte))) == EAGAIN);
                CHECK(reader.Poll(kReadable).value() == 0);
                while (writer.Write(BytesOfText(std::string(4096, 'x'))).ok()) {
                }
                CHECK(reader.Poll(kReadable).value() == kReadable);
                CHECK(writer.Poll(kWritable).value() == 0);
                CHECK(ErrnoOf(writer.Write(BytesOfText("x"))) == EAGAIN);
              }
              CHECK(writer.Poll(kWritable).value() == kWritable);
              CHECK(ErrnoOf(writer.Write(BytesOfText("x"))) == EPIPE);
            })});
}

}  // namespace
