// Conformance: fsd, a host's folder as files, with its clients, good and bad, on every kernel (M1,
// M2).
#include "servers/fsd/fsd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/conformance/files.h"

namespace {

using ipc::BytesOfText;
using ipc::File;
using ipc::FileServer;
using ipc::files::Change;
using tests::conformance::Client;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::ReadText;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

constexpr uint64_t kFileBytes = 10'000;

char ByteAt(uint64_t offset) { return static_cast<char>('a' + offset % 23); }

bool Holds(ipc::ConstBytes bytes, uint64_t offset) {
  for (uint64_t i = 0; i < bytes.size(); ++i) {
    if (static_cast<char>(bytes[i]) != ByteAt(offset + i)) return false;
  }
  return true;
}

// A folder with one file whose every byte tells its offset, in another one.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "parley-fsd-XXXXXX").string();
    outer_ = mkdtemp(name.data());
    chmod(outer_.c_str(), 0755);
    std::filesystem::create_directory(path());
    chmod(path().c_str(), 0777);
    std::ofstream(outer_ + "/secret") << "secret";
    std::ofstream file(path() + "/film");
    for (uint64_t i = 0; i < kFileBytes; ++i) file.put(ByteAt(i));
  }
  ~Folder() { std::filesystem::remove_all(outer_); }
  std::string path() const { return outer_ + "/export"; }
  std::string Contents(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path() + "/" + name).rdbuf();
    return text.str();
  }

 private:
  std::string outer_;
};

tests::Actor Serving(const Folder& folder, std::vector<std::string> more = {}) {
  more.insert(more.begin(), folder.path());
  return {.name = "fsd", .main = fsd::Main, .service = true, .arguments = more};
}

FileServer Connect(ipc::Process& self) {
  return FileServer::Connect(self, "/fs", {.deadline = kSoon}).value();
}

// Of the host, and of one that takes no time.
void WithEachDisk(const Folder& folder, const std::function<void(ipc::Process&)>& body) {
  RunWorld({Serving(folder), Client(body)});
  RunWorld({Serving(folder, {"--device-mbps=0"}), Client(body)});
}

TEST_CASE("fsd: a read fills the referenced range of the client's region and nothing beside it") {
  const Folder folder;
  WithEachDisk(folder, [](ipc::Process& self) {
    const File file = File::Open(self, "/fs/film", O_RDONLY, 0, kSoon).value();
    CHECK(file.Stat().value().size == kFileBytes);
    const ipc::Region region = self.CreateRegion(8192).value();
    CHECK(file.ReadAt(1234, region.Out(100, 5000)).value() == 5000);
    CHECK(Holds(region.read().subspan(100, 5000), 1234));
    CHECK(region.read()[99] == std::byte{0});
    CHECK(region.read()[5100] == std::byte{0});
    CHECK(file.ReadAt(kFileBytes - 10, region.Out()).value() == 10);
    CHECK(file.ReadAt(kFileBytes, region.Out()).value() == 0);
    CHECK(ErrnoOf(file.ReadAt(uint64_t{1} << 63, region.Out())) == EINVAL);
    CHECK(ErrnoOf(file.ReadAt(0, region.In())) == EACCES);
    std::vector<std::byte> bytes(kFileBytes + 1);
    CHECK(file.ReadAt(77, absl::MakeSpan(bytes)).value() == kFileBytes - 77);
    CHECK(Holds(ipc::ConstBytes(bytes).first(kFileBytes - 77), 77));
    CHECK(ErrnoOf(file.Write(BytesOfText("x"))) == EBADF);
  });
}

