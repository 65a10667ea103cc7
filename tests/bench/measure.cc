// Measuring a peer.
#include "tests/bench/measure.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "tests/bench/process.h"

namespace parley_bench {
namespace {

constexpr size_t kMaxSamples = 50'000;
constexpr int kMaxClients = 64;
constexpr double kWarmUpNs = 60e6;
constexpr double kMeasureNs = 400e6;
constexpr double kBatchNs = 10e3;  // reading the clock is 0.3 % of it, and the p99 one in a hundred
constexpr int kMaxBatch = 1'000;
constexpr int kSliceMs = 10;
constexpr int kSlices = 40;
constexpr int kLimitMs = 10'000;  // for anything that takes so long, something is wrong
constexpr int kEndMs = 1'000;
constexpr int kTickMs = 1;

// What the parent, the server and the clients of one row share.
struct Board {
  std::atomic<bool> server_ready = false;
  std::atomic<bool> stop = false;      // for clients that count
  std::atomic<bool> finished = false;  // by the client that samples
  size_t sample_count = 0;
  struct alignas(128) Counter {
    std::atomic<uint64_t> calls = 0;
  } counters[kMaxClients];
  double samples[kMaxSamples];
};

double NowNs() {
  return std::chrono::duration<double, std::nano>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// One client's trips, each checked.
class Trips {
 public:
  explicit Trips(Peer& peer) : peer_(peer) {}

  void Make(int count) {
    for (int i = 0; i < count; ++i) {
      ++number_;
      if (peer_.Call(number_) != number_) Fatal("the server read other bytes than were sent");
    }
  }

  // The nanoseconds of each.
  double Time(int count) {
    const double begin = NowNs();
    Make(count);
    return (NowNs() - begin) / count;
  }

  uint64_t made() const { return number_; }

 private:
  Peer& peer_;
  uint64_t number_ = 0;
};

void Sample(Peer& peer, Board& board) {
  Trips trips(peer);
  trips.Make(10);  // the first ones connect, allocate and fault
  double trip_ns = 0;
  for (int count = 1; trip_ns * count < kWarmUpNs; count *= 2) trip_ns = trips.Time(count);
  const int batch = std::clamp(static_cast<int>(kBatchNs / trip_ns), 1, kMaxBatch);
  const double end = NowNs() + kMeasureNs;
  while (board.sample_count < kMaxSamples && NowNs() < end) {
    board.samples[board.sample_count++] = trips.Time(batch);
  }
  board.finished = true;
}

void Count(Peer& peer, Board& board, int client) {
  Trips trips(peer);
  while (!board.stop.load(std::memory_order_relaxed)) {
    trips.Make(1);
    board.counters[client].calls.store(trips.made(), std::memory_order_relaxed);
  }
}

// The processes of one row.
class Run {
 public:
  Run(Peer& peer, const Setup& setup) : peer_(peer), setup_(setup) {}

  absl::StatusOr<std::vector<double>> Measure() {
    absl::Status status = Start();
    if (!status.ok()) return status;
    return setup_.fan_in ? MeasureSlices() : MeasureTrips();
  }

 private:
  absl::Status Start();
  absl::StatusOr<std::vector<double>> MeasureTrips();
  absl::StatusOr<std::vector<double>> MeasureSlices();
  uint64_t CallsOfAll() const;

  absl::Status Wait(const std::function<bool()>& done, int tick_ms) {
    return WaitUntil(watched_, done, kLimitMs, tick_ms);
  }

  Peer& peer_;
  const Setup& setup_;
  Shared<Board> board_;
  // Declared after the board and in this order: clients end first, then the server.
  std::unique_ptr<Child> server_;
  std::vector<std::unique_ptr<Child>> clients_;
  std::vector<const Child*> watched_;
};

absl::Status Run::Start() {
  const std::vector<int> allowed = AllowedCpus();
  std::vector<int> server_cpus, client_cpus;
  if (setup_.placement != Placement::kUnpinned) server_cpus = client_cpus = {allowed[0]};
  if (setup_.placement == Placement::kTwoCores) client_cpus = {allowed[1]};

  server_ = std::make_unique<Child>(server_cpus,
                                    [&] { peer_.Serve([&] { board_->server_ready = true; }); });
  watched_.push_back(server_.get());
  absl::Status ready = Wait([&] { return board_->server_ready.load(); }, kTickMs);
  if (!ready.ok()) return ready;
  for (int client = 0; client < setup_.clients; ++client) {
    clients_.push_back(std::make_unique<Child>(client_cpus, [&, client] {
      peer_.Connect(client);
      setup_.fan_in ? Count(peer_, *board_, client) : Sample(peer_, *board_);
      peer_.Disconnect();
    }));
    watched_.push_back(clients_.back().get());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> Run::MeasureTrips() {
  // The client's end wakes us. Until then this process sleeps, so that no CPU is woken by it.
  absl::Status finished = Wait([&] { return board_->finished.load(); }, kLimitMs);
  if (!finished.ok()) return finished;
  return std::vector<double>(board_->samples, board_->samples + board_->sample_count);
}

uint64_t Run::CallsOfAll() const {
  uint64_t calls = 0;
  for (int client = 0; client < setup_.clients; ++client) {
    calls += board_->counters[client].calls.load(std::memory_order_relaxed);
  }
  return calls;
}

absl::StatusOr<std::vector<double>> Run::MeasureSlices() {
  auto all_are_served = [&] {
    return std::all_of(board_->counters, board_->counters + setup_.clients,
                       [](const Board::Counter& counter) { return counter.calls.load() > 0; });
  };
  absl::Status status = Wait(all_are_served, kTickMs);
  double end = NowNs() + kWarmUpNs;
  if (status.ok()) status = Wait([&] { return NowNs() >= end; }, kSliceMs);
  std::vector<double> samples;
  double begin = NowNs();
  uint64_t calls = CallsOfAll();
  while (status.ok() && samples.size() < kSlices) {
    end = begin + kSliceMs * 1e6;
    // A slice in which nothing was answered goes on until something is.
    status = Wait([&] { return NowNs() >= end && CallsOfAll() > calls; }, kSliceMs);
    const double now = NowNs();
    const uint64_t more = CallsOfAll() - calls;
    if (status.ok()) samples.push_back((now - begin) / static_cast<double>(more));
    begin = now;
    calls += more;
  }
  // Clients see this while the server still answers, and end by themselves.
  board_->stop = true;
  for (const auto& client : clients_) client->EndedWithin(status.ok() ? kEndMs : 0);
  if (!status.ok()) return status;
  return samples;
}

}  // namespace

absl::StatusOr<std::vector<double>> Measure(Peer& peer, const Setup& setup) {
  return Run(peer, setup).Measure();
}

}  // namespace parley_bench
