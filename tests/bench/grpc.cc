// Peer: gRPC, unary calls of the synchronous interface over a Unix socket.
#include <grpcpp/grpcpp.h>

#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/bench/echo.grpc.pb.h"
#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

class EchoService final : public Echo::Service {
 public:
  grpc::Status Call(grpc::ServerContext*, const EchoRequest* request, EchoReply* reply) override {
    const Reply answer = {.sum = Sum(request->data().data(), request->data().size())};
    reply->set_data(&answer, sizeof(answer));
    return grpc::Status::OK;
  }
};

class GrpcPeer : public Peer {
 public:
  explicit GrpcPeer(const Setup& setup)
      : bytes_(setup.bytes), target_("unix-abstract:" + setup.address) {}

  void Serve(const std::function<void()>& ready) override {
    EchoService service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(target_, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    builder.AddChannelArgument(GRPC_ARG_OPTIMIZATION_TARGET, "latency");
    const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr) Fatal("grpc: the server did not start");
    ready();
    server->Wait();
  }

  void Connect(int) override {
    grpc::ChannelArguments arguments;
    arguments.SetString(GRPC_ARG_OPTIMIZATION_TARGET, "latency");
    echo_ = Echo::NewStub(
        grpc::CreateCustomChannel(target_, grpc::InsecureChannelCredentials(), arguments));
    request_.emplace(bytes_);
    message_.set_data(request_->data(), request_->size());
  }

  uint64_t Call(uint64_t number) override {
    // The message is made once; only its number changes, which is the first word.
    request_->SetNumber(number);
    std::memcpy(message_.mutable_data()->data(), request_->data(), sizeof(uint64_t));
    grpc::ClientContext context;
    const grpc::Status status = echo_->Call(&context, message_, &answer_);
    if (!status.ok()) Fatal(absl::StrCat("grpc: ", status.error_message()));
    if (answer_.data().size() != sizeof(Reply)) Fatal("grpc: a reply of another length");
    return SumInReply(answer_.data().data());
  }

  void Disconnect() override { echo_.reset(); }

 private:
  const size_t bytes_;
  const std::string target_;
  // The client's.
  std::optional<Request> request_;
  std::unique_ptr<Echo::Stub> echo_;
  EchoRequest message_;
  EchoReply answer_;
};

}  // namespace

PeerKind Grpc() { return {.name = "peer/grpc", .fan_in = true, .make = Make<GrpcPeer>}; }

}  // namespace parley_bench