TEST_CASE("fsd: several reads are one message, each into its place in the region") {
  const Folder folder;
  WithEachDisk(folder, [](ipc::Process& self) {
    const File file = File::Open(self, "/fs/film", O_RDONLY, 0, kSoon).value();
    const ipc::Region region = self.CreateRegion(8192).value();
    const auto read = [&](std::vector<ipc::Piece>& pieces) {
      return file.ReadAt(absl::MakeSpan(pieces), region.Out(96));
    };
    std::vector<ipc::Piece> pieces;
    for (uint64_t i = 0; i < 50; ++i) {
      pieces.push_back({.offset = i * 7919 % kFileBytes, .at = i * 128, .length = 99});
    }
    pieces.push_back({.offset = kFileBytes - 10, .at = 8000, .length = 99});
    pieces.push_back({.offset = kFileBytes, .at = 0, .length = 99});
    CHECK(read(pieces).ok());
    for (const ipc::Piece& piece : pieces) {
      CHECK(piece.count == std::min(piece.length, kFileBytes - piece.offset));
      CHECK(Holds(region.read().subspan(96 + piece.at, piece.count), piece.offset));
    }
    CHECK(region.read()[95] == std::byte{0});
    CHECK(region.read()[96 + 99] == std::byte{0});
    pieces = {{.length = 9}, {.at = 8192 - 95, .length = 9}};
    CHECK(ErrnoOf(read(pieces)) == EINVAL);  // it begins beyond
    pieces = {{.length = 9}, {.at = 8192 - 96 - 5, .length = 9}};
    CHECK(read(pieces).ok());
    CHECK(pieces[1].count == 5);  // as much as there is of the region
    pieces = {{.length = 9}, {.offset = uint64_t{1} << 63, .length = 9}};
    CHECK(ErrnoOf(read(pieces)) == EINVAL);
    pieces = {{.length = 9}, {.length = 9}};
    CHECK(ErrnoOf(file.ReadAt(absl::MakeSpan(pieces), region.In())) == EACCES);
  });
}

TEST_CASE("fsd: what is mounted below its folder is listed, and EXDEV in every other way") {
  RunWorld({{.name = "fsd", .main = fsd::Main, .service = true, .arguments = {"/"}},
            Client([](ipc::Process& self) {  // the host's /proc is mounted below its root
              const auto names = File::Open(self, "/fs", O_RDONLY, 0, kSoon).value().List().value();
              CHECK(std::ranges::find(names, "proc", &ipc::ListedName::name) != names.end());
              for (const char* path : {"/fs/proc", "/fs/proc/version"}) {
                CHECK(ErrnoOf(File::Open(self, path, O_RDONLY)) == EXDEV);
                CHECK(ErrnoOf(Connect(self).Stat(path)) == EXDEV);
              }
            })});
}

TEST_CASE("fsd: what Linux has to fetch from the disk comes, however many wait for it") {
  constexpr uint64_t kMi = 1 << 20, kMany = 4;
  const Folder folder;
  const std::string path = folder.path() + "/cold";
  std::ofstream(path) << std::string(kMany * kMi, 'x');
  RunWorld({Serving(folder), Client([&](ipc::Process& self) {
              const File file = File::Open(self, "/fs/cold", O_RDONLY, 0, kSoon).value();
              const ipc::Region region = self.CreateRegion(kMany * kMi).value();
              for (int round = 0; round < 20; ++round) {
                const int cold = open(path.c_str(), O_RDONLY | O_CLOEXEC);
                fdatasync(cold);
                posix_fadvise(cold, 0, 0, POSIX_FADV_DONTNEED);
                close(cold);
                std::vector<ipc::Thread> threads;
                for (uint64_t i = 0; i < kMany; ++i) {
                  threads.push_back(self.Spawn({},
                                               [&, i] {
                                                 const auto into = region.Out(i * kMi, kMi);
                                                 CHECK(file.ReadAt(i * kMi, into, kSoon).value() ==
                                                       kMi);
                                               })
                                        .value());
                }
                for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
              }
            })});
}

