// `parley bench`: the message path of the simulated kernel, beside the floor it stands on.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "apps/parley/arguments.h"
#include "apps/parley/bench_rows.h"
#include "apps/parley/commands.h"
#include "apps/parley/output.h"
#include "apps/parley/runner.h"
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
constexpr int kRounds = 5;
constexpr int kNameWidth = 28;

double SecondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr int kBlockedPriority = 20;
constexpr int kClientPriority = 100;
constexpr absl::Duration kHold = absl::Seconds(100);  // virtual; enough for every thread to block

// Echoes what it gets. A request of one byte holds it up, so that others come to block on it.
int EchoServer(ipc::Process& self) {
  auto channel = self.Attach("/echo");
  if (!channel.ok()) return 1;
  for (;;) {
    auto received = channel->Receive();
    if (!received.ok()) return 0;
    ipc::Message* message = received->message();
    if (message == nullptr) continue;
    if (message->info().request_bytes == 1) self.Sleep(kHold).IgnoreError();
    message->Reply(message->bytes()).IgnoreError();
  }
}

// Goes back and forth with the server. `blocked` other clients are SEND-blocked on the same channel
// meanwhile: the server does not come to them, since after each reply this client, of the higher
// priority, sends anew before the server receives.
int EchoClient(ipc::Process& self, int blocked, std::vector<double>& samples) {
  constexpr int kTrips = 20'000;
  const ipc::ThreadOptions low = {.scheduling = ipc::Scheduling{.priority = kBlockedPriority}};
  const std::array<std::byte, 64> request = {};
  std::array<std::byte, 64> reply = {};
  ipc::Connection echo = self.Open("/echo", absl::Seconds(1)).value();
  std::vector<ipc::Thread> waiting;
  for (int i = 0; i <= blocked; ++i) {
    const size_t bytes = i == 0 ? 1 : request.size();
    waiting.push_back(
        self.Spawn(low,
                   [&echo, &request, bytes] {
                     echo.Send(absl::MakeSpan(request).first(bytes), {}).IgnoreError();
                   })
            .value());
  }
  if (!self.Sleep(kHold / 2).ok()) return 1;
  if (!self.SetScheduling({.priority = kClientPriority}).ok()) return 1;
  if (!echo.Send(request, absl::MakeSpan(reply)).ok()) return 1;
  for (int batch = 0; batch < kBatches / kRounds; ++batch) {
    const double begin = SecondsNow();
    for (int i = 0; i < kTrips; ++i) echo.Send(request, absl::MakeSpan(reply)).IgnoreError();
    samples.push_back((SecondsNow() - begin) / kTrips * 1e9);
  }
  for (ipc::Thread& thread : waiting) thread.Cancel().IgnoreError();
  return 0;
}

// Nanoseconds for a round trip of 64 bytes, a sample for each batch; none if the run failed.
std::vector<double> MeasureRoundTrips(int blocked) {
  std::vector<double> samples;
  ipc::World world({{"server", EchoServer}, {"client", [&](ipc::Process& self) {
                                               return EchoClient(self, blocked, samples);
                                             }}});
  world.Start("server", {.service = true});
  world.Start("client");
  if (world.Run() != 0) samples.clear();
  return samples;
}

// Starts so many threads, all of which then block. Returns the nanoseconds until the last one has;
// none if the run failed.
std::vector<double> MeasureThreadStart(int count) {
  std::vector<double> samples;
  auto program = [&](ipc::Process& self) {
    ipc::Channel idle = self.CreateChannel("idle").value();
    const double begin = SecondsNow();
    std::vector<ipc::Thread> threads;
    threads.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      threads.push_back(self.Spawn({}, [&] { idle.Receive().IgnoreError(); }).value());
    }
    self.Sleep(absl::Milliseconds(1)).IgnoreError();
    samples.push_back((SecondsNow() - begin) * 1e9);
    return 0;
  };
  ipc::World world({{"program", program}});
  world.Start("program");
  if (world.Run() != 0) samples.clear();
  return samples;
}

