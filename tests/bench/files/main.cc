// bench-files: files through Parley, each way beside what it is to be measured by.
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "apps/parley/arguments.h"
#include "apps/parley/bench_rows.h"
#include "apps/parley/output.h"
#include "apps/parley/text.h"
#include "tests/bench/chart.h"
#include "tests/bench/files/comparison.h"
#include "tests/bench/files/scene.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

const char kHelp[] =
    "usage: bench-files [--only PATTERN] [--mib N] [--rounds N] [--folder DIR] [--json FILE]\n"
    "                   [--svg FILE]\n\n"
    "Files through Parley, each way beside its peer: rounds by turns in one run, nobody pinned.\n"
    "The file lies on the disk and, when it is read, in Linux's page cache.\n\n"
    "  --only PATTERN  rows whose name contains it, and their peers\n"
    "  --mib N         of the file, 16 to 65536 (1024)\n"
    "  --rounds N      of each row, 1 to 1000 (11)\n"
    "  --folder DIR    where to make the file, on a disk (/var/tmp)\n"
    "  --json FILE     also writes the rows as a JSON array: name, unit, median, p99, floor (the\n"
    "                  peer's median), ratio\n"
    "  --svg FILE      also draws them\n";

constexpr int kNameWidth = 33;

int Complain(absl::string_view text, int status) {
  std::fprintf(stderr, "bench-files: %s\n", std::string(text).c_str());
  return status;
}

std::string NameOf(const Comparison& comparison, const std::string& way) {
  return absl::StrCat("files/", comparison.what, "/", way);
}

