// Peer: ZeroMQ, a REQ and a REP socket over ipc.
#include <zmq.h>

#include <optional>

#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

class ZeroMqPeer : public Peer {
 public:
  explicit ZeroMqPeer(const Setup& setup)
      : bytes_(setup.bytes), endpoint_("ipc://@" + setup.address) {}  // @: an abstract socket

  void Serve(const std::function<void()>& ready) override {
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, ZMQ_REP);
    Require(socket != nullptr && zmq_bind(socket, endpoint_.c_str()) == 0, "zmq_bind");
    ready();
    for (;;) {
      const Reply reply = {.sum = Receive(socket, bytes_, [](const void* data, size_t bytes) {
                             return Sum(data, bytes);
                           })};
      Require(zmq_send(socket, &reply, sizeof(reply), 0) == sizeof(reply), "zmq_send");
    }
  }

  void Connect(int) override {
    context_ = zmq_ctx_new();
    socket_ = zmq_socket(context_, ZMQ_REQ);
    Require(socket_ != nullptr && zmq_connect(socket_, endpoint_.c_str()) == 0, "zmq_connect");
    request_.emplace(bytes_);
  }

  uint64_t Call(uint64_t number) override {
    request_->SetNumber(number);
    // Not copied: the library sends from the request itself, which rests until the reply is there.
    zmq_msg_t message;
    zmq_msg_init_data(
        &message, request_->data(), request_->size(), [](void*, void*) {}, nullptr);
    Require(zmq_msg_send(&message, socket_, 0) == static_cast<int>(bytes_), "zmq_msg_send");
    return Receive(socket_, sizeof(Reply),
                   [](const void* data, size_t) { return SumInReply(data); });
  }

  void Disconnect() override {
    const int at_once = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &at_once, sizeof(at_once));
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }

 private:
  // Returns what `read` makes of the next message, which is to have so many bytes.
  static uint64_t Receive(void* socket, size_t bytes, uint64_t (*read)(const void*, size_t)) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    Require(zmq_msg_recv(&message, socket, 0) == static_cast<int>(bytes), "zmq_msg_recv");
    const uint64_t result = read(zmq_msg_data(&message), bytes);
    zmq_msg_close(&message);
    return result;
  }

  const size_t bytes_;
  const std::string endpoint_;
  // The client's.
  std::optional<Request> request_;
  void* context_ = nullptr;
  void* socket_ = nullptr;
};

}  // namespace

PeerKind ZeroMq() { return {.name = "peer/zeromq", .fan_in = true, .make = Make<ZeroMqPeer>}; }

}  // namespace parley_bench
