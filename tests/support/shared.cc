// Counts failed checks where the test can see them, whichever process they fail in.
#include "tests/support/shared.h"

#include <doctest/doctest.h>

namespace tests {
namespace {

Shared<uint64_t>& Failures() {
  static Shared<uint64_t> failures;
  return failures;
}

struct FailureCounter final : doctest::IReporter {
  explicit FailureCounter(const doctest::ContextOptions&) { Failures(); }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& check) override {
    if (check.m_failed) ++Failures();
  }
  void log_message(const doctest::MessageData& message) override {
    if ((message.m_severity & doctest::assertType::is_warn) == 0) ++Failures();
  }
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

}  // namespace

DOCTEST_REGISTER_LISTENER("failure-counter", 1, FailureCounter);

uint64_t FailedChecks() { return Failures(); }

}  // namespace tests
