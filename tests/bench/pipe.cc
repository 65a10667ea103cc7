// Floor: two pipes.
#include <fcntl.h>

#include <optional>
#include <vector>

#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"
#include "tests/bench/stream.h"

namespace parley_bench {
namespace {

class PipePeer : public Peer {
 public:
  explicit PipePeer(const Setup& setup) : bytes_(setup.bytes) {
    Require(pipe(requests_) == 0 && pipe(replies_) == 0, "pipe");
    // So that a whole request fits in; more than the system allows is not worth a failure.
    fcntl(requests_[1], F_SETPIPE_SZ, static_cast<int>(bytes_));
  }

  ~PipePeer() override {
    for (int fd : {requests_[0], requests_[1], replies_[0], replies_[1]}) close(fd);
  }

  void Serve(const std::function<void()>& ready) override {
    std::vector<std::byte> received(bytes_);
    ready();
    for (;;) {
      ReadAll(requests_[0], received.data(), received.size());
      const Reply reply = {.sum = Sum(received.data(), received.size())};
      WriteAll(replies_[1], &reply, sizeof(reply));
    }
  }

  void Connect(int) override { request_.emplace(bytes_); }

  uint64_t Call(uint64_t number) override {
    request_->SetNumber(number);
    WriteAll(requests_[1], request_->data(), request_->size());
    Reply reply;
    ReadAll(replies_[0], &reply, sizeof(reply));
    return reply.sum;
  }

 private:
  const size_t bytes_;
  int requests_[2];
  int replies_[2];
  std::optional<Request> request_;  // the client's
};

}  // namespace

PeerKind Pipe() { return {.name = "floor/pipe", .make = Make<PipePeer>}; }

}  // namespace parley_bench
