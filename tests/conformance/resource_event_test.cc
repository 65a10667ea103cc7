// Conformance: what devices finish later, tell their clients, and share with them; managers with
// several names and with several threads. On every kernel (M1, M2, M4).
#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <optional>
#include <string>
#include <vector>

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

// A slow disk: each read is finished by a timer, in the order of arrival; "x" stands everywhere.
class Disk : public ipc::ResourceManager {
 public:
  static constexpr absl::Duration kTime = absl::Milliseconds(2);
  static constexpr uint64_t kFails = 1'000'000, kForgets = 2'000'000;  // offsets

 private:
  struct Begun {
    ipc::Deferral deferral;
    ipc::MutableBytes bytes;
  };
  absl::Status OnStart(ipc::Process&, const ipc::Channel& channel) override {
    auto timer = channel.MakeTimer(1, 0, 100);
    if (!timer.ok()) return timer.status();
    timer_.emplace(*std::move(timer));
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> Read(ipc::FileCall& call, ipc::OpenFile&, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    if (offset == kFails) {
      call.Defer().Finish(ipc::PosixError(ENXIO));
    } else if (offset == kForgets) {
      auto dropped = call.Defer();
    } else {
      begun_.push_back({call.Defer(), bytes});
      if (begun_.size() == 1) timer_->Arm(kTime).IgnoreError();
    }
    return ipc::Deferred();
  }
  absl::Status Sync(ipc::FileCall& call, ipc::OpenFile&) override {
    call.Defer().Finish(0);
    return ipc::Deferred();
  }
  void OnPulse(const ipc::Pulse&) override {
    const ipc::MutableBytes bytes = begun_.front().bytes;
    std::fill(bytes.begin(), bytes.end(), std::byte{'x'});
    begun_.front().deferral.Finish(bytes.size());
    begun_.pop_front();
    if (!begun_.empty()) timer_->Arm(kTime).IgnoreError();
  }
  std::optional<ipc::Timer> timer_;
  std::deque<Begun> begun_;
};

tests::Actor ServingDisk() {
  return Serving([] { return Disk(); }, "/disk", S_IFREG | 0666);
}

TEST_CASE("operations that a device finishes later are many at a time") {
  RunWorld({ServingDisk(), Client([](ipc::Process& self) {
              const File file = File::Open(self, "/disk", O_RDWR, 0, kSoon).value();
              const ipc::Region region = self.CreateRegion(4096).value();
              std::vector<ipc::Thread> threads;
              for (uint64_t i = 0; i < 8; ++i) {
                threads.push_back(
                    self.Spawn({},
                               [&, i] {
                                 CHECK(file.ReadAt(i * 100, region.Out(i * 100, 100)).value() ==
                                       100);
                               })
                        .value());
              }
              for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
              const absl::string_view got = ipc::TextOf(region.read());
              CHECK(got.substr(0, 801) == std::string(800, 'x') + '\0');
              CHECK(file.Sync().ok());
              char byte = 0;
              CHECK(ErrnoOf(file.ReadAt(Disk::kFails, ipc::MutableBytesOf(byte))) == ENXIO);
              CHECK(ErrnoOf(file.ReadAt(Disk::kForgets, ipc::MutableBytesOf(byte))) ==
                    EIO);  // forgotten
            })});
}

TEST_CASE("reads of one message are under way together, and told in order") {
  RunWorld({ServingDisk(), Client([](ipc::Process& self) {
              const File file = File::Open(self, "/disk", O_RDWR, 0, kSoon).value();
              const ipc::Region region = self.CreateRegion(8192).value();
              std::vector<ipc::Piece> pieces;
              for (uint64_t i = 0; i < ipc::files::kMaxOperations + 3; ++i) {
                pieces.push_back({.offset = i, .at = i * 100, .length = i});
              }
              CHECK(file.ReadAt(absl::MakeSpan(pieces), region.Out()).ok());
              for (const ipc::Piece& piece : pieces) {
                CHECK(piece.count == piece.length);
                const absl::string_view got = ipc::TextOf(region.read().subspan(piece.at, 100));
                CHECK(got == std::string(piece.length, 'x') + std::string(100 - piece.length, 0));
              }
              pieces.resize(4);
              pieces[1].offset = pieces[2].offset = Disk::kFails;
              pieces[3].offset = Disk::kForgets;
              CHECK(ErrnoOf(file.ReadAt(absl::MakeSpan(pieces), region.Out())) == ENXIO);
              pieces[1].offset = Disk::kForgets;
              CHECK(ErrnoOf(file.ReadAt(absl::MakeSpan(pieces), region.Out())) == EIO);
              char byte = 0;
              CHECK(file.ReadAt(0, ipc::MutableBytesOf(byte)).value() == 1);  // it goes on
            })});
}

TEST_CASE("a deadline leaves reads that are under way to their device") {
  RunWorld(
      {ServingDisk(), Client([](ipc::Process& self) {
         const File file = File::Open(self, "/disk", O_RDWR, 0, kSoon).value();
         ipc::Thread leaves =
             self.Spawn(
                     {},
                     [&] {
                       const ipc::Region region = self.CreateRegion(4096).value();
                       std::array<ipc::Piece, 4> pieces;
                       for (ipc::Piece& piece : pieces) piece.length = 10;
                       file.ReadAt(absl::MakeSpan(pieces), region.Out(), Disk::kTime).IgnoreError();
                     })
                 .value();
         CHECK(leaves.Join().ok());
         char byte = 0;
         CHECK(file.ReadAt(0, ipc::MutableBytesOf(byte)).value() == 1);
       })});
}

TEST_CASE("reads at the position follow each other, however late they finish") {
  RunWorld({ServingDisk(), Client([](ipc::Process& self) {
              const File file = File::Open(self, "/disk", O_RDONLY, 0, kSoon).value();
              std::vector<ipc::Thread> threads;
              for (int i = 0; i < 3; ++i) {
                threads.push_back(
                    self.Spawn({}, [&] { CHECK(ReadText(file, 10) == "xxxxxxxxxx"); }).value());
              }
              for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
              CHECK(file.Seek(0, SEEK_CUR).value() == 30);
            })});
}

TEST_CASE("a deadline does not tear what its device works on out of its hands") {
  RunWorld({ServingDisk(), Client([](ipc::Process& self) {
              const File file = File::Open(self, "/disk", O_RDONLY, 0, kSoon).value();
              std::string text(10, '\0');
              const auto bytes = ipc::MutableBytes(reinterpret_cast<std::byte*>(text.data()), 10);
              auto read = file.ReadAt(0, bytes, Disk::kTime / 2);
              // On real CPUs the deadline may come before the disk has begun.
              for (int i = 0; i < 100 && !read.ok(); ++i) {
                read = file.ReadAt(0, bytes, Disk::kTime / 2);
              }
              CHECK(read.value() == 10);
              CHECK(text == "xxxxxxxxxx");
            })});
}

TEST_CASE("a client that dies while its device works does no harm") {
  tests::Shared<bool> opened;
  tests::Actor victim = {.name = "victim",
                         .main =
                             [&](ipc::Process& self) {
                               const File file =
                                   File::Open(self, "/disk", O_RDONLY, 0, kSoon).value();
                               opened = true;
                               for (;;) ReadText(file);
                               return 0;
                             },
                         .only_program = true};
  RunWorld({ServingDisk(), victim, Client([&](ipc::Process& self) {
              for (int i = 0; i < 3; ++i) {
                opened = false;
                const ipc::Child child = self.Start("victim").value();
                CHECK(WaitUntil(self, opened));
                LetBlock(self);
                CHECK(child.Kill().ok());
              }
              const File file = File::Open(self, "/disk", O_RDONLY, 0, kSoon).value();
              CHECK(ReadText(file, 3) == "xxx");
            })});
}

// A text under several names: /box holds a folder with it in, /lid is it. Writing replaces it;
// reading waits for one.
class Box : public ipc::ResourceManager {
 public:
  explicit Box(std::shared_ptr<ipc::Node> text) : text_node_(std::move(text)) {}

