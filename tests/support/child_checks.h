// Checks that fail in processes forked from the test program.
//
// doctest counts failures in memory, which a child has a copy of, so the test would not hear of
// them. Here they are counted in shared memory; whoever forks compares the count from before with
// that from after. The usual text is printed by the child, complete lines at once, since it may end
// by _exit or by a signal.
#ifndef PARLEY_TESTS_SUPPORT_CHILD_CHECKS_H_
#define PARLEY_TESTS_SUPPORT_CHILD_CHECKS_H_

#include <cstdint>

namespace tests {

// Checks that have failed in processes other than the test program, since it began. A failed
// REQUIRE counts once, and then ends its process as any exception does.
uint64_t ChecksFailedInChildren();

}  // namespace tests

#endif  // PARLEY_TESTS_SUPPORT_CHILD_CHECKS_H_
