// Conformance: send, receive, reply (S1 to S9). Written against libipc only.
#include <optional>

#include "tests/conformance/any_kernel.h"

namespace {

using tests::Shared;
using tests::SharedText;
using tests::conformance::LacksOtherUsers;
using tests::conformance::LetBlock;
using tests::conformance::OpenSoon;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

struct Ping {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
  int32_t value = 0;
};
struct Pong {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
  int32_t value = 0;
};
struct PingTwo {
  static constexpr ipc::MessageType kType{.code = 1, .version = 2};
  int32_t value = 0;
};

int32_t ValueOf(ipc::Message& message) {
  auto ping = message.As<Ping>();
  return ping.ok() ? ping->value : -1;
}

TEST_CASE(
    "S1 a client that sends first waits in SEND, one that sends second goes straight to REPLY") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   // What a receive finds that does not wait has waited in SEND.
                   std::optional<ipc::Received> first;
                   CHECK(WaitUntil(self, [&] {
                     auto found = channel.Receive(ipc::Deadline::Poll());
                     if (found.ok()) first = *std::move(found);
                     return found.ok();
                   }));
                   auto answer = [](ipc::Received received) {
                     const int32_t value = ValueOf(*received.message());
                     CHECK(received.message()->Reply(Pong{value + 1}).ok());
                     CHECK_FALSE(received.message()->open());
                   };
                   answer(*std::move(first));
                   answer(channel.Receive().value());
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               CHECK(server.Call<Pong>(Ping{1})->value == 2);
               LetBlock(self);  // the server, in its receive
               CHECK(server.Call<Pong>(Ping{5})->value == 6);
               return 0;
             }}});
}

TEST_CASE(
    "S2 bytes moved are the lesser of offered and accepted, and both sides see the full lengths") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   std::array<std::byte, 8> small;
                   ipc::Received received = channel.Receive(absl::MakeSpan(small)).value();
                   ipc::Message& message = *received.message();
                   CHECK(message.info().request_bytes == 100);
                   CHECK(message.info().reply_room == 10);
                   CHECK(small[7] == std::byte{7});
                   std::array<std::byte, 30> reply = {};
                   CHECK(message.Reply(ipc::ConstBytes(reply)).value() == 10);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               std::array<std::byte, 100> request;
               for (size_t i = 0; i < request.size(); ++i) request[i] = std::byte(i);
               std::array<std::byte, 10> reply;
               CHECK(server.Send(request, absl::MakeSpan(reply)).value() == 30);
               return 0;
             }}});
}

TEST_CASE("S3 requests and replies are gathered and scattered, and may be empty") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received first = channel.Receive().value();
                   CHECK(first.message()->info().request_bytes == 0);
                   CHECK(first.message()->Reply().ok());
                   ipc::Received second = channel.Receive().value();
                   const ipc::ConstBytes bytes = second.message()->bytes();
                   CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) ==
                         "abcdef");
                   const std::array<ipc::ConstBytes, 2> reply = {ipc::BytesOfText("uvw"),
                                                                 ipc::BytesOfText("xyz")};
                   CHECK(second.message()->ReplyParts(reply).value() == 6);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               CHECK(server.Send({}, {}).value() == 0);
               const std::array<ipc::ConstBytes, 3> request = {
                   ipc::BytesOfText("ab"), ipc::BytesOfText(""), ipc::BytesOfText("cdef")};
               std::array<char, 4> head;
               std::array<char, 2> tail;
               const std::array<ipc::MutableBytes, 2> reply = {ipc::MutableBytesOf(head),
                                                               ipc::MutableBytesOf(tail)};
               CHECK(server.SendParts(request, reply).value() == 6);
               CHECK(std::string(head.data(), 4) + std::string(tail.data(), 2) == "uvwxyz");
               return 0;
             }}});
}

TEST_CASE("S3 more than 1 GiB and more than 1024 parts are invalid arguments") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.CreateChannel("own").value();
               ipc::Connection to = self.Connect(channel.Grant(self.me()).value(), "own").value();
               std::byte byte{};
               const ipc::ConstBytes huge(&byte, (uint64_t{1} << 30) + 1);
               CHECK(ipc::ErrorOf(to.Send(huge, {}).status()) == ipc::Error::kInvalidArgument);
               const std::vector<ipc::ConstBytes> parts(1025, ipc::ConstBytes(&byte, 1));
               CHECK(ipc::ErrorOf(to.SendParts(parts, {}).status()) ==
                     ipc::Error::kInvalidArgument);
               return 0;
             }}});
}