 private:
  absl::StatusOr<std::shared_ptr<ipc::Node>> Lookup(ipc::Node&, absl::string_view name) override {
    if (name != "text") return ipc::PosixError(ENOENT);
    return text_node_;
  }
  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile& file, uint64_t,
                                ipc::MutableBytes bytes) override {
    if (text_.empty()) return ipc::PosixError(EAGAIN);
    const uint64_t count = ipc::CopyText(text_, 0, bytes);
    text_.clear();
    Wake(file.node());
    return count;
  }
  absl::StatusOr<uint64_t> Write(ipc::FileCall&, ipc::OpenFile& file, uint64_t,
                                 ipc::ConstBytes bytes) override {
    text_ = std::string(ipc::TextOf(bytes));
    Wake(file.node());
    return bytes.size();
  }
  uint32_t Poll(ipc::OpenFile&) override {
    return text_.empty() ? ipc::files::kWritable : ipc::files::kReadable;
  }
  absl::StatusOr<ipc::Token> Map(ipc::FileCall& call, ipc::OpenFile&, uint64_t offset,
                                 uint64_t length, bool writable) override {
    if (!region_) region_.emplace(self_->CreateRegion(8192).value());
    return region_->Grant(call.from().sender,
                          writable ? ipc::Access::kReadWrite : ipc::Access::kRead, offset, length);
  }
  absl::Status OnStart(ipc::Process& self, const ipc::Channel&) override {
    self_ = &self;
    return absl::OkStatus();
  }
  const std::shared_ptr<ipc::Node> text_node_;
  std::string text_;
  ipc::Process* self_ = nullptr;
  std::optional<ipc::Region> region_;
};

