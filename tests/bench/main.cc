// bench-peers: what Parley is measured against, the bare system's ways and other libraries, row by
// row as `parley bench` prints its own.
#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "apps/parley/arguments.h"
#include "apps/parley/bench_rows.h"
#include "apps/parley/output.h"
#include "tests/bench/chart.h"
#include "tests/bench/measure.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

const char kHelp[] =
    "usage: bench-peers [--only PATTERN] [--json FILE] [--svg FILE]\n\n"
    "One request and one reply between two processes, over the bare system (floor/...), over "
    "Parley\n"
    "(host/...) and over other libraries (peer/...). Fan-in: nanoseconds for each call that one "
    "server answers.\n\n"
    "  --only PATTERN  rows whose name contains it\n"
    "  --json FILE     also writes the rows as a JSON array: name, unit, median, p99, floor, "
    "ratio\n"
    "  --svg FILE      also draws them\n";

constexpr int kNameWidth = 37;
constexpr int kTries = 8;       // of what is measured while the machine's speed changes
constexpr double kAlike = 1.2;  // how far two medians of one floor may be apart

struct Plan {
  std::string name;
  PeerKind kind;
  Setup setup;
};

const char* PlacementName(Placement placement) {
  switch (placement) {
    case Placement::kSameCore:
      return "same-core";
    case Placement::kTwoCores:
      return "two-cores";
    case Placement::kUnpinned:
      break;
  }
  return "unpinned";
}

std::string SizeName(size_t bytes) {
  if (bytes >= kMi) return absl::StrCat(bytes / kMi, "Mi");
  return bytes >= kKi ? absl::StrCat(bytes / kKi, "Ki") : absl::StrCat(bytes);
}

// The row that a row stands on.
std::string FloorName(const Plan& plan) {
  const Placement placement = plan.setup.placement;
  if (!plan.kind.floor.empty()) {
    return absl::StrReplaceAll(plan.kind.floor, {{"*", PlacementName(placement)}});
  }
  if (placement == Placement::kTwoCores) return "floor/cache-line/two-cores";
  return absl::StrCat("floor/futex/", PlacementName(placement), "/64");
}

std::vector<Plan> AllRows() {
  std::vector<Plan> rows;
  auto add = [&rows](const PeerKind& kind, const std::string& suffix, Setup setup) {
    setup.address = absl::StrCat("parley-bench-", getpid(), "-", rows.size());
    rows.push_back({kind.name + suffix, kind, setup});
  };
  for (const PeerKind& kind :
       {CacheLine(),    Futex(),          Yield(),        Pipe(),   UnixSocket(),
        MessageQueue(), ProcessVmReadv(), SharedMemory(), Host(),   HostLarge(),
        HostRegion(),   HostSpinOff(),    HostTraced(),   ZeroMq(), Nng(),
        IceoryxBusy(),  IceoryxWaitSet(), CapnProto(),    Grpc(),   SdBus()}) {
    for (Placement placement : kind.placements) {
      for (size_t bytes : kind.sizes) {
        const std::string size = bytes == 0 ? "" : "/" + SizeName(bytes) + kind.suffix;
        add(kind, absl::StrCat("/", PlacementName(placement), size),
            {.placement = placement, .bytes = bytes});
      }
    }
    if (!kind.fan_in) continue;
    for (int clients : kind.fan_ins) {
      add(kind, absl::StrCat("/fan-in/", clients), {.clients = clients, .fan_in = true});
    }
  }
  return rows;
}

absl::StatusOr<std::vector<double>> MeasureSamples(const PeerKind& kind, const Setup& setup) {
  if (kind.measure) return kind.measure(setup);
  auto peer = kind.make(setup);
  if (!peer.ok()) return peer.status();
  return parley_bench::Measure(**peer, setup);
}

bool IsAlike(const std::vector<double>& one, const std::vector<double>& other) {
  const double a = parley_tool::Summarize("", one, 0).median;
  const double b = parley_tool::Summarize("", other, 0).median;
  return std::max(a, b) <= kAlike * std::min(a, b);
}

// The rows as they are measured, printed and kept.
class Bench {
 public:
  // Measures the floors of `wanted` first, then `wanted`. Stops early if the status is not OK.
  absl::Status Measure(const std::vector<Plan>& all, const std::vector<Plan>& wanted);

  const std::vector<parley_tool::Row>& rows() const { return rows_; }
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  // Empty: there is no such row, or it failed, and that has been said.
  absl::StatusOr<std::vector<double>> MeasureOne(const Plan& plan);
  // Its floor is measured again, before and after it.
  absl::StatusOr<std::vector<double>> MeasureBeside(const Plan& floor, const Plan& plan);
  void Add(const Plan& plan, std::vector<double> samples);

  std::map<std::string, std::vector<double>> floors_;  // the samples of each, by name
  std::vector<parley_tool::Row> rows_;
  std::vector<std::string> failures_;
  std::set<std::string> left_out_;  // what has been said about sizes
};

absl::StatusOr<std::vector<double>> Bench::MeasureOne(const Plan& plan) {
  const absl::StatusOr<std::vector<double>> samples = MeasureSamples(plan.kind, plan.setup);
  if (samples.ok() || absl::IsCancelled(samples.status())) return samples;
  if (absl::IsOutOfRange(samples.status())) {
    const std::string text =
        absl::StrCat(plan.kind.name, ": no rows of ", SizeName(plan.setup.bytes),
                     " bytes: ", samples.status().message());
    if (left_out_.insert(text).second) std::fprintf(stderr, "bench-peers: %s\n", text.c_str());
  } else {
    std::fprintf(stderr, "bench-peers: %s: %s\n", plan.name.c_str(),
                 std::string(samples.status().message()).c_str());
    failures_.push_back(plan.name);
  }
  return std::vector<double>();
}