TEST_CASE("S4 messages are kept, moved to another thread and answered in any order") {
  Shared<int> answered;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   std::vector<ipc::Message> kept;
                   for (int i = 0; i < 3; ++i)
                     kept.push_back(std::move(*channel.Receive().value().message()));
                   auto answer_backwards = [&] {
                     for (int i = 2; i >= 0; --i) {
                       ipc::Message& message = kept[static_cast<size_t>(i)];
                       const int32_t value = ValueOf(message);
                       CHECK(message.Reply(Pong{value * 10}).ok());
                       // That client goes on, while those before it are still blocked.
                       CHECK(WaitUntil(self, [&] { return answered == 3 - i; }));
                     }
                   };
                   ipc::Thread other = self.Spawn({.name = "other"}, answer_backwards).value();
                   CHECK(other.Join().ok());
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               std::vector<ipc::Thread> threads;
               for (int32_t i = 1; i <= 3; ++i) {
                 threads.push_back(self.Spawn({},
                                              [&, i] {
                                                CHECK(server.Call<Pong>(Ping{i})->value == i * 10);
                                                ++answered;
                                              })
                                       .value());
               }
               for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
               return 0;
             }}});
}

TEST_CASE("S4 a message dropped without a reply answers kNotReplied") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   { ipc::Received dropped = channel.Receive().value(); }
                   CHECK(channel.Receive().value().message()->Reply(Pong{1}).ok());
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               const absl::Status status = server.Call<Pong>(Ping{}).status();
               CHECK(ipc::ErrorOf(status) == ipc::Error::kNotReplied);
               CHECK(absl::IsAborted(status));
               CHECK(server.Call<Pong>(Ping{}).ok());
               return 0;
             }}});
}

TEST_CASE("S4 a handle whose client has gone never reaches that client's later request") {
  Shared<bool> received;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received stale = channel.Receive().value();
                   received = true;
                   ipc::Received fresh = channel.Receive().value();
                   CHECK(ipc::ErrorOf(stale.message()->Reply(Pong{13})) ==
                         ipc::Error::kMessageGone);
                   CHECK(fresh.message()->Reply(Pong{7}).ok());
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               auto call_twice = [&] {
                 CHECK(ipc::ErrorOf(server.Call<Pong>(Ping{}).status()) == ipc::Error::kCancelled);
                 CHECK(server.Call<Pong>(Ping{})->value == 7);
               };
               ipc::Thread caller = self.Spawn({}, call_twice).value();
               CHECK(WaitUntil(self, received));
               CHECK(caller.Cancel().ok());
               return caller.Join().ok() ? 0 : 1;
             }}});
}

TEST_CASE(
    "S5 bytes of a blocked client are read and written any number of times, short past the end") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   ipc::Message& message = *received.message();
                   std::array<std::byte, 64> part;
                   CHECK(message.Read(990, absl::MakeSpan(part)).value() == 10);
                   CHECK(part[0] == std::byte(990 % 251));
                   CHECK(message.Read(5000, absl::MakeSpan(part)).value() == 0);
                   CHECK(message.Write(2, ipc::BytesOfText("later")).value() == 5);
                   CHECK(message.Write(6, ipc::BytesOfText("long")).value() == 2);
                   CHECK(message.Reply(ipc::BytesOfText("ab")).value() == 2);  // lands at offset 0
                   CHECK(ipc::ErrorOf(message.Read(0, absl::MakeSpan(part)).status()) ==
                         ipc::Error::kMessageGone);
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               std::vector<std::byte> request(1000);
               for (size_t i = 0; i < request.size(); ++i) request[i] = std::byte(i % 251);
               std::array<char, 8> reply = {};
               CHECK(server.Send(request, ipc::MutableBytesOf(reply)).value() == 2);
               CHECK(std::string(reply.data(), 8) == "ablatelo");
               return 0;
             }}});
}

