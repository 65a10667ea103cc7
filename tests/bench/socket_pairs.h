// A connected pair of Unix stream sockets for each client, which both processes inherit: for peers
// that need no listening socket, and so leave none behind.
#ifndef PARLEY_TESTS_BENCH_SOCKET_PAIRS_H_
#define PARLEY_TESTS_BENCH_SOCKET_PAIRS_H_

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "tests/bench/process.h"

namespace parley_bench {

class SocketPairs {
 public:
  explicit SocketPairs(int clients) : pairs_(static_cast<size_t>(clients)) {
    for (std::array<int, 2>& pair : pairs_) {
      Require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) == 0, "socketpair");
    }
  }
  SocketPairs(const SocketPairs&) = delete;
  SocketPairs& operator=(const SocketPairs&) = delete;
  ~SocketPairs() {
    for (const std::array<int, 2>& pair : pairs_) {
      for (int fd : pair) close(fd);
    }
  }

  int size() const { return static_cast<int>(pairs_.size()); }
  int server_end(int client) const { return pairs_[static_cast<size_t>(client)][0]; }
  int client_end(int client) const { return pairs_[static_cast<size_t>(client)][1]; }

 private:
  std::vector<std::array<int, 2>> pairs_;
};

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_SOCKET_PAIRS_H_