TEST_CASE("fsd: files are written, truncated, renamed, linked and removed on the host") {
  const Folder folder;
  RunWorld({Serving(folder), Client([&](ipc::Process& self) {
              const FileServer fs = Connect(self);
              CHECK(fs.MakeDirectory("/fs/sub", 0750).ok());
              CHECK(fs.Stat("/fs/sub").value().mode == (S_IFDIR | 0750));
              const File file = fs.Open("/fs/sub/a", O_RDWR | O_CREAT | O_EXCL, 0666).value();
              CHECK(file.Write(BytesOfText("hello world")).value() == 11);
              CHECK(file.Sync().ok());
              CHECK(folder.Contents("sub/a") == "hello world");
              CHECK(fs.Stat("/fs/sub/a").value().mode == (S_IFREG | 0666));  // no umask
              CHECK(file.Truncate(5).ok());
              CHECK(file.Seek(0, SEEK_END).value() == 5);
              const ipc::Region region = self.CreateRegion(4096).value();
              std::memcpy(region.write().data(), "regions", 7);
              CHECK(file.WriteAt(6, region.In(0, 7)).value() == 7);
              CHECK(folder.Contents("sub/a") == std::string("hello\0regions", 13));
              const File end = fs.Open("/fs/sub/a", O_WRONLY | O_APPEND).value();
              CHECK(end.Write(BytesOfText("!")).value() == 1);
              CHECK(fs.Stat("/fs/sub/a").value().size == 14);
              CHECK(fs.Open("/fs/sub/a", O_WRONLY | O_TRUNC).ok());
              CHECK(file.Stat().value().size == 0);
              CHECK(fs.Rename("/fs/sub/a", "/fs/b").ok());
              CHECK(fs.Link("/fs/b", "/fs/sub/c").ok());
              CHECK(fs.Stat("/fs/b").value().links == 2);
              CHECK(fs.Stat("/fs/b").value().inode == file.Stat().value().inode);
              CHECK(ErrnoOf(fs.RemoveDirectory("/fs/sub")) == ENOTEMPTY);
              CHECK(fs.Unlink("/fs/b").ok());
              CHECK(fs.Unlink("/fs/sub/c").ok());
              CHECK(fs.RemoveDirectory("/fs/sub").ok());
              CHECK(file.Write(BytesOfText("nobody sees it")).ok());  // open, though it has no name
              CHECK(file.Stat().value().links == 0);
              CHECK(fs.MakeSymbolicLink("film", "/fs/link").ok());
              CHECK(fs.ReadLink("/fs/link").value() == "film");
              CHECK(fs.Stat("/fs/link").value().size == kFileBytes);
              const File root = fs.Open("/fs", O_RDONLY | O_DIRECTORY).value();
              const auto list = root.List().value();
              CHECK(list.size() == 2);
              CHECK(list[0].name == "film");
              CHECK(S_ISLNK(list[1].mode));
              CHECK(ErrnoOf(fs.MakeNode("/fs/fifo", S_IFIFO | 0666)) == EPERM);
              CHECK(fs.StatFs().value().blocks > 0);
            })});
}

TEST_CASE("fsd: mode and times are the host file's, and last") {
  const Folder folder;
  RunWorld({Serving(folder), Client([&](ipc::Process& self) {
              const FileServer fs = Connect(self);
              CHECK(fs.Change("/fs/film", {.mask = Change::kMode, .mode = 0604}).ok());
              CHECK(fs.Change("/fs/film", {.mask = Change::kModified | Change::kAccessed,
                                           .accessed_ns = -1,
                                           .modified_ns = 1'000'000'000'000'000'123})
                        .ok());
              const ipc::files::Stat stat = fs.Stat("/fs/film").value();
              CHECK(stat.mode == (S_IFREG | 0604));
              CHECK(stat.accessed_ns == -1);
              CHECK(stat.modified_ns == 1'000'000'000'000'000'123);
              struct stat host = {};
              CHECK(::stat((folder.path() + "/film").c_str(), &host) == 0);
              CHECK(host.st_mtim.tv_nsec == 123);
              CHECK((host.st_mode & 0777) == 0604);
            })});
}

