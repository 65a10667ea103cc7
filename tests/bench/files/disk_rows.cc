// A file through fsd into a region, against io_uring on the same file: from Linux's page cache,
// into the same memory, with blocks of the same size and as many in flight.
#include <atomic>
#include <vector>

#include "ipc/file.h"
#include "servers/fsd/fsd.h"
#include "tests/bench/board.h"
#include "tests/bench/files/ring_reader.h"
#include "tests/bench/files/scene.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

constexpr uint64_t kBigBlock = kMi;
constexpr unsigned kBigInFlight = 4;
constexpr unsigned kSmallInFlight = 32;
constexpr uint64_t kSmallReads = 64 * 1024;  // a round

// Where fsd runs, and its client; empty: anywhere.
struct Cpus {
  Cpus() {
    if (AllowedCpus().size() < 2) return;
    server = ServerCpus(Placement::kTwoCores);
    client = ClientCpus(Placement::kTwoCores);
  }
  std::vector<int> server, client;
};

std::vector<ServerProgram> Fsd(const Bench& bench, const Cpus& cpus) {
  const auto pinned = [&cpus](ipc::Process& self) {
    RunOn(cpus.server);
    return fsd::Main(self);
  };
  return {{.name = "fsd", .main = pinned, .arguments = {bench.served()}}};
}

// The sequence of pages that both sides read.
class RandomPages {
 public:
  explicit RandomPages(const Bench& bench) : pages_(bench.bytes / kPageBytes) {}
  uint64_t At(uint64_t i) const {
    uint64_t mixed = (i + 1) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (mixed ^ (mixed >> 31)) % pages_;
  }

 private:
  const uint64_t pages_;
};

void CheckBlock(const std::byte* bytes, uint64_t block) {
  constexpr uint64_t kPages = kBigBlock / kPageBytes;
  for (uint64_t page : {uint64_t{0}, kPages - 1}) {
    CheckPage(bytes + page * kPageBytes, block * kPages + page);
  }
}

// The nanoseconds that each of `count` takes if the calling thread makes them on that CPU.
double TimeOn(const std::vector<int>& cpus, uint64_t count, absl::FunctionRef<void()> make) {
  RunOn(cpus);
  const double begin = NowNs();
  make();
  return (NowNs() - begin) / static_cast<double>(count);
}

// Runs `body` in so many threads at once, each told its number. New ones for each round: how long a
// thread looks for an answer before it sleeps, it has learned from what else ran on this machine.
void InThreads(ipc::Process& self, unsigned count, const std::function<void(unsigned)>& body) {
  std::vector<ipc::Thread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.push_back(self.Spawn({}, [&body, i] { body(i); }).value());
  }
  for (ipc::Thread& thread : threads) {
    if (!thread.Join().ok()) Fatal("a thread cannot be joined");
  }
}

// All of the file, a block a message, several threads at it.
void ReadSequentially(ipc::Process& self, const ipc::File& file, const ipc::Region& region,
                      uint64_t blocks) {
  std::atomic<uint64_t> next = 0;
  InThreads(self, kBigInFlight, [&](unsigned slot) {
    for (uint64_t block; (block = next++) < blocks;) {
      const auto count = file.ReadAt(block * kBigBlock, region.Out(slot * kBigBlock, kBigBlock));
      if (!count.ok() || *count != kBigBlock) Fatal("fsd: a read came short");
      CheckBlock(region.read().data() + slot * kBigBlock, block);
    }
  });
}

absl::StatusOr<Rounds> MeasureSequential(const Bench& bench) {
  const uint64_t blocks = bench.bytes / kBigBlock;
  const Cpus cpus;
  return RunScene(bench, Fsd(bench, cpus), [&](ipc::Process& self, const Alternate& alternate) {
    const ipc::Region region = self.CreateRegion(kBigInFlight * kBigBlock).value();
    const ipc::File file = ipc::File::Open(self, "/fs/file", O_RDONLY, 0, kSoon).value();
    const auto ring = RingReader::Make(bench.file(), region.write(), kBigInFlight, kBigBlock);
    if (!ring.ok()) Fatal(std::string(ring.status().message()));
    alternate(
        [&] {
          return TimeOn(cpus.client, blocks, [&] { ReadSequentially(self, file, region, blocks); });
        },
        [&] {
          return TimeOn(cpus.server, blocks, [&] {
            (*ring)->Read(
                blocks, [](uint64_t i) { return i; }, CheckBlock);
          });
        });
  });
}

// -- 4 KiB each, anywhere

void ReadRandomly(const ipc::File& file, const ipc::Region& region, const RandomPages& pages) {
  std::array<ipc::Piece, kSmallInFlight> pieces;
  for (uint64_t first = 0; first < kSmallReads; first += pieces.size()) {
    for (uint64_t i = 0; i < pieces.size(); ++i) {
      pieces[i] = {
          .offset = pages.At(first + i) * kPageBytes, .at = i * kPageBytes, .length = kPageBytes};
    }
    if (!file.ReadAt(absl::MakeSpan(pieces), region.Out()).ok()) Fatal("fsd: a read failed");
    for (uint64_t i = 0; i < pieces.size(); ++i) {
      if (pieces[i].count != kPageBytes) Fatal("fsd: a read came short");
      CheckPage(region.read().data() + pieces[i].at, pages.At(first + i));
    }
  }
}

absl::StatusOr<Rounds> MeasureRandom(const Bench& bench) {
  const RandomPages pages(bench);
  const Cpus cpus;
  return RunScene(bench, Fsd(bench, cpus), [&](ipc::Process& self, const Alternate& alternate) {
    const ipc::Region region = self.CreateRegion(kSmallInFlight * kPageBytes).value();
    const ipc::File file = ipc::File::Open(self, "/fs/file", O_RDONLY, 0, kSoon).value();
    const auto ring = RingReader::Make(bench.file(), region.write(), kSmallInFlight, kPageBytes);
    if (!ring.ok()) Fatal(std::string(ring.status().message()));
    alternate(
        [&] {
          return TimeOn(cpus.client, kSmallReads, [&] {
            InThreads(self, 1, [&](unsigned) { ReadRandomly(file, region, pages); });
          });
        },
        [&] {
          return TimeOn(cpus.server, kSmallReads, [&] {
            (*ring)->Read(
                kSmallReads, [&](uint64_t i) { return pages.At(i); }, CheckPage);
          });
        });
  });
}

}  // namespace

Comparison SequentialRead() {
  return {.what = "sequential-read",
          .ours = "fsd",
          .peer = "io_uring",
          .bar = 0.9,
          .bytes_each = kBigBlock,
          .measure = MeasureSequential};
}

Comparison RandomRead() {
  return {.what = "random-4Ki-32",
          .ours = "fsd",
          .peer = "io_uring",
          .bar = 0.8,
          .bytes_each = kPageBytes,
          .measure = MeasureRandom};
}

}  // namespace parley_bench
