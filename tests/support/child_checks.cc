// A listener of doctest's that counts in shared memory.
#include "tests/support/child_checks.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>

#include "tests/support/shared.h"

namespace tests {
namespace {

// Made by the test program; a child has inherited it.
struct Failures {
  const pid_t test_program = getpid();
  Shared<uint64_t> in_children;
};

Failures& TheFailures() {
  static Failures failures;
  return failures;
}

class ChildChecks final : public doctest::IReporter {
 public:
  // Before the first output, and before the first fork.
  explicit ChildChecks(const doctest::ContextOptions&) {
    TheFailures();
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  }

  void log_assert(const doctest::AssertData& check) override {
    if (check.m_failed) Count(check.m_at);
  }
  void log_message(const doctest::MessageData& message) override { Count(message.m_severity); }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

 private:
  static void Count(doctest::assertType::Enum severity) {
    if ((severity & doctest::assertType::is_warn) != 0) return;
    if (getpid() != TheFailures().test_program) ++TheFailures().in_children;
  }
};

}  // namespace

DOCTEST_REGISTER_LISTENER("child-checks", 0, ChildChecks);

uint64_t ChecksFailedInChildren() { return TheFailures().in_children; }

}  // namespace tests