tests::Actor ServingBox(const ipc::PoolOptions& options = {}) {
  return {.name = "manager",
          .main =
              [=](ipc::Process& self) {
                auto text = std::make_shared<ipc::Node>(S_IFCHR | 0666);
                Box box(text);
                return box.Run(
                    self,
                    {{"/box", std::make_shared<ipc::Node>(S_IFDIR | 0755)}, {"/box/lid", text}},
                    options);
              },
          .service = true};
}

TEST_CASE("one manager serves several names") {
  RunWorld({ServingBox(), Client([](ipc::Process& self) {
              const File lid = File::Open(self, "/box/lid", O_RDWR, 0, kSoon).value();
              const File inside = File::Open(self, "/box/text", O_RDWR, 0, kSoon).value();
              CHECK(lid.Write(BytesOfText("hello")).value() == 5);
              CHECK(ReadText(inside) == "hello");
              CHECK(ErrnoOf(File::Open(self, "/box/none", O_RDONLY)) == ENOENT);
            })});
}

TEST_CASE("one pulse tells that a file is ready, of many files") {
  RunWorld({ServingBox(), Client([](ipc::Process& self) {
              const ipc::Channel channel = self.CreateChannel("ready").value();
              const File one = File::Open(self, "/box/text", O_RDWR, 0, kSoon).value();
              const File two = File::Open(self, "/box/lid", O_RDWR).value();
              const ipc::EventToken first = one.MakeEvent(channel, 1, 10, 20).value();
              const ipc::EventToken second = two.MakeEvent(channel, 2, 20, 30).value();
              CHECK(one.Notify(ipc::files::kWritable, first).value() == ipc::files::kWritable);
              CHECK(one.Notify(ipc::files::kReadable, first).value() == 0);
              CHECK(two.Notify(ipc::files::kReadable, second).value() == 0);
              CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
              CHECK(two.Write(BytesOfText("x")).value() == 1);
              uint64_t values = 0;
              for (int i = 0; i < 2; ++i) values += channel.Receive(kSoon).value().pulse()->value;
              CHECK(values == 30);
              // Once: another write is not told.
              CHECK(two.Write(BytesOfText("y")).value() == 1);
              CHECK(ReadText(one) == "y");
              CHECK(one.Notify(ipc::files::kReadable, first).value() == 0);
              CHECK(one.Notify(0, first).value() == 0);  // and not any more
              CHECK(two.Write(BytesOfText("z")).value() == 1);
              CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
            })});
}

TEST_CASE("a device's region is mapped, for reading or for writing") {
  RunWorld({ServingBox(), Client([](ipc::Process& self) {
              const File file = File::Open(self, "/box/text", O_RDWR, 0, kSoon).value();
              const ipc::Region whole = file.Map(0, 8192, true).value();
              const ipc::Region second = file.Map(4096, 4096, false).value();
              whole.write()[4097] = std::byte{7};
              CHECK(second.read()[1] == std::byte{7});
              CHECK(second.write().empty());
              CHECK_FALSE(file.Map(1, 4096, false).ok());
              const File reader = File::Open(self, "/box/text", O_RDONLY).value();
              CHECK(ErrnoOf(reader.Map(0, 4096, true)) == EBADF);
            })});
}

// A read that is not at the beginning takes until it is let go.
class Sleepy : public ipc::ResourceManager {
 public:
  explicit Sleepy(tests::Shared<bool>* let_go, tests::Shared<bool>* begun = nullptr)
      : let_go_(let_go), begun_(begun) {}

 private:
  absl::Status OnStart(ipc::Process& self, const ipc::Channel&) override {
    self_ = &self;
    return absl::OkStatus();
  }
  absl::StatusOr<std::shared_ptr<ipc::Node>> Lookup(ipc::Node&, absl::string_view) override {
    return std::make_shared<ipc::Node>(S_IFREG | 0666);
  }
  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile&, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    if (offset != 0 && begun_ != nullptr) *begun_ = true;
    if (offset != 0) CHECK(WaitUntil(*self_, *let_go_));
    return ipc::CopyText("x", 0, bytes);
  }
  tests::Shared<bool>* const let_go_;
  tests::Shared<bool>* const begun_;
  ipc::Process* self_ = nullptr;
};