// Nanoseconds for 10,000 random schedules of the ordered philosophers, from batches of a tenth of
// them; none if one failed.
absl::StatusOr<std::vector<double>> MeasureExploration() {
  constexpr int kTenths = 5;
  auto manifest = ReadManifest("apps/philosophers/philosophers-ordered.toml");
  if (!manifest.ok()) return manifest.status();
  std::vector<double> samples;
  for (int batch = 0; batch < kTenths; ++batch) {
    parley::ExploreOptions options;
    options.seed = static_cast<uint64_t>(batch) * 1000 + 1;
    const double begin = SecondsNow();
    const parley::ExploreResult result = parley::Explore(
        options,
        [&](const parley::ChoiceSpec& spec) { return *RunOnce(*manifest, spec, nullptr, false); },
        [&](const parley::RunReport& report) { return Failed(*manifest, report); }, [](int64_t) {});
    if (result.failed) return std::vector<double>();
    samples.push_back((SecondsNow() - begin) * 10 * 1e9);
  }
  return samples;
}

// The rows as they are measured, printed and kept.
class Bench {
 public:
  Bench(std::string only, double floor_ns) : only_(std::move(only)), floor_ns_(floor_ns) {}

  bool Wants(absl::string_view name) const { return absl::StrContains(name, only_); }

  // `floors`: how many floors one measurement stands on.
  void Add(const std::string& name, std::vector<double> samples, double floors = 1) {
    if (samples.empty()) {
      failures_.push_back(name);
      return;
    }
    rows_.push_back(Summarize(name, std::move(samples), floors * floor_ns_));
    PrintRow(rows_.back(), kNameWidth);
  }

  const std::vector<Row>& rows() const { return rows_; }
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  const std::string only_;
  const double floor_ns_;
  std::vector<Row> rows_;
  std::vector<std::string> failures_;
};

// The same trip with so many others blocked. They take turns, so that a slow spell of the machine
// hits them all alike and the ratios between them hold.
void MeasureMessages(Bench& bench) {
  constexpr std::array<int, 4> kBlocked = {0, 10, 1'000, 100'000};
  std::array<std::string, kBlocked.size()> names;
  std::array<std::vector<double>, kBlocked.size()> samples;
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < kBlocked.size(); ++i) {
      names[i] = absl::StrCat("sim/srr-64", i == 0 ? "" : absl::StrCat("/blocked-", kBlocked[i]));
      if (!bench.Wants(names[i])) continue;
      const std::vector<double> more = MeasureRoundTrips(kBlocked[i]);
      samples[i].insert(samples[i].end(), more.begin(), more.end());
    }
  }
  for (size_t i = 0; i < kBlocked.size(); ++i) {
    if (bench.Wants(names[i])) bench.Add(names[i], std::move(samples[i]));
  }
}

void MeasureThreads(Bench& bench) {
  constexpr int kThreads = 100'000;
  bench.Add("sim/threads-100000", MeasureThreadStart(kThreads), kThreads);
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("  peak memory of this process: %s\n",
              FormatBytes(static_cast<uint64_t>(usage.ru_maxrss) * 1024).c_str());
}

}  // namespace

int BenchCommand(const std::vector<std::string>& words) {
  auto arguments = Arguments::Parse(words, {"--only=", "--json="});
  if (!arguments.ok()) return Misuse(arguments.status());
  std::vector<double> switches;
  for (int i = 0; i < kBatches; ++i) switches.push_back(parley::MeasureFiberSwitchNs());
  Bench bench(arguments->Get("--only"), Summarize("", switches, 0).median);
  PrintHeader(kNameWidth);
  if (bench.Wants("floor/fiber-switch")) bench.Add("floor/fiber-switch", switches);
  MeasureMessages(bench);
  if (bench.Wants("sim/threads-100000")) MeasureThreads(bench);
  if (bench.Wants("sim/explore-10000")) {
    auto samples = MeasureExploration();
    if (!samples.ok()) return Failure(samples.status());
    bench.Add("sim/explore-10000", *std::move(samples), 10'000);
  }
  if (bench.rows().empty() && bench.failures().empty()) {
    return Misuse(absl::InvalidArgumentError(
        absl::StrCat("--only=", arguments->Get("--only"), ": no row has this in its name")));
  }
  if (!bench.failures().empty()) {
    return Failure(absl::InternalError(absl::StrCat("not measured, since the run failed: ",
                                                    absl::StrJoin(bench.failures(), ", "))));
  }
  if (!arguments->Has("--json")) return 0;
  auto file = OutputFile::Create(arguments->Get("--json"));
  if (!file.ok()) return Failure(file.status());
  file->Write(ToJson(bench.rows()));
  const absl::Status written = file->Commit();
  return written.ok() ? 0 : Failure(written);
}

}  // namespace parley_tool
