// Proves that a check which fails in a forked child is printed and counted.
#include "tests/support/child_checks.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <thread>

#include "tests/support/shared.h"

namespace {

// What a child printed that ran `body` and left by _exit, and its exit status.
struct Heard {
  std::string text;
  int status = -1;
  uint64_t failures = 0;
};

Heard ForkAndHear(const std::function<void()>& body) {
  Heard heard;
  const uint64_t before = tests::ChecksFailedInChildren();
  std::array<int, 2> ends;
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    try {
      body();
    } catch (...) {
      _exit(9);
    }
    _exit(0);
  }
  close(ends[1]);
  std::array<char, 4096> part;
  for (ssize_t got; (got = read(ends[0], part.data(), part.size())) > 0;) {
    heard.text.append(part.data(), static_cast<size_t>(got));
  }
  close(ends[0]);
  REQUIRE(waitpid(child, &heard.status, 0) == child);
  heard.failures = tests::ChecksFailedInChildren() - before;
  return heard;
}

bool Says(const Heard& heard, const char* words) {
  return heard.text.find(words) != std::string::npos;
}

TEST_CASE("a check that fails in a child is printed and counted, and the child goes on") {
  const Heard heard = ForkAndHear([] {
    const int one = 1;
    CHECK(one == 2);
    FAIL_CHECK("said in words");
    CHECK(one == 1);
    WARN(one == 3);
  });
  CHECK(heard.failures == 2);
  CHECK(heard.status == 0);
  CHECK(Says(heard, "one == 2"));
  CHECK(Says(heard, "1 == 2"));
  CHECK(Says(heard, "said in words"));
}

TEST_CASE(
    "a requirement that fails in a child is counted, and leaves the program as an exception") {
  const Heard heard = ForkAndHear([] {
    const int one = 1;
    REQUIRE(one == 2);
    CHECK(one == 3);
  });
  CHECK(heard.failures == 1);
  CHECK(WEXITSTATUS(heard.status) == 9);
  CHECK(Says(heard, "REQUIRE"));
}

TEST_CASE("checks that fail in several threads of a child are all counted") {
  const Heard heard = ForkAndHear([] {
    auto fail = [] {
      for (int i = 0; i < 100; ++i) CHECK(i < 0);
    };
    std::thread other(fail);
    fail();
    other.join();
  });
  CHECK(heard.failures == 200);
}

TEST_CASE("what is shared is one thing for a test and its children") {
  tests::Shared<int> number(40);
  tests::SharedText text;
  text.Add('a');
  ForkAndHear([&] {
    ++number;
    text.Add('b');
  });
  CHECK(++number == 42);
  text.Add('c');
  CHECK(text.text() == "abc");
}

}  // namespace