// The pulse that tells of its last connection waits, at the lowest priority, behind what it sends
// over the next one.
TEST_CASE("a client whose last connection ends while the server works keeps what it opens next") {
  tests::Shared<bool> let_go, begun;
  tests::Actor manager = {.name = "manager",
                          .main =
                              [&](ipc::Process& self) {
                                Sleepy sleepy(&let_go, &begun);
                                return sleepy.Run(self, "/sleepy",
                                                  std::make_shared<ipc::Node>(S_IFDIR | 0755));
                              },
                          .service = true};
  tests::Actor blocker = Client(
      [](ipc::Process& self) {
        const File file = File::Open(self, "/sleepy/a", O_RDONLY, 0, kSoon).value();
        char byte = 0;
        CHECK(file.ReadAt(1, ipc::MutableBytesOf(byte)).ok());
      },
      "blocker");
  RunWorld({manager, blocker, Client([&](ipc::Process& self) {
              std::optional<ipc::Connection> first = self.Open("/sleepy", kSoon).value();
              CHECK(WaitUntil(self, begun));
              first.reset();
              ipc::Thread next = self.Spawn({},
                                            [&] {
                                              const File file =
                                                  File::Open(self, "/sleepy/a", O_RDONLY).value();
                                              CHECK(ReadText(file) == "x");
                                              CHECK(file.Stat().ok());
                                            })
                                     .value();
              LetBlock(self);
              let_go = true;
              CHECK(next.Join().ok());
            })});
}

TEST_CASE("a pool serves others while some of its threads work") {
  tests::Shared<bool> let_go;
  tests::Actor manager = {
      .name = "manager",
      .main =
          [&](ipc::Process& self) {
            Sleepy sleepy(&let_go);
            return sleepy.Run(self, {{"/sleepy", std::make_shared<ipc::Node>(S_IFDIR | 0755)}},
                              {.low_water = 1, .high_water = 2, .maximum = 4});
          },
      .service = true};
  RunWorld({manager, Client([&](ipc::Process& self) {
              const auto open = [&] { return File::Open(self, "/sleepy/a", O_RDONLY, 0, kSoon); };
              const File quick = open().value();
              tests::Shared<int> slow;
              std::vector<ipc::Thread> threads;
              for (int i = 0; i < 3; ++i) {
                threads.push_back(self.Spawn({},
                                             [&] {
                                               char byte = 0;
                                               const File file = open().value();
                                               CHECK(
                                                   file.ReadAt(1, ipc::MutableBytesOf(byte)).ok());
                                               ++slow;
                                             })
                                      .value());
              }
              LetBlock(self);
              for (int i = 0; i < 20; ++i) {
                CHECK(ReadText(quick) == "x");
                CHECK(quick.Seek(0, SEEK_SET).ok());
              }
              CHECK(slow == 0);
              let_go = true;
              for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
              CHECK(slow == 3);
            })});
}

TEST_CASE("a pool whose numbers make no sense is refused") {
  RunWorld({Client([](ipc::Process& self) {
    Sleepy sleepy(nullptr);
    const ipc::PoolOptions options = {.low_water = 3, .high_water = 2, .maximum = 4};
    CHECK(sleepy.Run(self, "/sleepy", std::make_shared<ipc::Node>(S_IFDIR | 0755), options) == 1);
  })});
}

TEST_CASE("a pool's threads share one device, one at a time on each node") {
  RunWorld({ServingBox({.low_water = 2, .high_water = 3, .increment = 2, .maximum = 6}),
            Client([](ipc::Process& self) {
              constexpr int kEach = 50;
              std::vector<ipc::Thread> threads;
              for (int i = 0; i < 4; ++i) {
                threads.push_back(
                    self.Spawn({},
                               [&] {
                                 const File file =
                                     File::Open(self, "/box/lid", O_RDWR, 0, kSoon).value();
                                 for (int n = 0; n < kEach; ++n) CHECK(ReadText(file) == "x");
                               })
                        .value());
              }
              // Each text is taken by one reader, before the next is written.
              const File writer = File::Open(self, "/box/text", O_RDWR, 0, kSoon).value();
              for (int n = 0; n < 4 * kEach; ++n) {
                CHECK(writer.Wait(ipc::files::kWritable, kSoon).value() == ipc::files::kWritable);
                CHECK(writer.Write(BytesOfText("x")).value() == 1);
              }
              for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
            })});
}

}  // namespace
