// Deadlines (D1).
#include "ipc/time.h"

#include <doctest/doctest.h>

namespace {

using ipc::Deadline;

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

int64_t At(const Deadline& deadline, int64_t now_ns) {
  return deadline.Resolve([now_ns] { return now_ns; });
}

TEST_CASE("a deadline is never unless said otherwise") {
  CHECK(At({}, 5) == kNever);
  CHECK(At(Deadline::Never(), 5) == kNever);
  CHECK(At(absl::InfiniteFuture(), 5) == kNever);
  CHECK(At(absl::InfiniteDuration(), 5) == kNever);
}

TEST_CASE("a duration counts from the call, a time does not") {
  CHECK(At(absl::Nanoseconds(7), 5) == 12);
  CHECK(At(absl::FromUnixNanos(7), 5) == 7);
  CHECK(At(Deadline::Poll(), 5) == 5);
}

TEST_CASE("a duration past the clock's end is never, one below zero is past") {
  CHECK(At(absl::Nanoseconds(kNever - 1), 5) == kNever);
  CHECK(At(absl::Hours(24 * 365 * 1000), 5) == kNever);
  CHECK(At(absl::Nanoseconds(-1), 5) < 5);
  CHECK(At(-absl::InfiniteDuration(), 5) < 5);
  CHECK(At(absl::InfinitePast(), 5) < 5);
}

TEST_CASE("the clock is not asked for a time") {
  Deadline(absl::FromUnixNanos(7)).Resolve([]() -> int64_t {
    FAIL_CHECK("asked");
    return 0;
  });
}

}  // namespace
