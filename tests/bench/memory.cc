// Floors: bare shared memory, with the peers spinning, yielding or sleeping in a futex. What is
// built of these cannot be faster.
#include <atomic>

#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"
#include "tests/bench/signal.h"

namespace parley_bench {
namespace {

// One cache line there and back, no payload. Both counts are on the one line: with a line for each
// side, one and the same machine was seen to take a fifth less at one time and twice as long at
// another.
class CacheLinePeer : public Peer {
 public:
  explicit CacheLinePeer(const Setup&) {}

  void Serve(const std::function<void()>& ready) override {
    ready();
    for (uint64_t number = 1;; ++number) {
      while (line_->request.load(std::memory_order_acquire) != number) continue;
      line_->reply.store(number, std::memory_order_release);
    }
  }

  void Connect(int) override {}

  uint64_t Call(uint64_t number) override {
    line_->request.store(number, std::memory_order_release);
    while (line_->reply.load(std::memory_order_acquire) != number) continue;
    return number;
  }

 private:
  struct alignas(128) Line {
    std::atomic<uint64_t> request = 0;
    std::atomic<uint64_t> reply = 0;
  };
  Shared<Line> line_;
};

// A request that the client writes where the server reads it, and the reply likewise.
class MemoryPeer : public Peer {
 public:
  MemoryPeer(const Setup& setup, Waiting waiting)
      : waiting_(waiting), bytes_(setup.bytes), area_(setup.bytes) {}

  void Serve(const std::function<void()>& ready) override {
    ready();
    for (uint32_t count = 1;; ++count) {
      area_->request.Await(count, waiting_);
      area_->answer = {.sum = Sum(data(), bytes_)};
      area_->reply.Raise(count, waiting_);
    }
  }

  void Connect(int) override {}

  uint64_t Call(uint64_t number) override {
    const auto count = static_cast<uint32_t>(number);
    Fill(data(), bytes_, number);
    area_->request.Raise(count, waiting_);
    area_->reply.Await(count, waiting_);
    const Reply reply = area_->answer;
    return reply.sum;
  }

 private:
  struct alignas(4096) Area {
    Signal request;
    Signal reply;
    Reply answer;
  };

  void* data() const { return &*area_ + 1; }

  const Waiting waiting_;
  const size_t bytes_;
  Shared<Area> area_;
};

}  // namespace

PeerKind CacheLine() {
  return {.name = "floor/cache-line",
          .sizes = {0},
          .placements = {Placement::kTwoCores},
          .make = Make<CacheLinePeer>};
}

PeerKind Futex() {
  return {.name = "floor/futex", .sizes = {64}, .make = [](const Setup& setup) {
            return std::make_unique<MemoryPeer>(setup, Waiting::kSleep);
          }};
}

PeerKind Yield() {
  return {.name = "floor/yield", .sizes = {64}, .make = [](const Setup& setup) {
            return std::make_unique<MemoryPeer>(setup, Waiting::kYield);
          }};
}

PeerKind SharedMemory() {
  return {.name = "floor/shared-memory", .sizes = {kMi}, .make = [](const Setup& setup) {
            return std::make_unique<MemoryPeer>(setup, BestWaiting(setup.placement));
          }};
}

}  // namespace parley_bench
