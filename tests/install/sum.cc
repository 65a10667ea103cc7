// A program outside the tree: a server and a client, built against the installed library alone.
#include <cstdio>

#include "ipc/world.h"

struct Numbers {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
  int a = 0, b = 0;
};

int Server(ipc::Process& self) {
  ipc::Channel channel = self.Attach("/sum").value();
  for (;;) {
    ipc::Received received = channel.Receive().value();
    if (ipc::Message* message = received.message()) {
      const Numbers numbers = message->As<Numbers>().value();
      message->Reply(Numbers{numbers.a + numbers.b, 0}).IgnoreError();
    }
  }
}

int Client(ipc::Process& self) {
  ipc::Connection sum = self.Open("/sum", absl::Seconds(1)).value();
  std::printf("2 + 3 = %d\n", sum.Call<Numbers>(Numbers{2, 3}).value().a);
  return 0;
}

int main() {
  ipc::World world({{"server", Server}, {"client", Client}});
  world.Start("server", {.process = {}, .service = true});
  world.Start("client");
  return world.Run();
}
