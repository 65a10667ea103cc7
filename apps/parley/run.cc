// `parley run` and `parley replay`: one run, its pictures and its summary.
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "apps/parley/arguments.h"
#include "apps/parley/broker_choice.h"
#include "apps/parley/commands.h"
#include "apps/parley/perfetto.h"
#include "apps/parley/report_json.h"
#include "apps/parley/runner.h"
#include "apps/parley/summary.h"
#include "apps/parley/timeline.h"

namespace parley_tool {

const char kRunHelp[] =
    "usage: parley run MANIFEST [--kernel=sim|host] [--seed N] [--cpus N] [--trace FILE]\n"
    "                  [--timeline FILE] [--timeline-window BEGIN..END] [--twice]\n"
    "                  [--json FILE] [--broker=private|service|PATH] [--low-latency]\n\n"
    "  --kernel=host  runs it as real processes, in real time; --seed and --twice do not go with "
    "it\n"
    "  --low-latency  on the host: threads spin longer before they sleep, and idle CPUs are kept\n"
    "                 awake where that is permitted, for the energy that costs\n"
    "  --broker=service, --broker=PATH   joins parleyd, whose names it then shares (default:\n"
    "                 a broker of its own, --broker=private)\n"
    "  --seed N       choices and tokens are drawn from N (default: the manifest's)\n"
    "  --cpus N       virtual CPUs (default: the manifest's); on the host real ones (all)\n"
    "  --trace FILE   writes a trace for Perfetto; on the host once the run has ended\n"
    "  --timeline FILE, --timeline-window 10ms..60ms   draws what happened, as SVG\n"
    "  --twice        runs it a second time and fails unless both runs were the same\n"
    "  --json FILE    writes the summary's figures for programs\n";
const char kReplayHelp[] =
    "usage: parley replay MANIFEST STRING [--trace FILE] [--timeline FILE]\n"
    "                     [--timeline-window BEGIN..END]\n\n"
    "Runs the schedule that `parley explore` named.\n";

namespace {

const std::vector<std::string> kPictureFlags = {"--trace=", "--timeline=", "--timeline-window="};

// The sinks that the command line asks for, fed by one run.
class Pictures : public parley::TraceSink {
 public:
  absl::Status Open(const Arguments& arguments) {
    if (arguments.Has("--trace")) {
      auto file = OutputFile::Create(arguments.Get("--trace"));
      if (!file.ok()) return file.status();
      trace_ = std::make_unique<PerfettoTrace>(*std::move(file));
      sinks_.push_back(trace_.get());
    }
    std::optional<Timeline::Window> window;
    if (arguments.Has("--timeline-window")) {
      auto parsed = Timeline::ParseWindow(arguments.Get("--timeline-window"));
      if (!parsed.ok()) return parsed.status();
      window = *parsed;
    }
    if (arguments.Has("--timeline")) {
      timeline_ = std::make_unique<Timeline>(window);
      timeline_path_ = arguments.Get("--timeline");
      sinks_.push_back(timeline_.get());
    }
    return absl::OkStatus();
  }

  TraceSink* sink() { return sinks_.empty() ? nullptr : this; }

  absl::Status Finish(const std::string& title, const parley::RunReport& report) {
    if (trace_ != nullptr) {
      if (absl::Status done = trace_->Finish(report.end_ns); !done.ok()) return done;
    }
    if (timeline_ == nullptr) return absl::OkStatus();
    auto file = OutputFile::Create(timeline_path_);
    if (!file.ok()) return file.status();
    file->Write(timeline_->Draw(title, report.end_ns, report.real_time));
    return file->Commit();
  }

  void OnProcess(parley::ProcessId process, std::string_view name) override {
    for (TraceSink* sink : sinks_) sink->OnProcess(process, name);
  }
  void OnThread(parley::ThreadId thread, parley::ProcessId process,
                std::string_view name) override {
    for (TraceSink* sink : sinks_) sink->OnThread(thread, process, name);
  }
  void OnChannel(parley::ChannelId channel, parley::ProcessId process,
                 std::string_view name) override {
    for (TraceSink* sink : sinks_) sink->OnChannel(channel, process, name);
  }
  void OnEvent(const parley::TraceEvent& event) override {
    for (TraceSink* sink : sinks_) sink->OnEvent(event);
  }

