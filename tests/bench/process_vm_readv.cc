// Floor: the server copies a request from the client's memory with one process_vm_readv.
#include <sys/prctl.h>
#include <sys/uio.h>

#include <optional>
#include <vector>

#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"
#include "tests/bench/signal.h"

namespace parley_bench {
namespace {

class ProcessVmReadvPeer : public Peer {
 public:
  explicit ProcessVmReadvPeer(const Setup& setup)
      : bytes_(setup.bytes), waiting_(BestWaiting(setup.placement)) {}

  void Serve(const std::function<void()>& ready) override {
    std::vector<std::byte> received(bytes_);
    ready();
    for (uint32_t count = 1;; ++count) {
      area_->request.Await(count, waiting_);
      const iovec from = {area_->address, bytes_};
      const iovec to = {received.data(), received.size()};
      const ssize_t moved = process_vm_readv(area_->client, &to, 1, &from, 1, 0);
      Require(moved == static_cast<ssize_t>(bytes_), "process_vm_readv");
      area_->answer = {.sum = Sum(received.data(), received.size())};
      area_->reply.Raise(count, waiting_);
    }
  }

  void Connect(int) override {
    request_.emplace(bytes_);
    area_->client = getpid();
    area_->address = request_->data();
    // Where the Yama module guards processes from their siblings, this one allows it. Without Yama
    // it fails, and is not needed.
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  }

  uint64_t Call(uint64_t number) override {
    const auto count = static_cast<uint32_t>(number);
    request_->SetNumber(number);
    area_->request.Raise(count, waiting_);
    area_->reply.Await(count, waiting_);
    const Reply reply = area_->answer;
    return reply.sum;
  }

 private:
  struct Area {
    Signal request;
    Signal reply;
    Reply answer;
    pid_t client = 0;
    void* address = nullptr;  // in the client
  };

  const size_t bytes_;
  const Waiting waiting_;
  Shared<Area> area_;
  std::optional<Request> request_;  // the client's
};

}  // namespace

PeerKind ProcessVmReadv() {
  return {.name = "floor/process_vm_readv", .sizes = {kMi}, .make = Make<ProcessVmReadvPeer>};
}

}  // namespace parley_bench
