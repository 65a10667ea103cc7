// A process that means harm: whatever it can write, it writes.
#ifndef PARLEY_TESTS_HOSTILE_EVIL_H_
#define PARLEY_TESTS_HOSTILE_EVIL_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "ipc/process.h"

namespace parley::host::tests {

using Random = std::mt19937_64;

// What is likely to be a limit, or one past it.
uint64_t Tricky(Random& random);

// All that this process may write of what others map by a name that holds `name`, as Linux lists
// it.
struct Range {
  std::byte* address;
  size_t bytes;
};
std::vector<Range> SharedRanges(const char* name);

// Connects to /s, then for `duration` fills all memory that it shares (links, bells, lanes, its
// page of threads), all descriptors that it was given, and its broker's socket with what comes to
// its mind, while threads of its own send, flood and hoard, and serve at /evil without an answer.
// Ends in a random way.
[[noreturn]] void BeEvil(ipc::Process& self, uint64_t seed, absl::Duration duration);

}  // namespace parley::host::tests

#endif  // PARLEY_TESTS_HOSTILE_EVIL_H_
