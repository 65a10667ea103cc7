// The peer of fsd: io_uring used directly, by one thread, on buffered files.
#ifndef PARLEY_TESTS_BENCH_FILES_RING_READER_H_
#define PARLEY_TESTS_BENCH_FILES_RING_READER_H_

#include <liburing.h>

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "ipc/bytes.h"
#include "servers/common/descriptor.h"

namespace parley_bench {

class RingReader {
 public:
  // `memory`: a buffer of `block_bytes` for each of the `depth` reads that are in flight.
  // FailedPrecondition: Linux does not permit io_uring.
  static absl::StatusOr<std::unique_ptr<RingReader>> Make(const std::string& path,
                                                          ipc::MutableBytes memory, unsigned depth,
                                                          unsigned block_bytes);
  ~RingReader();
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;

  // Reads `count` blocks: the i-th is block_of(i), and is handed to `check` once it has come.
  void Read(uint64_t count, absl::FunctionRef<uint64_t(uint64_t)> block_of,
            absl::FunctionRef<void(const std::byte*, uint64_t block)> check);

 private:
  RingReader(common::Descriptor file, ipc::MutableBytes memory, unsigned depth,
             unsigned block_bytes);
  std::byte* BufferOf(unsigned slot) const { return memory_.data() + slot * block_bytes_; }

  const common::Descriptor file_;
  const ipc::MutableBytes memory_;
  const unsigned depth_, block_bytes_;
  io_uring ring_ = {};
  std::vector<unsigned> free_;    // slots
  std::vector<uint64_t> blocks_;  // by slot: what is being read into it
};

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_FILES_RING_READER_H_
