// Trips, and the samples they become.
#include "tests/bench/board.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/bench/process.h"

namespace parley_bench {
namespace {

constexpr double kWarmUpNs = 60e6;
constexpr double kMeasureNs = 400e6;
constexpr double kBatchNs = 10e3;  // reading the clock is 0.3 % of it, and the p99 one in a hundred
constexpr int kMaxBatch = 1'000;
constexpr int kSliceMs = 10;
constexpr int kSlices = 40;
constexpr int kTickMs = 1;
constexpr int kGoMs = 20;

// One client's trips, each checked.
class Trips {
 public:
  explicit Trips(const Call& call) : call_(call) {}

  void Make(int count) {
    for (int i = 0; i < count; ++i) {
      ++number_;
      if (call_(number_) != number_) Fatal("the server read other bytes than were sent");
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
  const Call& call_;
  uint64_t number_ = 0;
};

uint64_t CallsOfAll(const Board& board, int clients) {
  uint64_t calls = 0;
  for (int client = 0; client < clients; ++client) {
    calls += board.counters[client].calls.load(std::memory_order_relaxed);
  }
  return calls;
}

}  // namespace

double NowNs() {
  return std::chrono::duration<double, std::nano>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void Sample(const Call& call, Board& board) {
  Trips trips(call);
  trips.Make(10);  // the first ones connect, allocate and fault
  double trip_ns = 0;
  for (int count = 1; trip_ns * count < kWarmUpNs; count *= 2) trip_ns = trips.Time(count);
  const int batch = std::clamp(static_cast<int>(kBatchNs / trip_ns), 1, kMaxBatch);
  const double end = NowNs() + kMeasureNs;
  while (board.sample_count < Board::kMaxSamples && NowNs() < end) {
    board.samples[board.sample_count++] = trips.Time(batch);
  }
  board.finished = true;
}

void Count(const Call& call, Board& board, int client) {
  Trips trips(call);
  const auto count = [&] {
    trips.Make(1);
    board.counters[client].calls.store(trips.made(), std::memory_order_relaxed);
  };
  // Those that still start would wait for their turns among those that call already.
  count();
  while (!board.go && !board.stop) std::this_thread::sleep_for(std::chrono::milliseconds(kGoMs));
  while (!board.stop.load(std::memory_order_relaxed)) count();
}

absl::StatusOr<std::vector<double>> TakeSlices(Board& board, int clients, const Wait& wait) {
  auto all_have_made = [&](uint64_t calls) {
    return std::all_of(board.counters, board.counters + clients,
                       [=](const Board::Counter& counter) { return counter.calls >= calls; });
  };
  absl::Status status = wait([&] { return all_have_made(1); }, kTickMs);
  board.go = true;
  if (status.ok()) status = wait([&] { return all_have_made(2); }, kTickMs);
  double end = NowNs() + kWarmUpNs;
  if (status.ok()) status = wait([&] { return NowNs() >= end; }, kSliceMs);
  std::vector<double> samples;
  double begin = NowNs();
  uint64_t calls = CallsOfAll(board, clients);
  while (status.ok() && samples.size() < kSlices) {
    end = begin + kSliceMs * 1e6;
    // A slice in which nothing was answered goes on until something is.
    status = wait([&] { return NowNs() >= end && CallsOfAll(board, clients) > calls; }, kSliceMs);
    const double now = NowNs();
    const uint64_t more = CallsOfAll(board, clients) - calls;
    if (status.ok()) samples.push_back((now - begin) / static_cast<double>(more));
    begin = now;
    calls += more;
  }
  if (!status.ok()) return status;
  return samples;
}

}  // namespace parley_bench
