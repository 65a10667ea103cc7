// A process that means harm: whatever it can write, it writes.
#ifndef PARLEY_TESTS_HOSTILE_EVIL_H_
#define PARLEY_TESTS_HOSTILE_EVIL_H_

#include <cstdint>

#include "ipc/process.h"

namespace parley::host::tests {

// Connects to /s, then for `duration` fills all memory that it shares (links, bells, lanes, its
// page of threads), all descriptors that it was given, and its broker's socket with what comes to
// its mind, while threads of its own send, flood and hoard, and serve at /evil without an answer.
// Ends in a random way.
[[noreturn]] void BeEvil(ipc::Process& self, uint64_t seed, absl::Duration duration);

}  // namespace parley::host::tests

#endif  // PARLEY_TESTS_HOSTILE_EVIL_H_