TEST_CASE("fsd: nothing leads out of the folder") {
  const Folder folder;
  symlink("../secret", (folder.path() + "/up").c_str());
  symlink("/etc", (folder.path() + "/etc").c_str());
  symlink("..", (folder.path() + "/parent").c_str());
  mkfifo((folder.path() + "/fifo").c_str(), 0666);
  RunWorld({Serving(folder), Client([](ipc::Process& self) {
              const ipc::Connection raw = self.Open("/fs", kSoon).value();
              const FileServer fs = Connect(self);
              CHECK(ErrnoOf(fs.Open("/fs/../secret", O_RDONLY)) == ENOENT);
              CHECK(ErrnoOf(fs.Open("/fs/up", O_RDONLY)) == ENOENT);  // ".." stays at the root
              CHECK(ErrnoOf(fs.Open("/fs/etc/passwd", O_RDONLY)) == EXDEV);
              CHECK(ErrnoOf(fs.Open("/fs/parent/secret", O_RDONLY)) == ENOENT);
              CHECK(fs.Stat("/fs/parent/film").value().size == kFileBytes);
              CHECK(ErrnoOf(fs.Rename("/fs/film", "/fs/parent/parent/../secret")) == 0);
              CHECK(fs.Stat("/fs/secret").value().size == kFileBytes);
              CHECK(ErrnoOf(fs.Open("/fs/fifo", O_RDONLY)) == EACCES);  // it would block fsd
              CHECK(fs.Stat("/fs/fifo").ok());
              // ".." as written, which ipc/file.h does not send.
              struct {
                ipc::MessageHeader header = ipc::HeaderOf<ipc::files::Operations>();
                ipc::files::Operations operations = {.count = 1};
                ipc::files::Operation open = {.verb = ipc::files::Verb::kOpen, .payload_bytes = 20};
                char path[24] = "/fs/../../../../etc/";
              } request;
              struct {
                ipc::MessageHeader header;
                ipc::files::Results results;
                ipc::files::Result result;
              } reply = {};
              CHECK(raw.Send(ipc::BytesOf(request).first(sizeof(request) - 4),
                             ipc::MutableBytesOf(reply))
                        .ok());
              CHECK(reply.result.error == EXDEV);  // the link "etc" in the folder itself
            })});
}

TEST_CASE("fsd: what a user makes is the user's, and others' permissions hold") {
  if (tests::conformance::LacksOtherUsers() || !tests::conformance::OnHost()) return;
  const Folder folder;
  tests::Shared<bool> made;
  tests::Actor owner = Client(
      [&](ipc::Process& self) {
        const FileServer fs = Connect(self);
        CHECK(fs.MakeDirectory("/fs/own", 0700).ok());
        CHECK(ipc::WriteFile(self, "/fs/own/a", "mine").ok());
        CHECK(fs.Stat("/fs/own/a").value().uid == 1000);
        CHECK(ErrnoOf(fs.Open("/fs/film", O_RDWR)) == EACCES);
        CHECK(ErrnoOf(fs.Change("/fs/film", {.mask = Change::kMode, .mode = 0666})) == EPERM);
        made = true;
      },
      "owner");
  owner.uid = owner.gid = 1000;
  tests::Actor stranger = Client(
      [&](ipc::Process& self) {
        CHECK(WaitUntil(self, made));
        CHECK(ErrnoOf(ipc::ReadFile(self, "/fs/own/a")) == EACCES);
      },
      "stranger");
  stranger.uid = stranger.gid = 1001;
  RunWorld({Serving(folder), owner, stranger});
}

TEST_CASE("fsd: who makes or opens a file writes it, whatever its permissions are then") {
  if (tests::conformance::LacksOtherUsers() || !tests::conformance::OnHost()) return;
  const Folder folder;
  tests::Actor user = Serving(folder);  // of a user: root may write anything
  tests::Actor client = Client([&](ipc::Process& self) {
    const FileServer fs = Connect(self);
    constexpr uint32_t kAnew = O_CREAT | O_EXCL;
    for (const uint32_t flags : {uint32_t{O_RDWR}, uint32_t{O_WRONLY | O_APPEND}}) {
      const File file = fs.Open("/fs/shut", flags | kAnew, 0400).value();
      CHECK(file.Write(BytesOfText("made")).value() == 4);
      CHECK(file.Truncate(3).ok());
      CHECK(folder.Contents("shut") == "mad");
      CHECK(fs.Stat("/fs/shut").value().mode == (S_IFREG | 0400));
      CHECK(ErrnoOf(fs.Open("/fs/shut", O_RDWR)) == EACCES);
      CHECK(fs.Unlink("/fs/shut").ok());
    }
    const File none = fs.Open("/fs/none", O_RDWR | kAnew, 0).value();
    CHECK(none.Write(BytesOfText("x")).value() == 1);
    CHECK(fs.Stat("/fs/none").value().mode == S_IFREG);
    const File open = fs.Open("/fs/open", O_RDWR | kAnew, 0600).value();
    CHECK(fs.Change("/fs/open", {.mask = Change::kMode, .mode = 0400}).ok());
    CHECK(open.Truncate(7).ok());
    CHECK(open.Stat().value().size == 7);
  });
  user.uid = user.gid = client.uid = client.gid = 1000;
  RunWorld({user, client});
}

