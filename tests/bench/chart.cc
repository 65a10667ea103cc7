// Bars on a logarithmic scale.
#include "tests/bench/chart.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "apps/parley/text.h"

namespace parley_bench {
namespace {

constexpr double kLeft = 190, kWidth = 620, kBar = 16, kGap = 34, kTop = 72;
constexpr double kLeastNs = 10, kDecades = 6;  // 10 ns to 10 ms
constexpr char kFiles[] = "files";

struct Bar {
  std::string way;
  double median_ns;
};
struct Group {
  std::string title;  // "same-core, 64"
  std::vector<Bar> bars;
};

// Of WAY/PLACEMENT/SIZE[-VARIANT]: the group's title, and the way. A cache line's trip, which has
// no size, stands beside the smallest.
std::pair<std::string, std::string> TripOf(std::vector<std::string> parts) {
  if (parts[1] == "cache-line") parts.push_back("64");
  const auto [size, variant] =
      std::pair<std::string, std::string>(absl::StrSplit(parts.back(), absl::MaxSplits('-', 1)));
  parts.pop_back();
  const std::string placement = parts.back();
  parts.pop_back();
  std::string way = absl::StrJoin(parts, "/");
  if (!variant.empty()) absl::StrAppend(&way, ", ", variant);
  const bool fan_in = placement == "fan-in";
  return {absl::StrCat(placement, ", ", size, fan_in ? " clients, each call" : " bytes"), way};
}

// In the order in which their rows come.
std::vector<Group> GroupRows(const std::vector<parley_tool::Row>& rows) {
  std::vector<Group> groups;
  for (const parley_tool::Row& row : rows) {
    std::vector<std::string> parts = absl::StrSplit(row.name, '/');
    if (parts.size() < 3) continue;
    std::string title, way;
    std::tie(title, way) = parts[0] == kFiles ? std::pair(parts[1], parts[2]) : TripOf(parts);
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& group) { return group.title == title; });
    if (found == groups.end()) found = groups.insert(found, {title, {}});
    found->bars.push_back({way, row.median});
  }
  for (Group& group : groups) {
    std::stable_sort(group.bars.begin(), group.bars.end(),
                     [](const Bar& a, const Bar& b) { return a.median_ns < b.median_ns; });
  }
  return groups;
}

double ToX(double ns) {
  return kWidth * std::clamp(std::log10(std::max(ns, kLeastNs) / kLeastNs) / kDecades, 0.0, 1.0);
}

const char* ClassOf(const std::string& way) {
  if (absl::StartsWith(way, "floor") || way == "io_uring") return "floor";
  const bool is_ours =
      absl::StartsWith(way, "host") || way == "fsd" || way == "fused" || way == "ipc";
  return is_ours ? "host" : "peer";
}

void DrawGroup(const Group& group, double& y, std::string& svg) {
  absl::StrAppendFormat(&svg, "<text class=\"title\" x=\"%.0f\" y=\"%.0f\">%s</text>\n", kLeft,
                        y - 8, group.title);
  for (const Bar& bar : group.bars) {
    const double width = ToX(bar.median_ns);
    absl::StrAppendFormat(
        &svg,
        "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%s</text>"
        "<rect class=\"%s\" x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\"/>"
        "<text x=\"%.1f\" y=\"%.0f\">%s</text>\n",
        kLeft - 8, y + kBar - 4, bar.way, ClassOf(bar.way), kLeft, y, width, kBar - 3,
        kLeft + width + 6, y + kBar - 4, parley_tool::FormatNs(std::lround(bar.median_ns)));
    y += kBar;
  }
  y += kGap;
}

}  // namespace

std::string DrawChart(const std::vector<parley_tool::Row>& rows) {
  std::string body;
  double y = kTop;
  for (const Group& group : GroupRows(rows)) DrawGroup(group, y, body);
  return absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\">\n"
      "<style>\n"
      "svg { background: #ffffff; font: 11px sans-serif; }\n"
      "text { fill: #333333; } .title { font-weight: bold; font-size: 12px; }\n"
      ".host { fill: #1f6feb; } .peer { fill: #e0a030; } .floor { fill: #9aa0a6; }\n"
      "@media (prefers-color-scheme: dark) {\n"
      "svg { background: #0d1117; } text { fill: #d0d7de; } }\n"
      "</style>\n"
      "<text class=\"title\" x=\"20\" y=\"20\">One request and its reply, or of a file one MiB or "
      "one read: median, logarithmic</text>\n"
      "<text x=\"20\" y=\"36\">Blue: Parley; grey: the bare system; yellow: libraries</text>\n"
      "%s</svg>\n",
      kLeft + kWidth + 90, y, body);
}

}  // namespace parley_bench
