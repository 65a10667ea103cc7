// A run's report as JSON. See report_json.h.
#include "apps/parley/report_json.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "apps/parley/runner.h"
#include "apps/parley/text.h"

namespace parley_tool {
namespace {

std::string ProcessJson(const parley::ProcessReport& process) {
  const std::string counters = absl::StrJoin(
      process.counters, ", ", [](std::string* out, const std::pair<const std::string, int64_t>& c) {
        absl::StrAppend(out, JsonString(c.first), ": ", c.second);
      });
  return absl::StrCat(
      "    {\"name\": ", JsonString(process.name), ", \"exit_code\": ", process.exit.code,
      ", \"running\": ", process.running ? "true" : "false",
      ", \"messages_sent\": ", process.messages_sent,
      ", \"messages_received\": ", process.messages_received,
      ", \"bytes_copied\": ", process.bytes_copied, ", \"bytes_leased\": ", process.bytes_leased,
      ", \"late_responses\": ", process.late_responses, ", \"worst_response_ns\": ",
      process.worst_response_ns == parley::ProcessReport::kNotMeasured
          ? "null"
          : absl::StrCat(process.worst_response_ns),
      ", \"cpu_ns\": ", process.cpu_ns, ", \"counters\": {", counters, "}}");
}

std::string ResponseJson(const std::pair<const int, parley::ResponseReport>& row) {
  const auto& [priority, response] = row;
  return absl::StrCat("    {\"priority\": ", priority, ", \"count\": ", response.count,
                      ", \"total_ns\": ", response.total_ns, ", \"worst_ns\": ", response.worst_ns,
                      "}");
}

}  // namespace

std::string ReportJson(const Manifest& manifest, const parley::RunReport& report) {
  const std::string processes = absl::StrJoin(
      report.processes, ",\n", [](std::string* out, const parley::ProcessReport& process) {
        absl::StrAppend(out, ProcessJson(process));
      });
  const std::string responses =
      absl::StrJoin(report.responses, ",\n",
                    [](std::string* out, const std::pair<const int, parley::ResponseReport>& row) {
                      absl::StrAppend(out, ResponseJson(row));
                    });
  const auto counted = [&](uint64_t count) {
    return report.real_time ? "null" : absl::StrCat(count);
  };
  return absl::StrCat(
      "{\n  \"name\": ", JsonString(manifest.name),
      ",\n  \"failed\": ", Failed(manifest, report) ? "true" : "false",
      ",\n  \"real_time\": ", report.real_time ? "true" : "false",
      ",\n  \"end_ns\": ", report.end_ns, ",\n  \"kernel_calls\": ", counted(report.kernel_calls),
      ",\n  \"context_switches\": ", counted(report.context_switches), ",\n  \"processes\": [\n",
      processes, "\n  ],\n  \"responses\": [\n", responses, "\n  ]\n}\n");
}

}  // namespace parley_tool