TEST_CASE("fsd: what the disk has to be asked for comes, and so does what fails there") {
  const Folder folder;
  constexpr uint64_t kBytes = 8 << 20;
  {
    std::ofstream big(folder.path() + "/big");
    for (uint64_t i = 0; i < kBytes; ++i) big.put(ByteAt(i));
  }
  const int host = open((folder.path() + "/big").c_str(), O_RDONLY);
  // Out of Linux's memory, if this file system has another place for it.
  CHECK(fsync(host) == 0);
  CHECK(posix_fadvise(host, 0, 0, POSIX_FADV_DONTNEED) == 0);
  close(host);
  RunWorld({Serving(folder), Client([](ipc::Process& self) {
              const File file = File::Open(self, "/fs/big", O_RDWR, 0, kSoon).value();
              const ipc::Region region = self.CreateRegion(1 << 16).value();
              for (uint64_t at = 0; at < kBytes; at += 3 << 16) {
                CHECK(file.ReadAt(at, region.Out(), kSoon).value_or(0) == 1 << 16);
                CHECK(Holds(region.read(), at));
              }
              // Where few file systems have files.
              const auto far = file.WriteAt(uint64_t{1} << 60, region.In(), kSoon);
              CHECK((far.ok() || ErrnoOf(far) == EFBIG));
              CHECK(file.ReadAt(0, region.Out(), kSoon).value_or(0) == 1 << 16);
            })});
}

TEST_CASE("fsd: what is made in a set-group-id folder has its group, and folders hand it down") {
  if (tests::conformance::LacksOtherUsers() || !tests::conformance::OnHost()) return;
  const Folder folder;
  CHECK(chown(folder.path().c_str(), 0, 1234) == 0);
  CHECK(chmod(folder.path().c_str(), 02777) == 0);
  tests::Actor client = Client([&](ipc::Process& self) {
    const FileServer fs = Connect(self);
    CHECK(fs.MakeDirectory("/fs/sub", 0755).ok());
    CHECK(fs.Stat("/fs/sub").value().mode == (S_IFDIR | 02755));
    CHECK(ipc::WriteFile(self, "/fs/sub/a", "x").ok());
    for (const char* path : {"/fs/sub", "/fs/sub/a"}) {
      CHECK(fs.Stat(path).value().uid == 1000);
      CHECK(fs.Stat(path).value().gid == 1234);
    }
    CHECK((fs.Stat("/fs/sub/a").value().mode & S_ISGID) == 0);
  });
  client.uid = client.gid = 1000;
  RunWorld({Serving(folder), client});
}

TEST_CASE("fsd: many transfers are in flight, and each gets its own bytes") {
  const Folder folder;
  RunWorld(
      {Serving(folder), Client([&](ipc::Process& self) {
         const File file = File::Open(self, "/fs/big", O_RDWR | O_CREAT, 0666, kSoon).value();
         constexpr uint64_t kThreads = 16, kChunk = 65536;
         const ipc::Region region = self.CreateRegion(2 * kThreads * kChunk).value();
         std::vector<ipc::Thread> threads;
         for (uint64_t i = 0; i < kThreads; ++i) {
           threads.push_back(
               self.Spawn(
                       {},
                       [&, i] {
                         const ipc::MutableBytes mine = region.write().subspan(i * kChunk, kChunk);
                         for (uint64_t n = 0; n < kChunk; ++n) {
                           mine[n] = static_cast<std::byte>(ByteAt(i * kChunk + n));
                         }
                         const uint64_t into = (kThreads + i) * kChunk;
                         CHECK(file.WriteAt(i * kChunk, region.In(i * kChunk, kChunk)).value() ==
                               kChunk);
                         CHECK(file.ReadAt(i * kChunk, region.Out(into, kChunk)).value() == kChunk);
                         CHECK(Holds(region.read().subspan(into, kChunk), i * kChunk));
                       })
                   .value());
         }
         for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
         CHECK(file.Stat().value().size == kThreads * kChunk);
       })});
}