 private:
  std::unique_ptr<PerfettoTrace> trace_;
  std::unique_ptr<Timeline> timeline_;
  std::string timeline_path_;
  std::vector<TraceSink*> sinks_;
};

absl::Status WriteJson(const std::string& path, const Manifest& manifest,
                       const parley::RunReport& report) {
  auto file = OutputFile::Create(path);
  if (!file.ok()) return file.status();
  file->Write(ReportJson(manifest, report));
  return file->Commit();
}

using Run = std::function<absl::StatusOr<parley::RunReport>(parley::TraceSink*)>;

// One run with its pictures and figures; its exit status.
int RunAndReport(const Manifest& manifest, const Arguments& arguments, const Run& run) {
  Pictures pictures;
  if (absl::Status opened = pictures.Open(arguments); !opened.ok()) return Misplaced(opened);
  const auto report = run(pictures.sink());
  if (!report.ok()) return Failure(report.status());
  if (absl::Status drawn = pictures.Finish(manifest.name, *report); !drawn.ok()) {
    return Failure(drawn);
  }
  if (arguments.Has("--json")) {
    if (absl::Status written = WriteJson(arguments.Get("--json"), manifest, *report);
        !written.ok()) {
      return Failure(written);
    }
  }
  PrintSummary(manifest, *report);
  return Failed(manifest, *report) ? 1 : 0;
}

int RunOnHostAndReport(const Manifest& manifest, const Arguments& arguments,
                       parley::HostOptions options) {
  return RunAndReport(manifest, arguments, [&](parley::TraceSink* sink) {
    options.trace = sink;
    return RunOnHost(manifest, options);
  });
}

int SimulateAndReport(const Manifest& manifest, const parley::ChoiceSpec& choices,
                      const Arguments& arguments, bool twice) {
  std::optional<uint64_t> first;
  const int outcome = RunAndReport(manifest, arguments, [&](parley::TraceSink* sink) {
    auto report = RunOnce(manifest, choices, sink, twice);
    if (report.ok()) first = report->trace_hash;
    return report;
  });
  if (twice && first) {
    auto again = RunOnce(manifest, choices, nullptr, true);
    if (!again.ok()) return Failure(again.status());
    if (again->trace_hash != *first) {
      std::fprintf(stderr,
                   "the second run differed from the first: a program depends on something "
                   "outside the simulation (a clock, an address, a global)\n");
      return 1;
    }
    std::printf("twice: both runs were the same (%016lx)\n", static_cast<unsigned long>(*first));
  }
  return outcome;
}

}  // namespace

int Misuse(const absl::Status& status) {
  std::fprintf(stderr, "parley: %s; see --help\n", std::string(status.message()).c_str());
  return 2;
}

int Failure(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

absl::Status About(absl::string_view what, const absl::Status& status) {
  const std::string prefix = absl::StrCat(what, ": ");
  absl::string_view line = status.message();
  absl::ConsumePrefix(&line, prefix);
  return absl::Status(status.code(), absl::StrCat(prefix, line));
}

int Misplaced(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? Misuse(status) : Failure(status);
}

int RunCommand(const std::vector<std::string>& words) {
  std::vector<std::string> flags = kPictureFlags;
  flags.insert(flags.end(), {"--kernel=", "--seed=", "--cpus=", "--json=", "--twice",
                             "--broker=", "--low-latency"});
  auto arguments = Arguments::Parse(words, flags, {"MANIFEST"});
  if (!arguments.ok()) return Misuse(arguments.status());
  const std::string kernel = arguments->Get("--kernel", "sim");
  if (kernel != "sim" && kernel != "host") {
    return Misuse(
        absl::InvalidArgumentError(absl::StrCat("--kernel=", kernel, ": expected sim or host")));
  }
  auto manifest = ReadManifest(arguments->position(0));
  if (!manifest.ok()) return Failure(manifest.status());
  if (kernel == "host") {
    for (const char* flag : {"--seed", "--twice"}) {
      if (!arguments->Has(flag)) continue;
      return Misuse(absl::InvalidArgumentError(
          absl::StrCat(flag, ": only the simulated kernel has that; leave --kernel=host out")));
    }
    auto cpus = arguments->GetInteger("--cpus", 0, 1, 64);
    if (!cpus.ok()) return Misuse(cpus.status());
    auto broker = BrokerToJoin(*arguments);
    if (!broker.ok()) return Misuse(broker.status());
    const parley::HostOptions host = {.cpus = static_cast<int>(*cpus),
                                      .limit_ns = manifest->options.limit_ns,
                                      .low_latency = arguments->Has("--low-latency"),
                                      .join = *broker};
    return RunOnHostAndReport(*manifest, *arguments, host);
  }
  for (const char* flag : {"--broker", "--low-latency"}) {
    if (!arguments->Has(flag)) continue;
    return Misuse(absl::InvalidArgumentError(absl::StrCat(flag, ": goes with --kernel=host")));
  }
  auto cpus = arguments->GetInteger("--cpus", manifest->options.cpus, 1, 64);
  if (!cpus.ok()) return Misuse(cpus.status());
  auto seed = arguments->GetInteger("--seed", static_cast<int64_t>(manifest->options.seed), 0,
                                    std::numeric_limits<int64_t>::max());
  if (!seed.ok()) return Misuse(seed.status());
  manifest->options.cpus = static_cast<int>(*cpus);
  manifest->options.seed = static_cast<uint64_t>(*seed);
  parley::ChoiceSpec choices;
  if (arguments->Has("--seed")) choices.strategy = parley::ChoiceSpec::Strategy::kRandom;
  choices.seed = manifest->options.seed;
  return SimulateAndReport(*manifest, choices, *arguments, arguments->Has("--twice"));
}

int ReplayCommand(const std::vector<std::string>& words) {
  auto arguments = Arguments::Parse(words, kPictureFlags, {"MANIFEST", "STRING"});
  if (!arguments.ok()) return Misuse(arguments.status());
  auto manifest = ReadManifest(arguments->position(0));
  if (!manifest.ok()) return Failure(manifest.status());
  auto script = parley::ParseReplayString(arguments->position(1), manifest->text);
  if (!script.ok()) return Failure(script.status());
  parley::ChoiceSpec choices;
  choices.strategy = parley::ChoiceSpec::Strategy::kReplay;
  choices.script = *std::move(script);
  return SimulateAndReport(*manifest, choices, *arguments, false);
}

}  // namespace parley_tool
