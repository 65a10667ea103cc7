// A picture of a benchmark's rows: for each placement and size the ways, fastest first, as bars on
// a logarithmic scale.
#ifndef PARLEY_TESTS_BENCH_CHART_H_
#define PARLEY_TESTS_BENCH_CHART_H_

#include <string>
#include <vector>

#include "apps/parley/bench_rows.h"

namespace parley_bench {

// SVG. Rows named WAY/PLACEMENT/SIZE, or WAY/fan-in/CLIENTS, or files/WHAT/WAY;
// "floor/futex/same-core/64" is of the way "floor/futex", "host/two-cores/1Mi-region" of "host,
// region". Others are left out.
std::string DrawChart(const std::vector<parley_tool::Row>& rows);

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_CHART_H_
