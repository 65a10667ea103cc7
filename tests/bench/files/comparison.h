// What Parley's way to files is compared with: each comparison is a row of Parley's and a row of
// its peer's, measured in turn in one run.
#ifndef PARLEY_TESTS_BENCH_FILES_COMPARISON_H_
#define PARLEY_TESTS_BENCH_FILES_COMPARISON_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace parley_bench {

// Where the measuring happens.
struct Bench {
  std::string folder;  // of the bench's own, on a disk
  uint64_t bytes = 0;  // of the file, a multiple of 1 MiB
  int rounds = 0;

  std::string served() const { return folder + "/served"; }  // what fsd serves at /fs
  std::string file() const { return served() + "/" + kFile; }
  static constexpr char kFile[] = "file";
};

// Nanoseconds for one, a sample for each round; of either side as many.
struct Rounds {
  std::vector<double> ours, peers;
};

struct Comparison {
  std::string what;         // "sequential-read"
  std::string ours, peer;   // "fsd", "io_uring"
  double bar = 0;           // so many times the peer's speed is to be reached
  uint64_t bytes_each = 0;  // that one moves; 0: speed is told in pieces
  // FailedPrecondition: this machine cannot, and why.
  std::function<absl::StatusOr<Rounds>(const Bench&)> measure;
};

// Reads through fsd into a region, against io_uring on the same file.
Comparison SequentialRead();
Comparison RandomRead();
// A file of fsd's by fused, against a libfuse3 file system that passes the same file through.
Comparison FuseRead();
// A small device by ipc/file.h, against a FUSE file system that does the same.
Comparison CounterRead();

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_FILES_COMPARISON_H_
