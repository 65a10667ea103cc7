// Peer: nng, a req and a rep socket over ipc.
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

void RequireNng(int error, const char* what) {
  if (error != 0) Fatal(absl::StrCat(what, ": ", nng_strerror(error)));
}

class NngPeer : public Peer {
 public:
  explicit NngPeer(const Setup& setup)
      : bytes_(setup.bytes), url_("abstract://" + setup.address) {}  // ipc without a file

  void Serve(const std::function<void()>& ready) override {
    nng_socket socket;
    RequireNng(nng_rep0_open(&socket), "nng_rep0_open");
    Unlimit(socket);
    RequireNng(nng_listen(socket, url_.c_str(), nullptr, 0), "nng_listen");
    ready();
    for (;;) {
      nng_msg* message = Receive(socket, bytes_);
      const Reply reply = {.sum = Sum(nng_msg_body(message), bytes_)};
      // The request's message becomes the reply's: no allocation.
      nng_msg_clear(message);
      RequireNng(nng_msg_append(message, &reply, sizeof(reply)), "nng_msg_append");
      RequireNng(nng_sendmsg(socket, message, 0), "nng_sendmsg");
    }
  }

  void Connect(int) override {
    RequireNng(nng_req0_open(&socket_), "nng_req0_open");
    Unlimit(socket_);
    RequireNng(nng_dial(socket_, url_.c_str(), nullptr, 0), "nng_dial");
    request_.emplace(bytes_);
  }

  uint64_t Call(uint64_t number) override {
    request_->SetNumber(number);
    RequireNng(nng_send(socket_, request_->data(), request_->size(), 0), "nng_send");
    nng_msg* message = Receive(socket_, sizeof(Reply));
    const uint64_t sum = SumInReply(nng_msg_body(message));
    nng_msg_free(message);
    return sum;
  }

  void Disconnect() override { nng_close(socket_); }

 private:
  // Else it refuses what is longer than 1 MiB with its header.
  static void Unlimit(nng_socket socket) {
    RequireNng(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0), "NNG_OPT_RECVMAXSZ");
  }

  static nng_msg* Receive(nng_socket socket, size_t bytes) {
    nng_msg* message = nullptr;
    RequireNng(nng_recvmsg(socket, &message, 0), "nng_recvmsg");
    if (nng_msg_len(message) != bytes) Fatal("nng_recvmsg: a message of another length");
    return message;
  }

  const size_t bytes_;
  const std::string url_;
  // The client's.
  std::optional<Request> request_;
  nng_socket socket_ = NNG_SOCKET_INITIALIZER;
};

}  // namespace

PeerKind Nng() { return {.name = "peer/nng", .fan_in = true, .make = Make<NngPeer>}; }

}  // namespace parley_bench