TEST_CASE("S6 a message says who sent it, as the kernel vouches for it") {
  if (LacksOtherUsers()) return;
  RunWorld(
      {{.name = "server",
        .main =
            [](ipc::Process& self) {
              ipc::Channel channel = self.Attach("/s").value();
              ipc::Received received = channel.Receive().value();
              ipc::Message& message = *received.message();
              CHECK(message.info().uid == 1000);
              CHECK(message.info().gid == 100);
              CHECK(message.info().priority == 42);
              CHECK(message.info().sender.id() != self.me().id());
              CHECK(message.info().connection != 0);
              CHECK(message.Refresh().ok());
              CHECK_FALSE(message.info().unblock_requested);
              return message.Reply().ok() ? 0 : 1;
            }},
       {.name = "client",
        .main = [](ipc::Process& self) { return OpenSoon(self, "/s").Send({}, {}).ok() ? 0 : 1; },
        .scheduling = {.priority = 42},
        .uid = 1000,
        .gid = 100}});
}

TEST_CASE(
    "S7 of several waiting threads the longest-waiting of the highest priority receives first") {
  Shared<bool> all_wait;
  RunWorld(
      {{.name = "server",
        .main =
            [&](ipc::Process& self) {
              ipc::Channel channel = self.Attach("/s").value();
              SharedText order;
              std::vector<ipc::Thread> threads;
              for (auto [name, priority] : {std::pair{'a', 20}, {'b', 30}, {'c', 30}, {'d', 20}}) {
                threads.push_back(self.Spawn({.scheduling = ipc::Scheduling{.priority = priority}},
                                             [&, name = name] {
                                               ipc::Received received = channel.Receive().value();
                                               order.Add(name);
                                               received.message()->Reply().IgnoreError();
                                             })
                                      .value());
                LetBlock(self);
              }
              all_wait = true;
              for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
              CHECK(order.text() == "bcad");
              return 0;
            }},
       {.name = "client", .main = [&](ipc::Process& self) {
          ipc::Connection server = OpenSoon(self, "/s");
          CHECK(WaitUntil(self, all_wait));
          for (int i = 0; i < 4; ++i) CHECK(server.Send({}, {}).ok());
          return 0;
        }}});
}

TEST_CASE("S8 a badge is fixed by the server's grant, through every delegation") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received hello = channel.Receive().value();
                   const ipc::Token token =
                       channel
                           .Grant(hello.message()->info().sender, {.badge = 77, .may_grant = true})
                           .value();
                   CHECK(hello.message()->info().badge == 0);
                   CHECK(hello.message()->Reply(ipc::BytesOf(token)).ok());
                   ipc::Received badged = channel.Receive().value();
                   CHECK(badged.message()->info().badge == 77);
                   return badged.message()->Reply().ok() ? 0 : 1;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection plain = OpenSoon(self, "/s");
               ipc::Token token;
               CHECK(plain.Send({}, ipc::MutableBytesOf(token)).ok());
               const ipc::Token again = self.DelegateConnect(token, self.me()).value();
               ipc::Connection badged = self.Connect(again, "badged").value();
               return badged.Send({}, {}).ok() ? 0 : 1;
             }}});
}

TEST_CASE("S9 what a server replies as an error arrives with its code and text") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   return channel.Receive()
                                  .value()
                                  .message()
                                  ->ReplyError(absl::OutOfRangeError("no such page"))
                                  .ok()
                              ? 0
                              : 1;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               const absl::Status status = OpenSoon(self, "/s").Call<Pong>(Ping{}).status();
               CHECK(absl::IsOutOfRange(status));
               CHECK(ipc::ErrorOf(status) == ipc::Error::kServerError);
               CHECK(status.message() == "/s: no such page");
               return 0;
             }}});
}

TEST_CASE("S9 a typed call that meets another version is refused on both sides") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   CHECK(ipc::ErrorOf(received.message()->As<PingTwo>().status()) ==
                         ipc::Error::kWrongType);
                   CHECK_FALSE(received.message()->open());  // it has been answered
                   return 0;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               CHECK(absl::IsInvalidArgument(OpenSoon(self, "/s").Call<Pong>(Ping{}).status()));
               return 0;
             }}});
}

}  // namespace
