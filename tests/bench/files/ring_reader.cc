// The peer of fsd: io_uring used directly.
#include "tests/bench/files/ring_reader.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "tests/bench/process.h"

namespace parley_bench {

RingReader::RingReader(common::Descriptor file, ipc::MutableBytes memory, unsigned depth,
                       unsigned block_bytes)
    : file_(std::move(file)),
      memory_(memory),
      depth_(depth),
      block_bytes_(block_bytes),
      blocks_(depth) {
  for (unsigned slot = 0; slot < depth; ++slot) free_.push_back(slot);
}

RingReader::~RingReader() { io_uring_queue_exit(&ring_); }

absl::StatusOr<std::unique_ptr<RingReader>> RingReader::Make(const std::string& path,
                                                             ipc::MutableBytes memory,
                                                             unsigned depth, unsigned block_bytes) {
  common::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return absl::ErrnoToStatus(errno, path);
  auto reader = absl::WrapUnique(new RingReader(std::move(file), memory, depth, block_bytes));
  const int made = io_uring_queue_init(depth, &reader->ring_, 0);
  if (made < 0) {
    return absl::FailedPreconditionError(absl::StrCat("no io_uring: ", std::strerror(-made)));
  }
  return reader;
}

void RingReader::Read(uint64_t count, absl::FunctionRef<uint64_t(uint64_t)> block_of,
                      absl::FunctionRef<void(const std::byte*, uint64_t)> check) {
  for (uint64_t begun = 0, done = 0; done < count;) {
    for (; begun < count && !free_.empty(); ++begun) {
      const unsigned slot = free_.back();
      free_.pop_back();
      blocks_[slot] = block_of(begun);
      io_uring_sqe* entry = io_uring_get_sqe(&ring_);
      io_uring_prep_read(entry, file_.number(), BufferOf(slot), block_bytes_,
                         blocks_[slot] * block_bytes_);
      io_uring_sqe_set_data64(entry, slot);
    }
    Require(io_uring_submit_and_wait(&ring_, 1) >= 0, "io_uring_submit_and_wait");
    io_uring_cqe* entry = nullptr;
    while (io_uring_peek_cqe(&ring_, &entry) == 0) {
      const auto slot = static_cast<unsigned>(entry->user_data);
      if (entry->res != static_cast<int>(block_bytes_)) Fatal("io_uring: a read came short");
      io_uring_cqe_seen(&ring_, entry);
      check(BufferOf(slot), blocks_[slot]);
      free_.push_back(slot);
      ++done;
    }
  }
}

}  // namespace parley_bench
