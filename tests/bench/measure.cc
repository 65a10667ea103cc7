// Measuring a peer: its server's and clients' processes.
#include "tests/bench/measure.h"

#include "tests/bench/board.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

constexpr int kLimitMs = 10'000;  // for anything that takes so long, something is wrong
constexpr int kEndMs = 1'000;
constexpr int kTickMs = 1;

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
  server_ = std::make_unique<Child>(ServerCpus(setup_.placement),
                                    [&] { peer_.Serve([this] { board_->server_ready = true; }); });
  watched_.push_back(server_.get());
  absl::Status ready = Wait([&] { return board_->server_ready.load(); }, kTickMs);
  if (!ready.ok()) return ready;
  for (int client = 0; client < setup_.clients; ++client) {
    clients_.push_back(std::make_unique<Child>(ClientCpus(setup_.placement), [&, client] {
      peer_.Connect(client);
      const Call call = [&](uint64_t number) { return peer_.Call(number); };
      setup_.fan_in ? Count(call, *board_, client) : Sample(call, *board_);
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

absl::StatusOr<std::vector<double>> Run::MeasureSlices() {
  auto samples = TakeSlices(*board_, setup_.clients,
                            [this](const auto& done, int tick_ms) { return Wait(done, tick_ms); });
  // Clients see this while the server still answers, and end by themselves.
  board_->stop = true;
  for (const auto& client : clients_) client->EndedWithin(samples.ok() ? kEndMs : 0);
  return samples;
}

}  // namespace

absl::StatusOr<std::vector<double>> Measure(Peer& peer, const Setup& setup) {
  return Run(peer, setup).Measure();
}

}  // namespace parley_bench
