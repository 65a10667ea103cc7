// Floor: two POSIX message queues.
#include <fcntl.h>
#include <mqueue.h>

#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

// A queue without a name, so that nothing is left of it. Both processes inherit it.
class Queue {
 public:
  Queue(const std::string& address, size_t bytes) {
    const std::string name = absl::StrCat("/", address);
    mq_attr attributes = {};
    attributes.mq_maxmsg = 1;
    attributes.mq_msgsize = static_cast<long>(bytes);
    queue_ = mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    error_ = queue_ < 0 ? errno : 0;
    if (queue_ >= 0) mq_unlink(name.c_str());
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() {
    if (queue_ >= 0) mq_close(queue_);
  }

  int error() const { return error_; }

  void Send(const void* data, size_t bytes) {
    Require(mq_send(queue_, static_cast<const char*>(data), bytes, 0) == 0, "mq_send");
  }
  void Receive(void* data, size_t bytes) {
    const ssize_t moved = mq_receive(queue_, static_cast<char*>(data), bytes, nullptr);
    Require(moved == static_cast<ssize_t>(bytes), "mq_receive");
  }

 private:
  mqd_t queue_;
  int error_;
};

class MessageQueuePeer : public Peer {
 public:
  explicit MessageQueuePeer(const Setup& setup)
      : bytes_(setup.bytes),
        requests_(setup.address + "-requests", bytes_),
        replies_(setup.address + "-replies", sizeof(Reply)) {}

  absl::Status status() const {
    const int error = requests_.error() != 0 ? requests_.error() : replies_.error();
    if (error == 0) return absl::OkStatus();
    // What mq_open says of a message past the system's limit, or of more memory than a user's.
    if (error == EINVAL || error == EMFILE || error == ENOMEM) {
      return absl::OutOfRangeError("past the limits in /proc/sys/fs/mqueue or of ulimit -q");
    }
    return absl::UnavailableError(absl::StrCat("mq_open: ", std::strerror(error)));
  }

  void Serve(const std::function<void()>& ready) override {
    std::vector<std::byte> received(bytes_);
    ready();
    for (;;) {
      requests_.Receive(received.data(), received.size());
      const Reply reply = {.sum = Sum(received.data(), received.size())};
      replies_.Send(&reply, sizeof(reply));
    }
  }

  void Connect(int) override { request_.emplace(bytes_); }

  uint64_t Call(uint64_t number) override {
    request_->SetNumber(number);
    requests_.Send(request_->data(), request_->size());
    Reply reply;
    replies_.Receive(&reply, sizeof(reply));
    return reply.sum;
  }

 private:
  const size_t bytes_;
  Queue requests_;
  Queue replies_;
  std::optional<Request> request_;  // the client's
};

absl::StatusOr<std::unique_ptr<Peer>> MakeQueues(const Setup& setup) {
  auto peer = std::make_unique<MessageQueuePeer>(setup);
  if (!peer->status().ok()) return peer->status();
  return peer;
}

}  // namespace

PeerKind MessageQueue() { return {.name = "floor/mq", .make = MakeQueues}; }

}  // namespace parley_bench
