// What `parley doctor` thinks of a machine, from given facts.
#include <doctest/doctest.h>

#include <cerrno>
#include <functional>

#include "apps/parley/doctor.h"

namespace parley_tool {
namespace {

using Grade = Finding::Grade;

MachineFacts Sound() {
  MachineFacts facts;
  facts.user = "anna";
  facts.uid = 1000;
  facts.rtprio_limit = 99;
  facts.rt_runtime_us = 950000;
  facts.memlock_bytes = 1 << 30;
  facts.cpus = 4;
  return facts;
}

// The one finding that is not ok; fails if there is another number of them.
Finding OnlyComplaint(const std::function<void(MachineFacts&)>& spoil) {
  MachineFacts facts = Sound();
  spoil(facts);
  Finding complaint;
  int complaints = 0;
  for (const Finding& finding : Examine(facts)) {
    CHECK(finding.mend.empty() == (finding.grade == Grade::kOk));
    if (finding.grade == Grade::kOk) continue;
    complaint = finding;
    ++complaints;
  }
  CHECK(complaints == 1);
  return complaint;
}

bool Has(const std::string& text, const char* part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("doctor: a sound machine has nothing to mend") {
  for (const Finding& finding : Examine(Sound())) {
    CHECK(finding.grade == Grade::kOk);
    CHECK(finding.mend == "");
  }
}

TEST_CASE("doctor: without real-time priorities both ways to them are named") {
  MachineFacts facts = Sound();
  facts.rtprio_limit = 0;
  facts.real_time_errno = EPERM;
  const auto findings = Examine(facts);
  CHECK(findings[0].grade == Grade::kMissing);
  CHECK(Has(findings[0].mend, "anna - rtprio 97"));
  CHECK(findings[1].grade == Grade::kMissing);
  CHECK(Has(findings[1].mend, "setcap"));
  CHECK(findings[2].grade == Grade::kOk);  // the group is not to blame
  facts.may_nice = true;
  facts.real_time_errno = 0;
  for (const Finding& finding : Examine(facts)) CHECK(finding.grade == Grade::kOk);
}

TEST_CASE("doctor: a control group without real-time budget is told from a missing right") {
  const Finding group = OnlyComplaint([](MachineFacts& facts) { facts.real_time_errno = EPERM; });
  CHECK(group.grade == Grade::kMissing);
  CHECK(Has(group.mend, "cpu.rt_runtime_us"));
  const Finding none = OnlyComplaint([](MachineFacts& facts) { facts.rt_runtime_us = 0; });
  CHECK(Has(none.mend, "sched_rt_runtime_us"));
}

TEST_CASE("doctor: tracing that is shut off slows large messages, unless by capability") {
  const Finding scope = OnlyComplaint([](MachineFacts& facts) { facts.ptrace_scope = 1; });
  CHECK(scope.grade == Grade::kSlower);
  CHECK(Has(scope.tells, "4096"));
  MachineFacts facts = Sound();
  facts.ptrace_scope = 2;
  facts.may_trace = true;
  CHECK(Examine(facts)[3].grade == Grade::kOk);
  facts.ptrace_scope = 3;
  CHECK(Examine(facts)[3].grade == Grade::kSlower);
  CHECK(Has(Examine(facts)[3].mend, "boot"));
}

TEST_CASE("doctor: io_uring is mended where it was switched off") {
  const Finding seccomp = OnlyComplaint([](MachineFacts& facts) { facts.io_uring_errno = EPERM; });
  CHECK(seccomp.grade == Grade::kMissing);
  CHECK(Has(seccomp.mend, "seccomp"));
  const Finding disabled = OnlyComplaint([](MachineFacts& facts) {
    facts.io_uring_errno = EPERM;
    facts.io_uring_disabled = 2;
  });
  CHECK(Has(disabled.mend, "io_uring_disabled"));
}

TEST_CASE("doctor: what costs only speed is not missing") {
  CHECK(OnlyComplaint([](MachineFacts& facts) { facts.cpus = 1; }).grade == Grade::kSlower);
  CHECK(OnlyComplaint([](MachineFacts& facts) { facts.memlock_bytes = 0; }).grade ==
        Grade::kSlower);
  CHECK(OnlyComplaint([](MachineFacts& facts) { facts.dma_latency_errno = EACCES; }).grade ==
        Grade::kSlower);
}

}  // namespace parley_tool
