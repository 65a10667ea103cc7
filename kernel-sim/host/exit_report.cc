// Exits as Linux tells them, or as a process's last words do.
#include "kernel-sim/host/exit_report.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace parley::host {
namespace {

std::string TextOf(const char* begin, size_t room) {
  return std::string(begin, strnlen(begin, room));
}

std::string KilledBy(int signal_number) {
  const char* name = sigabbrev_np(signal_number);
  return absl::StrCat("killed by signal ", signal_number,
                      name == nullptr ? "" : absl::StrCat(" (SIG", name, ")"));
}

int64_t NsOf(const timeval& time) { return time.tv_sec * 1'000'000'000 + time.tv_usec * 1000; }

}  // namespace

ExitStatus ReadExit(const siginfo_t& linux_says, const Farewell& farewell) {
  const int status = linux_says.si_status;  // an exit code, or a signal
  if (linux_says.si_code == CLD_EXITED && farewell.said == 0) {
    return {ExitKind::kReturned, status, ""};
  }
  if (linux_says.si_code == CLD_EXITED) {
    if (farewell.kind > static_cast<uint32_t>(ExitKind::kStackOverflow)) {
      return {ExitKind::kFault, 128, "its farewell makes no sense"};
    }
    return {static_cast<ExitKind>(farewell.kind), farewell.code,
            TextOf(farewell.reason.data(), farewell.reason.size())};
  }
  if (status == SIGKILL || status == SIGTERM) return {ExitKind::kKilled, 128, KilledBy(status)};
  if (status == SIGABRT) return {ExitKind::kException, 128, "aborted"};
  return {ExitKind::kFault, 128, KilledBy(status)};
}

void ReadNumbers(const Farewell& farewell, const rusage& used, ProcessReport& report) {
  report.cpu_ns = NsOf(used.ru_utime) + NsOf(used.ru_stime);
  report.messages_sent = farewell.messages_sent;
  report.messages_received = farewell.messages_received;
  report.bytes_copied = farewell.bytes_copied;
  report.bytes_leased = farewell.bytes_leased;
  report.late_responses = farewell.late_responses;
  // A clock on each send's way is for those alone who have a limit to hold.
  const bool timed = report.response_limit_ns != kNever;
  report.worst_response_ns = timed ? farewell.worst_response_ns : ProcessReport::kNotMeasured;
  const size_t count = std::min<size_t>(farewell.counters_used, Farewell::kMaxCounters);
  for (size_t i = 0; i < count; ++i) {
    const Farewell::Counter& counter = farewell.counters[i];
    report.counters[TextOf(counter.name.data(), counter.name.size())] = counter.total;
  }
}

}  // namespace parley::host