// A folder of the bench's own, with all that is in it at its end.
class WorkFolder {
 public:
  static absl::StatusOr<std::unique_ptr<WorkFolder>> Make(const std::string& where) {
    std::string path = absl::StrCat(where, "/parley-bench-XXXXXX");
    if (mkdtemp(path.data()) == nullptr) return absl::ErrnoToStatus(errno, where);
    struct statfs state = {};
    if (statfs(path.c_str(), &state) == 0 && state.f_type == TMPFS_MAGIC) {
      Complain(absl::StrCat(where, " lies in memory, not on a disk; see --folder"), 0);
    }
    return std::make_unique<WorkFolder>(path);
  }
  explicit WorkFolder(std::string path) : path_(std::move(path)) {}
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

double Median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

// Bytes, or pieces, a second.
std::string Speed(const Comparison& comparison, double ns) {
  if (comparison.bytes_each == 0) return absl::StrFormat("%.0f /s", 1e9 / ns);
  const double gigabytes = static_cast<double>(comparison.bytes_each) / ns;
  return gigabytes >= 1 ? absl::StrFormat("%.2f GB/s", gigabytes)
                        : absl::StrFormat("%.0f MB/s", gigabytes * 1e3);
}

void PrintHeading() {
  std::printf("%-*s %10s %10s %12s %7s %10s\n", kNameWidth, "row", "median", "p99", "speed",
              "of peer", "bar");
}

void Print(const Comparison& comparison, const parley_tool::Row& row, const std::string& rest) {
  std::printf("%-*s %10s %10s %12s%s\n", kNameWidth, row.name.c_str(),
              parley_tool::FormatNs(std::lround(row.median)).c_str(),
              parley_tool::FormatNs(std::lround(row.p99)).c_str(),
              Speed(comparison, row.median).c_str(), rest.c_str());
  std::fflush(stdout);
}

// The speed that is told is that of the median round, where both sides met the same machine.
void Add(const Comparison& comparison, const Rounds& rounds, std::vector<parley_tool::Row>& rows) {
  std::vector<double> speeds;
  for (size_t i = 0; i < rounds.ours.size(); ++i) {
    speeds.push_back(rounds.peers[i] / rounds.ours[i]);
  }
  const double peers = Median(rounds.peers);
  rows.push_back(parley_tool::Summarize(NameOf(comparison, comparison.peer), rounds.peers, peers));
  Print(comparison, rows.back(), "");
  rows.push_back(parley_tool::Summarize(NameOf(comparison, comparison.ours), rounds.ours, peers));
  const double speed = Median(speeds);
  Print(comparison, rows.back(),
        absl::StrFormat(" %6.2fx %9.2fx%s", speed, comparison.bar,
                        speed < comparison.bar ? "  below" : ""));
}

struct Outcome {
  std::vector<parley_tool::Row> rows;
  std::vector<std::string> failures;
};

absl::StatusOr<Outcome> Measure(const std::vector<Comparison>& wanted, const Bench& bench) {
  Outcome outcome;
  std::filesystem::create_directory(bench.served());
  if (absl::Status written = WriteFile(bench); !written.ok()) return written;
  PrintHeading();
  for (const Comparison& comparison : wanted) {
    const auto rounds = comparison.measure(bench);
    if (rounds.ok()) {
      Add(comparison, *rounds, outcome.rows);
      continue;
    }
    const std::string name = NameOf(comparison, comparison.ours);
    const bool skipped = absl::IsFailedPrecondition(rounds.status());
    std::printf("%-*s %s: %s\n", kNameWidth, name.c_str(), skipped ? "skipped" : "failed",
                std::string(rounds.status().message()).c_str());
    if (!skipped) outcome.failures.push_back(name);
  }
  return outcome;
}

int Main(const std::vector<std::string>& words) {
  if (std::count(words.begin(), words.end(), "--help") > 0) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  auto arguments = parley_tool::Arguments::Parse(
      words, {"--only=", "--mib=", "--rounds=", "--folder=", "--json=", "--svg="});
  if (!arguments.ok()) return Complain(arguments.status().message(), 2);
  const auto mib = arguments->GetInteger("--mib", 1'024, 16, 65'536);
  if (!mib.ok()) return Complain(mib.status().message(), 2);
  const auto rounds = arguments->GetInteger("--rounds", 11, 1, 1'000);
  if (!rounds.ok()) return Complain(rounds.status().message(), 2);
  const std::string only = arguments->Get("--only");
  std::vector<Comparison> wanted = {SequentialRead(), RandomRead(), FuseRead(), CounterRead()};
  std::erase_if(wanted, [&](const Comparison& comparison) {
    return !absl::StrContains(NameOf(comparison, comparison.ours), only) &&
           !absl::StrContains(NameOf(comparison, comparison.peer), only);
  });
  if (wanted.empty()) {
    return Complain(absl::StrCat("--only=", only, ": no row has this in its name"), 2);
  }
  std::optional<parley_tool::OutputFile> json, svg;
  for (auto [flag, file] : {std::pair("--json", &json), std::pair("--svg", &svg)}) {
    if (!arguments->Has(flag)) continue;
    auto created = parley_tool::OutputFile::Create(arguments->Get(flag));
    if (!created.ok()) return Complain(created.status().message(), 1);
    file->emplace(*std::move(created));
  }
  const auto folder = WorkFolder::Make(arguments->Get("--folder", "/var/tmp"));
  if (!folder.ok()) return Complain(folder.status().message(), 1);
  const auto outcome = Measure(wanted, {.folder = (*folder)->path(),
                                        .bytes = static_cast<uint64_t>(*mib) * kMi,
                                        .rounds = static_cast<int>(*rounds)});
  if (!outcome.ok()) return Complain(outcome.status().message(), 1);
  absl::Status written;
  if (json) {
    json->Write(parley_tool::ToJson(outcome->rows));
    written.Update(json->Commit());
  }
  if (svg) {
    svg->Write(DrawChart(outcome->rows));
    written.Update(svg->Commit());
  }
  if (!written.ok()) return Complain(written.message(), 1);
  if (outcome->failures.empty()) return 0;
  return Complain(absl::StrCat("not measured: ", absl::StrJoin(outcome->failures, ", ")), 1);
}

}  // namespace
}  // namespace parley_bench

int main(int argc, char** argv) {
  return parley_bench::Main(std::vector<std::string>(argv + 1, argv + argc));
}
