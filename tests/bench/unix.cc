// Floor: Unix stream sockets; with many clients, an epoll loop.
#include <sys/epoll.h>

#include <optional>
#include <vector>

#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"
#include "tests/bench/socket_pairs.h"
#include "tests/bench/stream.h"

namespace parley_bench {
namespace {

class UnixPeer : public Peer {
 public:
  explicit UnixPeer(const Setup& setup) : setup_(setup), sockets_(setup.clients) {
    // So that as much of a request as the system allows fits in.
    const int bytes = static_cast<int>(2 * setup.bytes);
    for (int i = 0; setup.bytes > 64 * kKi && i < setup.clients; ++i) {
      setsockopt(sockets_.client_end(i), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
  }

  void Serve(const std::function<void()>& ready) override {
    std::vector<std::byte> received(setup_.bytes);
    ready();
    if (setup_.fan_in) ServeReady(received);
    for (;;) Answer(sockets_.server_end(0), received);
  }

  void Connect(int client) override {
    request_.emplace(setup_.bytes);
    fd_ = sockets_.client_end(client);
  }

  uint64_t Call(uint64_t number) override {
    request_->SetNumber(number);
    WriteAll(fd_, request_->data(), request_->size());
    Reply reply;
    ReadAll(fd_, &reply, sizeof(reply));
    return reply.sum;
  }

 private:
  static void Answer(int fd, std::vector<std::byte>& received) {
    ReadAll(fd, received.data(), received.size());
    const Reply reply = {.sum = Sum(received.data(), received.size())};
    WriteAll(fd, &reply, sizeof(reply));
  }

  [[noreturn]] void ServeReady(std::vector<std::byte>& received) const {
    const int epoll = epoll_create1(0);
    Require(epoll >= 0, "epoll_create1");
    for (int client = 0; client < sockets_.size(); ++client) {
      epoll_event event = {.events = EPOLLIN, .data = {.fd = sockets_.server_end(client)}};
      Require(epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) == 0, "epoll_ctl");
    }
    std::vector<epoll_event> events(static_cast<size_t>(sockets_.size()));
    for (;;) {
      const int count = epoll_wait(epoll, events.data(), sockets_.size(), -1);
      Require(count > 0 || errno == EINTR, "epoll_wait");
      for (int i = 0; i < count; ++i) Answer(events[static_cast<size_t>(i)].data.fd, received);
    }
  }

  const Setup setup_;
  SocketPairs sockets_;
  std::optional<Request> request_;  // the client's
  int fd_ = -1;
};

}  // namespace

PeerKind UnixSocket() { return {.name = "floor/unix", .fan_in = true, .make = Make<UnixPeer>}; }

}  // namespace parley_bench
