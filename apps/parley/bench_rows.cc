// Rows of a benchmark.
#include "apps/parley/bench_rows.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_format.h"
#include "apps/parley/text.h"

namespace parley_tool {
namespace {

double Ratio(const Row& row) { return row.floor > 0 ? row.median / row.floor : 0; }

}  // namespace

Row Summarize(const std::string& name, std::vector<double> samples, double floor) {
  std::sort(samples.begin(), samples.end());
  auto at = [&](double quantile) {
    return samples[static_cast<size_t>(quantile * static_cast<double>(samples.size() - 1))];
  };
  return {name, "ns", at(0.5), at(0.99), floor};
}

void PrintHeader(int name_width) {
  std::printf("%-*s %12s %12s %12s %8s\n", name_width, "row", "median", "p99", "floor", "ratio");
}

void PrintRow(const Row& row, int name_width) {
  std::printf("%-*s %12s %12s %12s %8.2f\n", name_width, row.name.c_str(),
              FormatNs(std::lround(row.median)).c_str(), FormatNs(std::lround(row.p99)).c_str(),
              FormatNs(std::lround(row.floor)).c_str(), Ratio(row));
  std::fflush(stdout);
}

std::string ToJson(const std::vector<Row>& rows) {
  std::string json = "[";
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    absl::StrAppendFormat(&json,
                          "%s\n  {\"name\": %s, \"unit\": \"%s\", \"median\": %.1f, \"p99\": %.1f, "
                          "\"floor\": %.1f, \"ratio\": %.2f}",
                          i == 0 ? "" : ",", JsonString(row.name), row.unit, row.median, row.p99,
                          row.floor, Ratio(row));
  }
  return json + "\n]\n";
}

}  // namespace parley_tool
