// PARLEY_CHECK: the assertion that stays on.
#include "kernel-sim/core/check.h"

#include <doctest/doctest.h>

#include "tests/core/death.h"

namespace parley {
namespace {

TEST_CASE("core: a failed check ends the process and says what and where") {
  const int one = 1;
  const std::string words = tests::LastWords([&] { PARLEY_CHECK(one == 2); });
  CHECK(words.find("check_test.cc:") != std::string::npos);
  CHECK(words.find("broken invariant: one == 2") != std::string::npos);
}

TEST_CASE("core: a check that holds evaluates its condition once and does nothing") {
  int evaluated = 0;
  PARLEY_CHECK(++evaluated == 1);
  CHECK(evaluated == 1);
  CHECK(tests::LastWords([&] { PARLEY_CHECK(evaluated == 1); }).empty());
}

}  // namespace
}  // namespace parley
