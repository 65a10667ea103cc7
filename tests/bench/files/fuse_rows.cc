// Files by fused, and a device by ipc/file.h, against what libfuse3 alone makes of the same.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ipc/file.h"
#include "ipc/resource_manager.h"
#include "servers/common/descriptor.h"
#include "servers/fsd/fsd.h"
#include "servers/fused/fused.h"
#include "servers/fused/mount_point.h"
#include "tests/bench/board.h"
#include "tests/bench/files/fuse_peers.h"
#include "tests/bench/files/scene.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

constexpr uint64_t kReads = 2'000;  // of a device, a round

// An empty folder for a mount, which ends with it.
class MountPoint {
 public:
  explicit MountPoint(std::string path) : path_(std::move(path)) {
    Require(mkdir(path_.c_str(), 0755) == 0, path_.c_str());
  }
  MountPoint(const MountPoint&) = delete;
  MountPoint& operator=(const MountPoint&) = delete;
  ~MountPoint() {
    fused::MendMountPoint(path_);
    rmdir(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

// Once it has been mounted. Ends the process if that does not come.
common::Descriptor OpenSoon(ipc::Process& self, const std::string& path) {
  for (const absl::Time end = self.Now() + kSoon; self.Now() < end;) {
    common::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.valid()) return file;
    if (!self.Sleep(absl::Milliseconds(10)).ok()) break;
  }
  Fatal(absl::StrCat(path, ": not mounted"));
}

// -- A file of fsd's

// All of it, by read(2); the nanoseconds of each MiB. To open it makes Linux forget what it had in
// memory of it, so each byte comes from its server.
double ReadThrough(const std::string& path, uint64_t bytes, std::vector<std::byte>& buffer) {
  const double begin = NowNs();
  const common::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  Require(file.valid(), path.c_str());
  uint64_t done = 0;
  for (;;) {
    const ssize_t count = read(file.number(), buffer.data(), buffer.size());
    Require(count >= 0, path.c_str());
    if (count == 0) break;
    CheckPage(buffer.data(), done / kPageBytes);
    done += static_cast<uint64_t>(count);
  }
  if (done != bytes) Fatal(absl::StrCat(path, ": ", done, " bytes were read"));
  return (NowNs() - begin) * static_cast<double>(kMi) / static_cast<double>(bytes);
}

// Without the line that it says.
int QuietFused(ipc::Process& self) {
  if (std::freopen("/dev/null", "w", stdout) == nullptr) return 1;
  return fused::Main(self);
}

absl::StatusOr<Rounds> MeasureFuse(const Bench& bench) {
  const MountPoint ours(bench.folder + "/fused"), peers(bench.folder + "/passthrough");
  const auto peer = [&](ipc::Process&) {
    ServePassthrough(peers.path(), bench.file());
    return 0;
  };
  return RunScene(bench,
                  {{.name = "fsd", .main = fsd::Main, .arguments = {bench.served()}},
                   {.name = "fused", .main = QuietFused, .arguments = {ours.path()}},
                   {.name = "passthrough", .main = peer, .arguments = {}}},
                  [&](ipc::Process& self, const Alternate& alternate) {
                    const std::string by_fused =
                        absl::StrCat(ours.path(), fsd::kName, "/", Bench::kFile);
                    const std::string by_peer = absl::StrCat(peers.path(), "/", kPassedName);
                    OpenSoon(self, by_fused);
                    OpenSoon(self, by_peer);
                    std::vector<std::byte> buffer(kMi);
                    alternate([&] { return ReadThrough(by_fused, bench.bytes, buffer); },
                              [&] { return ReadThrough(by_peer, bench.bytes, buffer); });
                  });
}

// -- A device: docs/resource-managers.md's first

class Counter : public ipc::ResourceManager {
  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile&, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    return ipc::CopyText(absl::StrCat(count_, "\n"), offset, bytes);
  }
  absl::StatusOr<uint64_t> Write(ipc::FileCall&, ipc::OpenFile&, uint64_t,
                                 ipc::ConstBytes bytes) override {
    int64_t count = 0;
    if (!absl::SimpleAtoi(ipc::TextOf(bytes), &count)) return ipc::PosixError(EINVAL);
    count_ = count;
    return bytes.size();
  }
  int64_t count_ = 0;
};

int CounterMain(ipc::Process& self) {
  Counter counter;
  return counter.Run(self, "/dev/counter", std::make_shared<ipc::Node>(S_IFCHR | 0666));
}

template <typename Read>
double TimeReads(Read read) {
  const double begin = NowNs();
  for (uint64_t i = 0; i < kReads; ++i) {
    std::array<std::byte, 32> text;
    if (read(absl::MakeSpan(text)) != 2 || text[0] != std::byte{'0'}) {
      Fatal("counter: it reads as another text");
    }
  }
  return (NowNs() - begin) / static_cast<double>(kReads);
}

absl::StatusOr<Rounds> MeasureCounter(const Bench& bench) {
  const MountPoint peers(bench.folder + "/counter");
  const auto peer = [&](ipc::Process&) {
    ServeCounter(peers.path());
    return 0;
  };
  return RunScene(bench,
                  {{.name = "counter", .main = CounterMain, .arguments = {}},
                   {.name = "fuse", .main = peer, .arguments = {}}},
                  [&](ipc::Process& self, const Alternate& alternate) {
                    const ipc::File ours =
                        ipc::File::Open(self, "/dev/counter", O_RDONLY, 0, kSoon).value();
                    const common::Descriptor by_peer =
                        OpenSoon(self, absl::StrCat(peers.path(), "/", kCounterName));
                    alternate(
                        [&] {
                          return TimeReads([&](ipc::MutableBytes text) {
                            return static_cast<ssize_t>(ours.ReadAt(0, text).value_or(0));
                          });
                        },
                        [&] {
                          return TimeReads([&](ipc::MutableBytes text) {
                            return pread(by_peer.number(), text.data(), text.size(), 0);
                          });
                        });
                  });
}

// `measure`, where Linux permits to mount.
auto WhereFuseIs(absl::StatusOr<Rounds> (*measure)(const Bench&)) {
  return [measure](const Bench& bench) {
    const absl::Status may = fused::CheckMayMount(false);
    return may.ok() ? measure(bench) : absl::FailedPreconditionError(may.message());
  };
}

}  // namespace

Comparison FuseRead() {
  return {.what = "fuse-sequential",
          .ours = "fused",
          .peer = "passthrough",
          .bar = 0.8,
          .bytes_each = kMi,
          .measure = WhereFuseIs(MeasureFuse)};
}

Comparison CounterRead() {
  return {.what = "counter-read",
          .ours = "ipc",
          .peer = "fuse",
          .bar = 5,
          .measure = WhereFuseIs(MeasureCounter)};
}

}  // namespace parley_bench