TEST_CASE("fsd: a device of a given speed serves one after the other, the highest priority first") {
  if (tests::conformance::OnSimulationOnly("virtual time tells the order")) return;
  const Folder folder;
  RunWorld({Serving(folder, {"--device-mbps=1"}), Client([](ipc::Process& self) {
              const File file = File::Open(self, "/fs/film", O_RDONLY, 0, kSoon).value();
              const ipc::Region region = self.CreateRegion(8192).value();
              const absl::Time start = self.Now();
              std::vector<ipc::Thread> threads;
              std::vector<uint64_t> order;
              for (uint64_t i = 0; i < 4; ++i) {
                const ipc::Scheduling scheduling = {.priority = 10 + static_cast<int>(i)};
                threads.push_back(
                    self.Spawn({.scheduling = scheduling},
                               [&, i] {
                                 CHECK(file.ReadAt(1000 * i, region.Out(1000 * i, 1000)).value() ==
                                       1000);
                                 order.push_back(i);
                               })
                        .value());
              }
              for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
              CHECK(Holds(region.read().first(4000), 0));
              const absl::Duration took = self.Now() - start;  // a byte takes a microsecond
              CHECK(took >= absl::Milliseconds(4));
              CHECK(took < absl::Microseconds(4200));
              // The first that comes is under way when the others come.
              CHECK(std::is_sorted(order.begin() + 1, order.end(), std::greater<>()));
            })});
}

TEST_CASE("fsd: clients that die in the midst of reads and writes harm nobody") {
  const Folder folder;
  tests::Shared<int> begun;
  tests::Actor victim = {.name = "victim",
                         .main =
                             [&](ipc::Process& self) {
                               const File file =
                                   File::Open(self, "/fs/v", O_RDWR | O_CREAT, 0666, kSoon).value();
                               const ipc::Region region = self.CreateRegion(1 << 20).value();
                               for (;;) {
                                 if (!file.WriteAt(0, region.In()).ok()) return 1;
                                 ++begun;
                                 if (!file.ReadAt(0, region.Out()).ok()) return 1;
                               }
                               return 0;
                             },
                         .only_program = true};
  RunWorld({Serving(folder), victim, Client([&](ipc::Process& self) {
              std::minstd_rand random(7);
              for (int i = 0; i < 10; ++i) {
                begun = 0;
                const ipc::Child child = self.Start("victim").value();
                CHECK(WaitUntil(self, [&] { return begun > 1; }));
                self.Sleep(absl::Microseconds(random() % 1000)).IgnoreError();
                CHECK(child.Kill().ok());
                CHECK(child.Wait(kSoon).ok());
                const File film = File::Open(self, "/fs/film", O_RDONLY).value();
                const ipc::Region region = self.CreateRegion(12'288).value();
                CHECK(film.ReadAt(0, region.Out()).value() == kFileBytes);
                CHECK(Holds(region.read().first(kFileBytes), 0));
              }
              CHECK(ipc::StatOf(self, "/fs/v").value().size == 1 << 20);
            })});
}

TEST_CASE("fsd: two folders are served under two names") {
  const Folder one, two;
  tests::Actor other = Serving(two, {"--name=/fs/other"});
  other.name = "other";
  RunWorld({Serving(one), other, Client([&](ipc::Process& self) {
              CHECK(ipc::FileServer::Connect(self, "/fs", {.deadline = kSoon}).ok());
              CHECK(tests::conformance::WaitUntil(
                  self, [&] { return self.ListNames("/fs").value().size() == 2; }));
              CHECK(ipc::WriteFile(self, "/fs/other/a", "two").ok());
              CHECK(two.Contents("a") == "two");
              CHECK(ErrnoOf(ipc::Rename(self, "/fs/other/a", "/fs/a")) == EXDEV);
            })});
}

TEST_CASE("fsd: without a folder to export it ends with an error") {
  const auto report =
      tests::conformance::RunAny({{.name = "fsd", .main = fsd::Main, .arguments = {"/none/such"}}});
  REQUIRE(report.processes.size() == 2);
  CHECK(report.processes[1].exit.code == 1);
}

}  // namespace
