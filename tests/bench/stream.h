// Whole requests and replies through file descriptors that may move fewer bytes at a time.
#ifndef PARLEY_TESTS_BENCH_STREAM_H_
#define PARLEY_TESTS_BENCH_STREAM_H_

#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "tests/bench/process.h"

namespace parley_bench {

inline void WriteAll(int fd, const void* data, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const ssize_t moved = write(fd, from, bytes);
    Require(moved > 0 || errno == EINTR, "write");
    if (moved <= 0) continue;
    from += moved;
    bytes -= static_cast<size_t>(moved);
  }
}

inline void ReadAll(int fd, void* data, size_t bytes) {
  auto* to = static_cast<std::byte*>(data);
  while (bytes > 0) {
    const ssize_t moved = read(fd, to, bytes);
    if (moved == 0) _exit(0);  // the other side has ended: so does this
    Require(moved > 0 || errno == EINTR, "read");
    if (moved < 0) continue;
    to += moved;
    bytes -= static_cast<size_t>(moved);
  }
}

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_STREAM_H_
