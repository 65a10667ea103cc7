// Messages as libipc hands them out: what lies inline and what stays with the client.
#include "ipc/message.h"

#include <array>
#include <numeric>
#include <optional>

#include "absl/strings/match.h"
#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::RunWorld;

struct Small {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
  int32_t value = 0;
};
struct SmallTwo {
  static constexpr ipc::MessageType kType{.code = 1, .version = 2};
  int32_t value = 0;
};
// Longer than what lies inline.
struct Large {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
  std::array<uint8_t, 1000> bytes = {};
};
// The header and this fill the inline bytes exactly, and one byte more.
struct Full {
  static constexpr ipc::MessageType kType{.code = 3, .version = 1};
  std::array<uint8_t, ipc::Message::kInlineBytes - sizeof(ipc::MessageHeader)> bytes = {};
};
struct OneMore {
  static constexpr ipc::MessageType kType{.code = 4, .version = 1};
  std::array<uint8_t, ipc::Message::kInlineBytes - sizeof(ipc::MessageHeader) + 1> bytes = {};
};

template <typename T>
T Counting() {
  T message;
  std::iota(message.bytes.begin(), message.bytes.end(), uint8_t{1});
  return message;
}

// Runs `serve` once on the one message that `call` sends, both in one process.
void Exchange(const std::function<void(ipc::Channel&, ipc::Received)>& serve,
              const std::function<void(ipc::Connection&)>& call) {
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   serve(channel, std::move(received));
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               ipc::Connection connection = self.Open("/s", absl::Seconds(1)).value();
               call(connection);
               return 0;
             }}});
}

template <typename T>
void EchoOf() {
  Exchange(
      [](ipc::Channel&, ipc::Received received) {
        ipc::Message& message = *received.message();
        CHECK(message.Is<T>());
        CHECK(message.info().request_bytes == sizeof(ipc::MessageHeader) + sizeof(T));
        CHECK(message.bytes().size() ==
              std::min(ipc::Message::kInlineBytes, sizeof(ipc::MessageHeader) + sizeof(T)));
        auto request = message.As<T>();
        REQUIRE(request.ok());
        CHECK(request->bytes == Counting<T>().bytes);
        CHECK(message.Reply(*request).ok());
      },
      [](ipc::Connection& connection) {
        auto reply = connection.Call<T>(Counting<T>());
        REQUIRE_MESSAGE(reply.ok(), reply.status().ToString());
        CHECK(reply->bytes == Counting<T>().bytes);
      });
}

TEST_CASE("typed messages arrive whole, whether they lie inline or not") {
  EchoOf<Large>();
  EchoOf<Full>();
  EchoOf<OneMore>();
}

TEST_CASE("a message of another version is refused to both sides, and says what came") {
  Exchange(
      [](ipc::Channel&, ipc::Received received) {
        CHECK_FALSE(received.message()->Is<SmallTwo>());
        const absl::Status refused = received.message()->As<SmallTwo>().status();
        CHECK(ErrorOf(refused) == Error::kWrongType);
        CHECK(absl::StrContains(refused.message(), "type 1, version 1"));
        CHECK_FALSE(received.message()->open());  // it has been answered
      },
      [](ipc::Connection& connection) {
        const absl::Status refused = connection.Call<Small>(Small{1}).status();
        CHECK(absl::IsInvalidArgument(refused));
        CHECK(absl::StrContains(refused.message(), "type 1, version 2"));
        CHECK(absl::StartsWith(refused.message(), "/s: "));
      });
}

TEST_CASE("a reply of another type is refused, and so is one without a type") {
  Exchange([](ipc::Channel&, ipc::Received received) { received.message()->Reply(SmallTwo{}); },
           [](ipc::Connection& connection) {
             const absl::Status refused = connection.Call<Small>(Small{}).status();
             CHECK(ErrorOf(refused) == Error::kWrongType);
             CHECK(absl::StrContains(refused.message(), "version 2"));
           });
  Exchange([](ipc::Channel&, ipc::Received received) { received.message()->Reply(); },
           [](ipc::Connection& connection) {
             const absl::Status refused = connection.Call<Small>(Small{}).status();
             CHECK(ErrorOf(refused) == Error::kWrongType);
             CHECK(absl::StrContains(refused.message(), "no type"));
           });
}

TEST_CASE("a typed request with the right header and the wrong length is refused") {
  Exchange(
      [](ipc::Channel&, ipc::Received received) {
        CHECK(received.message()->Is<Small>());
        CHECK(ErrorOf(received.message()->As<Small>().status()) == Error::kWrongType);
      },
      [](ipc::Connection& connection) {
        std::array<std::byte, sizeof(ipc::MessageHeader) + 3> bytes = {};
        const ipc::MessageHeader header = ipc::HeaderOf<Small>();
        std::memcpy(bytes.data(), &header, sizeof(header));
        CHECK(absl::IsInvalidArgument(connection.Send(bytes, {}).status()));
      });
}

TEST_CASE("a request shorter than a header has no type") {
  Exchange(
      [](ipc::Channel&, ipc::Received received) {
        CHECK(received.message()->type().code == 0);
        CHECK(received.message()->bytes().size() == 3);
        CHECK(ErrorOf(received.message()->As<Small>().status()) == Error::kWrongType);
      },
      [](ipc::Connection& connection) {
        CHECK(absl::IsInvalidArgument(connection.Send(ipc::BytesOfText("abc"), {}).status()));
      });
}

TEST_CASE("a message that is moved away is empty, and one that is assigned over is answered") {
  Exchange(
      [](ipc::Channel&, ipc::Received received) {
        ipc::Message first = std::move(*received.message());
        CHECK(first.open());
        CHECK_FALSE(received.message()->open());
        CHECK(ErrorOf(received.message()->Reply()) == Error::kMessageGone);
        CHECK(first.bytes().size() == 3);
        first = std::move(*received.message());  // an empty one over it: its client is told
        CHECK_FALSE(first.open());
      },
      [](ipc::Connection& connection) {
        CHECK(ErrorOf(connection.Send(ipc::BytesOfText("abc"), {}).status()) == Error::kNotReplied);
      });
}

TEST_CASE("a message answers once") {
  Exchange(
      [](ipc::Channel&, ipc::Received received) {
        CHECK(received.message()->ReplyError(absl::DataLossError("first")).ok());
        CHECK(ErrorOf(received.message()->Reply(Small{})) == Error::kMessageGone);
        CHECK(ErrorOf(received.message()->ReplyError(absl::DataLossError("second"))) ==
              Error::kMessageGone);
        std::array<std::byte, 1> byte;
        CHECK(ErrorOf(received.message()->Read(0, ipc::MutableBytes(byte.data(), 1)).status()) ==
              Error::kMessageGone);
        CHECK(ErrorOf(received.message()->Refresh()) == Error::kMessageGone);
        CHECK(ErrorOf(received.message()->Region(0).status()) == Error::kMessageGone);
      },
      [](ipc::Connection& connection) {
        const absl::Status refused = connection.Call<Small>(Small{}).status();
        CHECK(ErrorOf(refused) == Error::kServerError);
        CHECK(refused.code() == absl::StatusCode::kDataLoss);
        CHECK(refused.message() == "/s: first");
      });
}

}  // namespace
