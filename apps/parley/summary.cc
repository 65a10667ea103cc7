// Tables of a run.
#include "apps/parley/summary.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "apps/parley/runner.h"
#include "apps/parley/text.h"

namespace parley_tool {
namespace {

std::string DescribeExit(const parley::ProcessReport& process) {
  if (process.running) return process.service ? "service" : "blocked";
  switch (process.exit.kind) {
    case parley::ExitKind::kReturned:
      return absl::StrCat(process.exit.code);
    case parley::ExitKind::kKilled:
      return "killed";
    case parley::ExitKind::kException:
      return "exception";
    case parley::ExitKind::kFault:
      return "fault";
    case parley::ExitKind::kStackOverflow:
      return "overflow";
  }
  return "";
}

// The bucket's upper bound where the quantile falls: within a factor of 2, as the name of the
// column says.
int64_t Quantile(const parley::ResponseReport& response, double quantile) {
  const auto rank = static_cast<uint64_t>(quantile * static_cast<double>(response.count - 1));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < response.histogram.size(); ++bucket) {
    seen += response.histogram[bucket];
    if (seen > rank) return std::min<int64_t>((int64_t{1} << bucket) - 1, response.worst_ns);
  }
  return response.worst_ns;
}

// Its base priority at the start; a process that another one started is not in the manifest.
std::string PriorityOf(const Manifest& manifest, const std::string& name) {
  for (const parley::InitialProcess& process : manifest.processes) {
    if (process.options.name == name) return absl::StrCat(process.options.scheduling.priority);
  }
  return "-";
}

void PrintProcesses(const Manifest& manifest, const parley::RunReport& report) {
  std::printf("%-16s %8s %9s %9s %8s %8s %10s %10s %9s %6s\n", "process", "priority", "exit", "cpu",
              "sent", "received", "copied", "by region", "worst", "late");
  for (const parley::ProcessReport& process : report.processes) {
    const bool timed = process.messages_sent > 0 &&
                       process.worst_response_ns != parley::ProcessReport::kNotMeasured;
    const bool limited = process.response_limit_ns != parley::kNever;
    std::printf("%-16s %8s %9s %9s %8lu %8lu %10s %10s %9s %6s\n", process.name.c_str(),
                PriorityOf(manifest, process.name).c_str(), DescribeExit(process).c_str(),
                FormatNs(process.cpu_ns).c_str(), static_cast<unsigned long>(process.messages_sent),
                static_cast<unsigned long>(process.messages_received),
                FormatBytes(process.bytes_copied).c_str(),
                FormatBytes(process.bytes_leased).c_str(),
                timed ? FormatNs(process.worst_response_ns).c_str() : "-",
                limited ? absl::StrCat(process.late_responses).c_str() : "-");
  }
}

void PrintResponses(const parley::RunReport& report) {
  if (report.responses.empty()) return;
  std::printf("\n%-16s %9s %10s %10s %10s %10s\n", "priority", "calls", "mean",
              "p50 <=", "p99 <=", "worst");
  for (auto row = report.responses.rbegin(); row != report.responses.rend(); ++row) {
    const parley::ResponseReport& response = row->second;
    std::printf("%-16d %9lu %10s %10s %10s %10s\n", row->first,
                static_cast<unsigned long>(response.count),
                FormatNs(response.total_ns / static_cast<int64_t>(response.count)).c_str(),
                FormatNs(Quantile(response, 0.5)).c_str(),
                FormatNs(Quantile(response, 0.99)).c_str(), FormatNs(response.worst_ns).c_str());
  }
}

}  // namespace

void PrintProblems(const Manifest& manifest, const parley::RunReport& report) {
  for (const std::string& problem : report.problems) std::printf("! %s\n", problem.c_str());
  for (const std::string& failure : Judge(manifest, report)) std::printf("! %s\n", failure.c_str());
}

void PrintSummary(const Manifest& manifest, const parley::RunReport& report) {
  const std::string took = FormatNs(report.end_ns);
  if (report.real_time) {
    std::printf("%s: %s as real processes\n", manifest.name.c_str(), took.c_str());
  } else {
    std::printf("%s: %s of virtual time, %lu kernel calls, %lu context switches\n",
                manifest.name.c_str(), took.c_str(),
                static_cast<unsigned long>(report.kernel_calls),
                static_cast<unsigned long>(report.context_switches));
  }
  PrintProblems(manifest, report);
  for (const std::string& note : report.notes) std::printf("%s\n", note.c_str());
  std::printf("\n");
  PrintProcesses(manifest, report);
  PrintResponses(report);
  bool any = false;
  for (const parley::ProcessReport& process : report.processes) {
    for (const auto& [counter, total] : process.counters) {
      std::printf("%s%-16s %s = %ld\n", any ? "" : "\n", process.name.c_str(), counter.c_str(),
                  static_cast<long>(total));
      any = true;
    }
  }
  if (Failed(manifest, report)) {
    std::printf("\nFAILED: the lines at the top that begin with ! say why\n");
  } else if (!manifest.expectations.empty()) {
    std::printf("\nall %zu expectations hold\n", manifest.expectations.size());
  }
}

}  // namespace parley_tool