// The machine's speed changes, some machines' by jumps from one second to the next: what is
// measured while it did is measured again.
absl::StatusOr<std::vector<double>> Bench::MeasureBeside(const Plan& floor, const Plan& plan) {
  for (int tries = kTries;; --tries) {
    auto before = MeasureOne(floor);
    if (!before.ok()) return before;
    auto samples = MeasureOne(plan);
    if (!samples.ok() || before->empty()) return samples;
    auto after = MeasureOne(floor);
    if (!after.ok() || after->empty()) return after;
    const bool steady = IsAlike(*before, *after);
    if (!steady && tries > 1) continue;
    if (!steady) {
      std::fprintf(stderr, "bench-peers: %s: the machine's speed changed beside it, %d times\n",
                   plan.name.c_str(), kTries);
    }
    std::vector<double>& both = floors_[floor.name];
    both = *std::move(before);
    both.insert(both.end(), after->begin(), after->end());
    return samples;
  }
}

void Bench::Add(const Plan& plan, std::vector<double> samples) {
  if (samples.empty()) return;
  const std::vector<double>& floor = floors_[FloorName(plan)];
  const double floor_ns = floor.empty() ? 0 : parley_tool::Summarize("", floor, 0).median;
  rows_.push_back(parley_tool::Summarize(plan.name, std::move(samples), floor_ns));
  parley_tool::PrintRow(rows_.back(), kNameWidth);
}

absl::Status Bench::Measure(const std::vector<Plan>& all, const std::vector<Plan>& wanted) {
  std::set<std::string> needed;
  for (const Plan& plan : wanted) needed.insert(FloorName(plan));
  for (const Plan& plan : all) {
    if (needed.count(plan.name) == 0) continue;
    auto samples = MeasureOne(plan);
    if (!samples.ok()) return samples.status();
    floors_[plan.name] = *std::move(samples);
  }
  for (const Plan& plan : wanted) {
    absl::StatusOr<std::vector<double>> samples;
    if (absl::StartsWith(plan.name, "host/")) {
      samples = MeasureBeside(
          *std::find_if(all.begin(), all.end(),
                        [&](const Plan& floor) { return floor.name == FloorName(plan); }),
          plan);
    } else {
      auto floor = floors_.find(plan.name);
      samples = floor != floors_.end() ? floor->second : MeasureOne(plan);
    }
    if (!samples.ok()) return samples.status();
    Add(plan, *std::move(samples));
  }
  return absl::OkStatus();
}

int Complain(absl::string_view text, int status) {
  std::fprintf(stderr, "bench-peers: %s\n", std::string(text).c_str());
  return status;
}

// Leaves out the rows that need more CPUs than there are, and says so.
void LeaveOutTwoCores(std::vector<Plan>& rows) {
  if (AllowedCpus().size() >= 2) return;
  const size_t left_out = std::erase_if(
      rows, [](const Plan& plan) { return plan.setup.placement == Placement::kTwoCores; });
  if (left_out > 0) Complain("no rows of two-cores: only one CPU is allowed", 0);
}

// What is asked for besides the table. Opened first: what cannot be written is better known before
// than after the measuring.
class Outputs {
 public:
  absl::Status Open(const parley_tool::Arguments& arguments) {
    for (auto [flag, file] : {std::pair("--json", &json_), std::pair("--svg", &svg_)}) {
      if (!arguments.Has(flag)) continue;
      auto created = parley_tool::OutputFile::Create(arguments.Get(flag));
      if (!created.ok()) return created.status();
      file->emplace(*std::move(created));
    }
    return absl::OkStatus();
  }
  absl::Status Write(const std::vector<parley_tool::Row>& rows) {
    absl::Status written;
    if (json_) {
      json_->Write(parley_tool::ToJson(rows));
      written.Update(json_->Commit());
    }
    if (svg_) {
      svg_->Write(DrawChart(rows));
      written.Update(svg_->Commit());
    }
    return written;
  }

 private:
  std::optional<parley_tool::OutputFile> json_, svg_;
};

int Main(const std::vector<std::string>& words) {
  if (std::count(words.begin(), words.end(), "--help") > 0) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  auto arguments = parley_tool::Arguments::Parse(words, {"--only=", "--json=", "--svg="});
  if (!arguments.ok()) return Complain(arguments.status().message(), 2);
  const std::string only = arguments->Get("--only");
  const std::vector<Plan> all = AllRows();
  std::vector<Plan> wanted = all;
  std::erase_if(wanted, [&](const Plan& plan) { return !absl::StrContains(plan.name, only); });
  if (wanted.empty()) {
    return Complain(absl::StrCat("--only=", only, ": no row has this in its name"), 2);
  }
  LeaveOutTwoCores(wanted);
  Outputs outputs;
  if (absl::Status opened = outputs.Open(*arguments); !opened.ok()) {
    return Complain(opened.message(), 1);
  }

  TakeSignals();
  Bench bench;
  parley_tool::PrintHeader(kNameWidth);
  const absl::Status measured = bench.Measure(all, wanted);
  if (!measured.ok()) return Complain(measured.message(), 1);
  if (absl::Status written = outputs.Write(bench.rows()); !written.ok()) {
    return Complain(written.message(), 1);
  }
  if (bench.failures().empty()) return 0;
  return Complain(absl::StrCat("not measured: ", absl::StrJoin(bench.failures(), ", ")), 1);
}

}  // namespace
}  // namespace parley_bench

int main(int argc, char** argv) {
  return parley_bench::Main(std::vector<std::string>(argv + 1, argv + argc));
}
