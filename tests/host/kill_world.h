// The world of kill_test.cc: those who live on, those who die, and what they share.
#ifndef PARLEY_TESTS_HOST_KILL_WORLD_H_
#define PARLEY_TESTS_HOST_KILL_WORLD_H_

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/world.h"

namespace parley::host::tests {

// How long wakes took, by powers of two of a microsecond.
struct Wakes {
  std::atomic<uint64_t> count = 0;
  std::atomic<int64_t> worst_ns = 0;
  std::array<std::atomic<uint64_t>, 40> of_width = {};

  void Add(int64_t ns) {
    ns = std::max<int64_t>(ns, 0);
    ++count;
    ++of_width.at(static_cast<size_t>(std::bit_width(static_cast<uint64_t>(ns / 1000))));
    int64_t worst = worst_ns;
    while (worst < ns && !worst_ns.compare_exchange_weak(worst, ns)) {
    }
  }
  int64_t worst_us() const { return worst_ns / 1000; }
  // This part of them took less, in us.
  int64_t WithinUs(double part) const {
    uint64_t seen = 0;
    for (size_t width = 0; width < of_width.size(); ++width) {
      seen += of_width[width];
      if (static_cast<double>(seen) >= static_cast<double>(count) * part)
        return int64_t{1} << width;
    }
    return 0;
  }
};

struct Battlefield {
  std::array<std::atomic<pid_t>, 8> victims = {};  // by lane, once they know
  std::array<char, 64> broker_address = {};
  std::atomic<bool> over = false;
  std::atomic<int> kills = 0;
  std::atomic<int> brokers = 0;
  Wakes wakes;
  std::atomic<uint64_t> answered = 0;  // calls of the survivors
  std::atomic<int64_t> slowest_us = 0;
};

// What /steady and /pool are asked for, in the first byte of a request.
enum class Wish : uint8_t {
  kEcho,    // the request comes back
  kDefer,   // it is answered when the next such request comes
  kLease,   // the server touches each region that came along
  kRedeem,  // a token of the client's follows: the server maps and reads what it names
  kGrant,   // the reply is a token of a region of the server's
  kCount,   // the reply is how many other clients the server knows of, as 8 bytes; who was deferred
            // is let go
};

// Servers at /steady (one thread) and /pool (two), and two clients of them that judge.
std::vector<::tests::Actor> Survivors(Battlefield& field);
// The programs "server", "client", "holder" and "mayfly", each with the arguments lane, path, seed.
std::vector<::tests::Actor> Victims(Battlefield& field);

// Whether the server comes to know of just so many client processes, besides the caller. Who has
// closed its last connection counts no more, so the caller keeps its own.
bool SettlesTo(ipc::Process& self, const ipc::Connection& to, uint64_t clients);

}  // namespace parley::host::tests

#endif  // PARLEY_TESTS_HOST_KILL_WORLD_H_
