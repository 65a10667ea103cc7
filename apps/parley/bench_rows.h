// Rows of a benchmark: from samples to a line of a table for people and JSON for programs.
#ifndef PARLEY_APPS_PARLEY_BENCH_ROWS_H_
#define PARLEY_APPS_PARLEY_BENCH_ROWS_H_

#include <string>
#include <vector>

namespace parley_tool {

struct Row {
  std::string name;
  std::string unit;
  double median = 0;
  double p99 = 0;
  double floor = 0;  // what it stands on, in the same unit; 0: could not be measured
};

// `samples`: in nanoseconds, at least one.
Row Summarize(const std::string& name, std::vector<double> samples, double floor);

// A table whose column of names is so wide.
void PrintHeader(int name_width);
void PrintRow(const Row& row, int name_width);

// An array of objects: name, unit, median, p99, floor, ratio.
std::string ToJson(const std::vector<Row>& rows);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_BENCH_ROWS_H_
