// `parley bench`: the message path of the simulated kernel, beside the floor it stands on.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "apps/parley/arguments.h"
#include "apps/parley/commands.h"
#include "apps/parley/output.h"
#include "apps/parley/text.h"
#include "ipc/world.h"
#include "libipc/machine.h"

namespace parley_tool {

const char kBenchHelp[] =
    "usage: parley bench [--only PATTERN] [--json FILE]\n\n"
    "  --only PATTERN  rows whose name contains it\n"
    "  --json FILE     also writes the rows as a JSON array: name, unit, median, p99, floor, "
    "ratio\n";

namespace {

constexpr int kBatches = 101;

double SecondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Row {
  std::string name;
  std::string unit;
  double median = 0;
  double p99 = 0;
  double floor = 0;  // what it stands on, in the same unit
};

Row Summarize(const std::string& name, std::vector<double> samples, double floor) {
  std::sort(samples.begin(), samples.end());
  auto at = [&](double quantile) {
    return samples[static_cast<size_t>(quantile * static_cast<double>(samples.size() - 1))];
  };
  return {name, "ns", at(0.5), at(0.99), floor};
}

// `blocked` clients wait in SEND on the same channel at a lower priority while one client and the
// server go back and forth. Returns nanoseconds for a round trip of 64 bytes, a sample for each
// batch.
std::vector<double> MeasureRoundTrips(int blocked) {
  constexpr int kTrips = 20'000;
  std::vector<double> samples;
  auto server = [](ipc::Process& self) -> int {
    ipc::Channel channel = self.Attach("/echo").value();
    for (;;) {
      ipc::Received received = channel.Receive().value();
      if (ipc::Message* message = received.message())
        message->Reply(message->bytes()).IgnoreError();
    }
  };
  auto client = [&](ipc::Process& self) {
    ipc::Connection echo = self.Open("/echo", absl::Seconds(1)).value();
    std::vector<ipc::Thread> waiting;
    // A channel of its own that nobody receives from: its clients stay SEND-blocked.
    ipc::Channel idle = self.CreateChannel("idle").value();
    ipc::Connection to_idle = self.Connect(idle.Grant(self.me()).value(), "idle").value();
    for (int i = 0; i < blocked; ++i) {
      waiting.push_back(self.Spawn({.scheduling = ipc::Scheduling{.priority = 20}},
                                   [&] { to_idle.Send({}, {}).IgnoreError(); })
                            .value());
    }
    std::array<std::byte, 64> request = {}, reply = {};
    for (int batch = 0; batch < kBatches; ++batch) {
      const double begin = SecondsNow();
      for (int i = 0; i < kTrips; ++i) echo.Send(request, absl::MakeSpan(reply)).IgnoreError();
      samples.push_back((SecondsNow() - begin) / kTrips * 1e9);
    }
    for (ipc::Thread& thread : waiting) thread.Cancel().IgnoreError();
    return 0;
  };
  ipc::World world({{"server", server}, {"client", client}});
  world.Start("server", {.service = true});
  world.Start("client");
  if (world.Run() != 0) samples.assign(1, std::nan(""));
  return samples;
}

// Starts so many threads, all of which then block. Returns the seconds until the last one has.
double MeasureThreadStart(int count) {
  double seconds = std::nan("");
  auto program = [&](ipc::Process& self) {
    ipc::Channel idle = self.CreateChannel("idle").value();
    const double begin = SecondsNow();
    std::vector<ipc::Thread> threads;
    threads.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      threads.push_back(self.Spawn({}, [&] { idle.Receive().IgnoreError(); }).value());
    }
    self.Sleep(absl::Milliseconds(1)).IgnoreError();
    seconds = SecondsNow() - begin;
    return 0;
  };
  ipc::World world({{"program", program}});
  world.Start("program");
  if (world.Run() != 0) return std::nan("");
  return seconds;
}

std::string ToJson(const std::vector<Row>& rows) {
  std::string json = "[";
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    absl::StrAppendFormat(&json,
                          "%s\n  {\"name\": %s, \"unit\": \"%s\", \"median\": %.1f, \"p99\": %.1f, "
                          "\"floor\": %.1f, \"ratio\": %.2f}",
                          i == 0 ? "" : ",", JsonString(row.name), row.unit, row.median, row.p99,
                          row.floor, row.median / row.floor);
  }
  return json + "\n]\n";
}

void Print(const Row& row) {
  std::printf("%-28s %12s %12s %12s %8.1f\n", row.name.c_str(),
              FormatNs(std::lround(row.median)).c_str(), FormatNs(std::lround(row.p99)).c_str(),
              FormatNs(std::lround(row.floor)).c_str(), row.median / row.floor);
  std::fflush(stdout);
}

}  // namespace

int BenchCommand(const std::vector<std::string>& words) {
  auto arguments = Arguments::Parse(words, {"--only=", "--json="}, 0);
  if (!arguments.ok()) return Misuse(arguments.status());
  const std::string only = arguments->Get("--only");
  std::vector<Row> rows;
  auto wanted = [&](absl::string_view name) { return absl::StrContains(name, only); };
  auto add = [&](const Row& row) {
    rows.push_back(row);
    Print(row);
  };
  std::printf("%-28s %12s %12s %12s %8s\n", "row", "median", "p99", "floor", "ratio");
  std::vector<double> switches;
  for (int i = 0; i < kBatches; ++i) switches.push_back(parley::MeasureFiberSwitchNs());
  Row floor = Summarize("floor/fiber-switch", switches, 0);
  floor.floor = floor.median;
  if (wanted(floor.name)) add(floor);
  for (int blocked : {0, 10, 1'000, 100'000}) {
    const std::string name =
        blocked == 0 ? "sim/srr-64" : absl::StrCat("sim/srr-64/blocked-", blocked);
    if (wanted(name)) add(Summarize(name, MeasureRoundTrips(blocked), floor.median));
  }
  if (wanted("sim/threads-100000")) {
    const double ns = MeasureThreadStart(100'000) * 1e9;
    add({"sim/threads-100000", "ns", ns, ns, 100'000 * floor.median});
    rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("  peak memory of this process: %s\n",
                FormatBytes(static_cast<uint64_t>(usage.ru_maxrss) * 1024).c_str());
  }
  if (!arguments->Has("--json")) return 0;
  auto file = OutputFile::Create(arguments->Get("--json"));
  if (!file.ok()) return Failure(file.status());
  file->Write(ToJson(rows));
  const absl::Status written = file->Commit();
  return written.ok() ? 0 : Failure(written);
}

}  // namespace parley_tool
