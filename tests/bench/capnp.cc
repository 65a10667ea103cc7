// Peer: Cap'n Proto RPC over Unix sockets.
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include <cstring>
#include <optional>

#include "tests/bench/echo.capnp.h"
#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"
#include "tests/bench/socket_pairs.h"

namespace parley_bench {
namespace {

class EchoServer final : public Echo::Server {
 protected:
  kj::Promise<void> call(CallContext context) override {
    const capnp::Data::Reader request = context.getParams().getRequest();
    const Reply reply = {.sum = Sum(request.begin(), request.size())};
    const capnp::MessageSize size = {sizeof(reply) / sizeof(capnp::word) + 8, 0};
    auto data = context.getResults(size).initReply(sizeof(reply));
    std::memcpy(data.begin(), &reply, sizeof(reply));
    return kj::READY_NOW;
  }
};

class CapnProtoPeer : public Peer {
 public:
  explicit CapnProtoPeer(const Setup& setup) : bytes_(setup.bytes), sockets_(setup.clients) {}

  void Serve(const std::function<void()>& ready) override {
    kj::AsyncIoContext io = kj::setupAsyncIo();
    capnp::TwoPartyServer server(kj::heap<EchoServer>());
    for (int client = 0; client < sockets_.size(); ++client) {
      server.accept(io.lowLevelProvider->wrapSocketFd(sockets_.server_end(client)));
    }
    ready();
    kj::Promise<void>(kj::NEVER_DONE).wait(io.waitScope);
  }

  void Connect(int client) override {
    connection_ = std::make_unique<Connection>(sockets_.client_end(client));
    request_.emplace(bytes_);
  }

  uint64_t Call(uint64_t number) override {
    request_->SetNumber(number);
    // With the size known, the message is one piece of memory.
    const capnp::MessageSize size = {bytes_ / sizeof(capnp::word) + 8, 0};
    auto call = connection_->echo.callRequest(size);
    std::memcpy(call.initRequest(static_cast<unsigned>(bytes_)).begin(), request_->data(), bytes_);
    const auto response = call.send().wait(connection_->io.waitScope);
    const capnp::Data::Reader data = response.getReply();
    if (data.size() != sizeof(Reply)) Fatal("capnp: a reply of another length");
    return SumInReply(data.begin());
  }

  void Disconnect() override { connection_.reset(); }

 private:
  struct Connection {
    explicit Connection(int fd)
        : io(kj::setupAsyncIo()),
          stream(io.lowLevelProvider->wrapSocketFd(fd)),
          client(*stream),
          echo(client.bootstrap().castAs<Echo>()) {}

    kj::AsyncIoContext io;
    kj::Own<kj::AsyncIoStream> stream;
    capnp::TwoPartyClient client;
    Echo::Client echo;
  };

  const size_t bytes_;
  SocketPairs sockets_;
  // The client's.
  std::optional<Request> request_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace

PeerKind CapnProto() { return {.name = "peer/capnp", .fan_in = true, .make = Make<CapnProtoPeer>}; }

}  // namespace parley_bench
