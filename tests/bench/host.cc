// Parley on the host kernel, as its users have it: a server that receives and replies, and clients
// that call, each a process.
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ipc/world.h"
#include "libipc/machine.h"
#include "tests/bench/board.h"
#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(60);  // past it, something is wrong
constexpr char kName[] = "/echo";

// What a row measures.
struct Job {
  Setup setup;
  bool by_region = false;  // the request is written into a region that the message refers to
  bool spin = true;        // ChannelOptions
  bool traced = false;     // HostOptions
};

// Takes a trace and keeps nothing of it.
class Forgetful : public parley::TraceSink {
 public:
  void OnProcess(parley::ProcessId, std::string_view) override {}
  void OnThread(parley::ThreadId, parley::ProcessId, std::string_view) override {}
  void OnChannel(parley::ChannelId, parley::ProcessId, std::string_view) override {}
  void OnEvent(const parley::TraceEvent&) override {}
};

void Serve(ipc::Process& self, const Job& job) {
  RunOn(ServerCpus(job.setup.placement));
  const ipc::Channel channel = self.Attach(kName, {.spin = job.spin}).value();
  std::vector<std::byte> request(job.by_region ? 0 : job.setup.bytes);
  for (;;) {
    auto received = channel.Receive(absl::MakeSpan(request));
    if (!received.ok()) return;
    ipc::Message* message = received->message();
    if (message == nullptr) continue;
    Reply reply;
    if (job.by_region) {
      const ipc::Lease lease = message->Region(0).value();
      reply.sum = Sum(lease.read().data(), lease.read().size());
    } else {
      reply.sum = Sum(request.data(), request.size());
    }
    message->Reply(ipc::BytesOf(reply)).IgnoreError();
  }
}

uint64_t Trip(const ipc::Connection& echo, ipc::ConstBytes request,
              const ipc::CallOptions& options) {
  Reply reply;
  if (!echo.Send(request, ipc::MutableBytesOf(reply), options).ok()) Fatal("host: a send failed");
  return reply.sum;
}

Call MakeCall(ipc::Process& self, const ipc::Connection& echo, const Job& job) {
  const size_t bytes = job.setup.bytes;
  if (job.by_region) {
    auto region = std::make_shared<ipc::Region>(self.CreateRegion(bytes).value());
    const ipc::CallOptions options = {.regions = {region->In()}};
    return [&echo, bytes, region, options](uint64_t number) {
      Fill(region->write().data(), bytes, number);
      return Trip(echo, {}, options);
    };
  }
  auto request = std::make_shared<Request>(bytes);
  return [&echo, request](uint64_t number) {
    request->SetNumber(number);
    return Trip(echo, {static_cast<std::byte*>(request->data()), request->size()}, {});
  };
}

void RunClient(ipc::Process& self, const Job& job, Board& board) {
  RunOn(ClientCpus(job.setup.placement));
  const ipc::Connection echo = self.Open(kName, kLimit).value();
  const Call call = MakeCall(self, echo, job);
  if (!job.setup.fan_in) return Sample(call, board);
  int client = 0;
  if (!absl::SimpleAtoi(self.arguments()[0], &client)) Fatal("host: a client needs its number");
  Count(call, board, client);
}

// Watches the clients, and ends the run by its own end.
int Watch(ipc::Process& self, const Job& job, Board& board) {
  const auto samples =
      TakeSlices(board, job.setup.clients, [&](const auto& done, int tick_ms) -> absl::Status {
        const absl::Time end = self.Now() + kLimit;
        while (!done()) {
          if (self.Now() >= end) return absl::DeadlineExceededError("it takes too long");
          if (absl::Status slept = self.Sleep(absl::Milliseconds(tick_ms)); !slept.ok()) {
            return slept;
          }
        }
        return absl::OkStatus();
      });
  if (!samples.ok()) return 1;
  board.sample_count = samples->size();
  std::copy(samples->begin(), samples->end(), board.samples);
  return 0;
}

parley::InitialProcess ProcessOf(const std::string& program, bool service) {
  parley::InitialProcess process;
  process.program = program;
  process.service = service;
  return process;
}

absl::StatusOr<std::vector<double>> MeasureHost(const Job& job) {
  Shared<Board> board;
  Forgetful sink;
  auto machine =
      ipc::MakeMachine(parley::HostOptions{.limit_ns = absl::ToInt64Nanoseconds(kLimit),
                                           .trace = job.traced ? &sink : nullptr},
                       {{"names", ipc::RunNameServer},
                        {"server",
                         [&](ipc::Process& self) {
                           Serve(self, job);
                           return 1;
                         }},
                        {"client",
                         [&](ipc::Process& self) {
                           RunClient(self, job, *board);
                           return 0;
                         }},
                        {"watch", [&](ipc::Process& self) { return Watch(self, job, *board); }}});
  if (!machine.ok()) return machine.status();
  parley::InitialProcess names = ProcessOf("names", true);
  names.name_server = true;
  names.options.scheduling.priority = parley::kMaxPriority;
  absl::Status added = (*machine)->Add(names);
  added.Update((*machine)->Add(ProcessOf("server", true)));
  for (int client = 0; client < job.setup.clients; ++client) {
    parley::InitialProcess process = ProcessOf("client", job.setup.fan_in);
    process.options.arguments = {absl::StrCat(client)};
    added.Update((*machine)->Add(process));
  }
  if (job.setup.fan_in) {
    // Above those that never sleep.
    parley::InitialProcess watch = ProcessOf("watch", false);
    watch.options.scheduling.priority = parley::kMaxPriority - 1;
    added.Update((*machine)->Add(watch));
  }
  if (!added.ok()) return added;
  const parley::RunReport report = (*machine)->Run();
  if (!report.problems.empty()) return absl::InternalError(report.problems.front());
  if (report.timed_out) return absl::DeadlineExceededError("it takes too long");
  return std::vector<double>(board->samples, board->samples + board->sample_count);
}

}  // namespace

PeerKind Host() {
  return {.name = "host",
          .sizes = {64, 4 * kKi, 64 * kKi},
          .fan_in = true,
          .fan_ins = {1, 32, 1'000},
          .measure = [](const Setup& setup) { return MeasureHost({.setup = setup}); }};
}

PeerKind HostLarge() {
  return {.name = "host",
          .sizes = {kMi},
          .floor = "floor/process_vm_readv/*/1Mi",
          .measure = [](const Setup& setup) { return MeasureHost({.setup = setup}); }};
}

PeerKind HostRegion() {
  return {.name = "host",
          .sizes = {kMi},
          .suffix = "-region",
          .floor = "floor/shared-memory/*/1Mi",
          .measure = [](const Setup& setup) {
            return MeasureHost({.setup = setup, .by_region = true});
          }};
}

PeerKind HostSpinOff() {
  return {.name = "host", .sizes = {64}, .suffix = "-spin-off", .measure = [](const Setup& setup) {
            return MeasureHost({.setup = setup, .spin = false});
          }};
}

PeerKind HostTraced() {
  return {
      .name = "host",
      .sizes = {64},
      .placements = {Placement::kSameCore, Placement::kTwoCores},
      .suffix = "-traced",
      .floor = "host/*/64",
      .measure = [](const Setup& setup) { return MeasureHost({.setup = setup, .traced = true}); }};
}

}  // namespace parley_bench
