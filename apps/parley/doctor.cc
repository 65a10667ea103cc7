// `parley doctor`: what this machine lacks, what that costs, and what mends it.
#include "apps/parley/doctor.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "apps/parley/arguments.h"
#include "apps/parley/commands.h"
#include "apps/parley/text.h"

namespace parley_tool {

const char kDoctorHelp[] =
    "usage: parley doctor [--json]\n\n"
    "Looks at what the host kernel needs of this machine and user. For each thing one line: ok,\n"
    "slower (only speed suffers) or MISSING (a guarantee does not hold), what that costs, and "
    "what\n"
    "mends it. The status is 1 if something is missing.\n";

namespace {

using Grade = Finding::Grade;

// Of SCHED_FIFO: the agent of each process, and the broker (kernel-sim/host/linux_priority.h).
constexpr uint64_t kHighestRealTime = 97;
constexpr uint64_t kEnoughLockedBytes = 64 << 20;

Finding ExamineRealTimeLimit(const MachineFacts& facts) {
  const std::string what = "rtprio limit";
  if (facts.rtprio_limit >= kHighestRealTime || facts.may_nice) {
    return {what, Grade::kOk,
            facts.may_nice ? "real-time priorities by capability"
                           : absl::StrCat("real-time priorities up to ", facts.rtprio_limit),
            ""};
  }
  return {what, Grade::kMissing,
          absl::StrCat("is ", facts.rtprio_limit, " of ", kHighestRealTime,
                       ": queues keep their order, but Linux shares the CPUs out as it likes"),
          absl::StrCat("echo '", facts.user, " - rtprio ", kHighestRealTime,
                       "' | sudo tee /etc/security/limits.d/parley.conf, then log in again")};
}

Finding ExamineCapability(const MachineFacts& facts) {
  const std::string what = "CAP_SYS_NICE";
  if (facts.may_nice) return {what, Grade::kOk, "held", ""};
  if (facts.rtprio_limit >= kHighestRealTime) {
    return {what, Grade::kOk, "not held, nor needed: the rtprio limit is enough", ""};
  }
  return {what, Grade::kMissing, "not held, and the rtprio limit does not make up for it",
          "sudo setcap cap_sys_nice+ep $(command -v parley), or raise the rtprio limit"};
}

Finding ExamineRealTimeBudget(const MachineFacts& facts) {
  const std::string what = "real-time budget";
  if (facts.rt_runtime_us == 0) {
    return {what, Grade::kMissing, "is 0: no real-time thread may run at all",
            "sudo sysctl -w kernel.sched_rt_runtime_us=950000"};
  }
  const bool permitted = facts.may_nice || facts.rtprio_limit > 0;
  if (permitted && facts.real_time_errno != 0) {
    return {what, Grade::kMissing,
            absl::StrCat("this control group has none: real-time priorities are refused (",
                         strerror(facts.real_time_errno), ")"),
            "echo 950000 | sudo tee /sys/fs/cgroup/cpu/$(sed -n 's/.*[:,]cpu[,:].*:*\\///p' "
            "/proc/self/cgroup)/cpu.rt_runtime_us, or run outside of the group"};
  }
  return {what, Grade::kOk,
          facts.rt_runtime_us < 0 ? "all of each CPU's time"
                                  : absl::StrCat(facts.rt_runtime_us, " us of each period"),
          ""};
}

Finding ExamineTracing(const MachineFacts& facts) {
  const std::string what = "ptrace scope";
  if (facts.ptrace_scope == 0 || (facts.may_trace && facts.ptrace_scope < 3)) {
    return {what, Grade::kOk, "long messages are copied at once", ""};
  }
  return {what, Grade::kSlower,
          absl::StrCat("is ", facts.ptrace_scope,
                       ": messages of more than 4096 bytes are copied twice, by their clients"),
          facts.ptrace_scope >= 3
              ? "boot with kernel.yama.ptrace_scope=0 in /etc/sysctl.d: 3 stays until then"
              : "sudo sysctl -w kernel.yama.ptrace_scope=0"};
}

Finding ExamineLockedMemory(const MachineFacts& facts) {
  const std::string what = "memlock limit";
  if (facts.memlock_bytes >= kEnoughLockedBytes) return {what, Grade::kOk, "enough", ""};
  return {what, Grade::kSlower,
          absl::StrCat("is ", FormatBytes(facts.memlock_bytes),
                       ": where memory is short, what a program would lock may be swapped out"),
          absl::StrCat("echo '", facts.user,
                       " - memlock unlimited' | sudo tee -a /etc/security/limits.d/parley.conf, "
                       "then log in again")};
}

Finding ExamineLatency(const MachineFacts& facts) {
  const std::string what = "cpu_dma_latency";
  if (facts.dma_latency_errno == 0) return {what, Grade::kOk, "can be held", ""};
  return {what, Grade::kSlower,
          "cannot be held: to wake a CPU that has gone idle may take 50 us and more",
          facts.dma_latency_errno == ENOENT
              ? "none here: where Linux runs on bare metal it has this device"
              : absl::StrCat("sudo setfacl -m u:", facts.user, ":rw /dev/cpu_dma_latency")};
}

Finding ExamineIoUring(const MachineFacts& facts) {
  const std::string what = "io_uring";
  if (facts.io_uring_errno == 0) return {what, Grade::kOk, "permitted", ""};
  std::string mend =
      "permit io_uring_setup, io_uring_enter and io_uring_register in the seccomp "
      "profile of this container";
  if (facts.io_uring_disabled != 0) mend = "sudo sysctl -w kernel.io_uring_disabled=0";
  if (facts.io_uring_errno == ENOMEM)
    mend = "raise the memlock limit: this Linux counts rings in it";
  return {what, Grade::kMissing,
          absl::StrCat("refused (", strerror(facts.io_uring_errno),
                       "): the broker cannot run, so neither can --kernel=host"),
          mend};
}

Finding ExamineCpus(const MachineFacts& facts) {
  const std::string what = "CPUs";
  if (facts.cpus >= 2) return {what, Grade::kOk, absl::StrCat(facts.cpus), ""};
  return {what, Grade::kSlower, "one: client and server take turns, so no wait is spun away",
          "give this process another CPU: taskset, cpuset of its container, a larger machine"};
}

const char* NameOf(Grade grade) {
  if (grade == Grade::kOk) return "ok";
  return grade == Grade::kSlower ? "slower" : "MISSING";
}

}  // namespace

std::vector<Finding> Examine(const MachineFacts& facts) {
  return {ExamineRealTimeLimit(facts), ExamineCapability(facts),  ExamineRealTimeBudget(facts),
          ExamineTracing(facts),       ExamineIoUring(facts),     ExamineCpus(facts),
          ExamineLatency(facts),       ExamineLockedMemory(facts)};
}

std::string FindingsText(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    absl::StrAppendFormat(&text, "%-7s  %-16s  %s", NameOf(finding.grade), finding.what,
                          finding.tells);
    if (!finding.mend.empty()) absl::StrAppend(&text, "; mend: ", finding.mend);
    text.push_back('\n');
  }
  return text;
}

std::string FindingsJson(const std::vector<Finding>& findings) {
  std::string text = "{\"findings\": [\n";
  for (const Finding& finding : findings) {
    absl::StrAppend(&text, &finding == &findings.front() ? "" : ",\n",
                    "  {\"what\": ", JsonString(finding.what),
                    ", \"grade\": ", JsonString(NameOf(finding.grade)),
                    ", \"tells\": ", JsonString(finding.tells),
                    ", \"mend\": ", JsonString(finding.mend), "}");
  }
  return text + "\n]}\n";
}

int DoctorCommand(const std::vector<std::string>& words) {
  auto arguments = Arguments::Parse(words, {"--json"});
  if (!arguments.ok()) return Misuse(arguments.status());
  const std::vector<Finding> findings = Examine(ReadFacts());
  const std::string text =
      arguments->Has("--json") ? FindingsJson(findings) : FindingsText(findings);
  std::fputs(text.c_str(), stdout);
  const bool missing = std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.grade == Grade::kMissing;
  });
  return missing ? 1 : 0;
}

}  // namespace parley_tool
