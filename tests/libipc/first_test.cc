// A server and a client, whole: names, typed calls and regions.
#include "tests/support/world.h"

namespace {

struct AddRequest {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
  int32_t a = 0, b = 0;
};
struct AddReply {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
  int32_t sum = 0;
};

int Adder(ipc::Process& self) {
  ipc::Channel channel = self.Attach("/calc/add").value();
  for (;;) {
    ipc::Received received = channel.Receive().value();
    if (ipc::Message* message = received.message()) {
      auto request = message->As<AddRequest>();
      if (request.ok()) message->Reply(AddReply{request->a + request->b});
    }
  }
}

int Client(ipc::Process& self) {
  ipc::Connection add = self.Open("/calc/add", absl::Seconds(1)).value();
  ipc::Region image = self.CreateRegion(8 << 20).value();
  auto reply = add.Call<AddReply>(
      AddRequest{2, 3}, {.regions = {image.In()}, .deadline = self.Now() + absl::Milliseconds(5)});
  CHECK_MESSAGE(reply.ok(), reply.status().ToString());
  return reply.ok() && reply->sum == 5 ? 0 : 1;
}

TEST_CASE("a client calls a server that it finds by name") {
  tests::RunWorld(
      {{.name = "client", .main = Client}, {.name = "adder", .main = Adder, .service = true}});
}

}  // namespace
