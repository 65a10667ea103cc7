// Conformance: messages that are longer than a kernel carries itself (S2 to S5), and the ends of
// either side while their bytes are being copied (D3, L1, L2, L5).
#include <sys/mman.h>

#include <numeric>
#include <random>

#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::Shared;
using tests::conformance::LongEnoughToBeReceived;
using tests::conformance::OpenSoon;
using tests::conformance::RunWorld;
using tests::conformance::ServeOnce;
using tests::conformance::WaitUntil;

constexpr size_t kLarge = 700'001;  // no multiple of a page, or of anything that kernels copy by

using Bytes = std::vector<std::byte>;
// Other bytes for each seed, and other ones at each offset.
std::byte ByteAt(size_t offset, uint32_t seed) {
  return std::byte((offset * 2654435761u + seed * 97u) >> 11);
}
Bytes Pattern(size_t size, uint32_t seed, size_t from = 0) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = ByteAt(from + i, seed);
  return bytes;
}
// Cut into parts of many lengths, empty ones among them.
template <typename Part, typename B>
std::vector<Part> Cut(B& bytes, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Part> parts;
  for (size_t at = 0; at < bytes.size();) {
    const size_t run = std::min<size_t>(random() % 5 == 0 ? 0 : random() % 9000, bytes.size() - at);
    parts.push_back(Part(bytes.data() + at, run));
    at += run;
  }
  return parts;
}
// Memory that is nobody's, after `valid` bytes that are.
std::byte* MostlyNobodys(size_t valid) {
  void* memory = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  CHECK(mprotect(static_cast<std::byte*>(memory) + valid, (1 << 20) - valid, PROT_NONE) == 0);
  return static_cast<std::byte*>(memory);
}

TEST_CASE("S3 large requests and replies are gathered and scattered, too") {
  RunWorld(
      {ServeOnce([](ipc::Process&, ipc::Message& message) {
         CHECK(message.info().request_bytes == kLarge);
         CHECK(message.info().reply_room == kLarge);
         Bytes request(kLarge + 10);
         CHECK(message.Read(0, absl::MakeSpan(request)).value() == kLarge);
         request.resize(kLarge);
         CHECK(request == Pattern(kLarge, 1));
         const Bytes reply = Pattern(kLarge, 2);
         CHECK(message.ReplyParts(Cut<ipc::ConstBytes>(reply, 3)).value() == kLarge);
         return 0;
       }),
       {.name = "client", .main = [](ipc::Process& self) {
          ipc::Connection server = OpenSoon(self, "/s");
          const Bytes request = Pattern(kLarge, 1);
          Bytes reply(kLarge);
          CHECK(server.SendParts(Cut<ipc::ConstBytes>(request, 5), Cut<ipc::MutableBytes>(reply, 6))
                    .value() == kLarge);
          CHECK(reply == Pattern(kLarge, 2));
          return 0;
        }}});
}

TEST_CASE("S2 large messages are cut where one side has less room, and nothing else is touched") {
  RunWorld({ServeOnce([](ipc::Process&, ipc::Message& message) {
              Bytes part(5000);
              CHECK(message.Read(kLarge - 4999, absl::MakeSpan(part)).value() == 4999);
              CHECK(part[4998] == ByteAt(kLarge - 1, 1));
              CHECK(part[4999] == std::byte{0});
              CHECK(message.Read(kLarge, absl::MakeSpan(part)).value() == 0);
              CHECK(message.Reply(Pattern(kLarge, 2)).value() == 10'000);
              return 0;
            }),
            {.name = "client", .main = [](ipc::Process& self) {
               Bytes reply(10'001);
               const ipc::MutableBytes room(reply.data(), 10'000);
               CHECK(OpenSoon(self, "/s").Send(Pattern(kLarge, 1), room).value() == kLarge);
               CHECK(reply[10'000] == std::byte{0});
               reply.pop_back();
               CHECK(reply == Pattern(10'000, 2));
               return 0;
             }}});
}

constexpr size_t kThreads = 4, kShare = 150'001;

TEST_CASE("S5 threads of a server read and write one large message at once, at any offset") {
  RunWorld({ServeOnce([](ipc::Process& self, ipc::Message& message) {
              std::vector<ipc::Thread> threads;
              for (uint32_t i = 0; i < kThreads; ++i) {
                auto move = [&message, i] {
                  const size_t offset = i * kShare;
                  Bytes read(kShare);
                  for (int times = 0; times < 3; ++times) {
                    CHECK(message.Read(offset, absl::MakeSpan(read)).value() == kShare);
                    CHECK(read == Pattern(kShare, 1, offset));
                    CHECK(message.Write(offset, Pattern(kShare, i, offset)).value() == kShare);
                  }
                };
                threads.push_back(self.Spawn({}, move).value());
              }
              for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
              CHECK(message.Reply(ipc::BytesOfText("head")).value() == 4);
              return 0;
            }),
            {.name = "client", .main = [](ipc::Process& self) {
               Bytes reply(kThreads * kShare);
               CHECK(OpenSoon(self, "/s").Send(Pattern(kLarge, 1), absl::MakeSpan(reply)).value() ==
                     4);
               CHECK(std::string(reinterpret_cast<const char*>(reply.data()), 4) == "head");
               for (size_t i = 4; i < reply.size(); ++i) {
                 if (reply[i] == ByteAt(i, static_cast<uint32_t>(i / kShare))) continue;
                 FAIL_CHECK("at " << i);
                 break;
               }
               return 0;
             }}});
}

// Reads all of it, again and again, until that is refused.
Error ReadOn(
    const ipc::Message& message, const std::function<void()>& once = [] {}) {
  Bytes request(100'000);
  for (;;) {
    const auto read = message.Read(0, absl::MakeSpan(request));
    if (!read.ok()) return ErrorOf(read.status());
    once();
  }
}

constexpr int kAboveTheServer = 50;  // which reads without a pause

TEST_CASE("D3 a client leaves at its deadline while its bytes are read, and the server goes on") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   CHECK(ReadOn(*received.message()) == Error::kMessageGone);
                   CHECK(ErrorOf(received.message()->Reply()) == Error::kMessageGone);
                   Bytes next(kLarge);
                   ipc::Received second = channel.Receive(absl::MakeSpan(next)).value();
                   CHECK(next == Pattern(kLarge, 2));
                   return second.message()->Reply().ok() ? 0 : 1;
                 }},
            {.name = "client", .main = [](ipc::Process& self) {
               ipc::Connection server = OpenSoon(self, "/s");
               const absl::Status left =
                   server
                       .Send(Pattern(100'000, 1), {},
                             {.deadline = self.Now() + LongEnoughToBeReceived()})
                       .status();
               CHECK(ErrorOf(left) == Error::kDeadlineAfterReceive);
               return server.Send(Pattern(kLarge, 2), {}).ok() ? 0 : 1;
             }}});
}

TEST_CASE("L2 a client that is killed while its bytes are read ends the read") {
  Shared<bool> reading;
  RunWorld({ServeOnce([&](ipc::Process&, ipc::Message& message) {
              CHECK(ReadOn(message, [&] { reading = true; }) == Error::kMessageGone);
              return 0;
            }),
            {.name = "victim",
             .main =
                 [](ipc::Process& self) {
                   OpenSoon(self, "/s").Send(Pattern(kLarge, 1), {}).IgnoreError();
                   return 1;
                 },
             .only_program = true},
            {.name = "parent",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Child victim = self.Start("victim").value();
                   CHECK(WaitUntil(self, reading));
                   CHECK(victim.Kill().ok());
                   return victim.Wait()->kind == ipc::ExitStatus::Kind::kKilled ? 0 : 1;
                 },
             .scheduling = {.priority = kAboveTheServer}}});
}

TEST_CASE("L1 a server that is killed while it reads leaves no client waiting") {
  Shared<bool> reading;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   ReadOn(*received.message(), [&] { reading = true; });
                   return 1;
                 },
             .only_program = true},
            {.name = "client",
             .main =
                 [](ipc::Process& self) {
                   ipc::Connection server = OpenSoon(self, "/s");
                   CHECK(ErrorOf(server.Send(Pattern(kLarge, 1), {}).status()) ==
                         Error::kServerDiedAfterReceive);
                   return 0;
                 }},
            {.name = "parent",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Child server = self.Start("server").value();
                   CHECK(WaitUntil(self, reading));
                   return server.Kill().ok() ? 0 : 1;
                 },
             .scheduling = {.priority = kAboveTheServer}}});
}

TEST_CASE("L5 a large buffer that is not the client's memory is its error alone") {
  RunWorld(
      {{.name = "server",
        .main =
            [](ipc::Process& self) {
              ipc::Channel channel = self.Attach("/s").value();
              Bytes request(1 << 20);
              ipc::Received first = channel.Receive(absl::MakeSpan(request)).value();
              CHECK(first.message()->info().request_bytes == 3);  // of those before, no trace
              first.message()->Reply(request).IgnoreError();      // not its fault
              ipc::Received second = channel.Receive().value();
              return second.message()->Reply().ok() ? 0 : 1;
            }},
       {.name = "client", .main = [](ipc::Process& self) {
          ipc::Connection server = OpenSoon(self, "/s");
          for (const size_t valid : {size_t{0}, size_t{300} << 10}) {
            std::byte* memory = MostlyNobodys(valid);
            CHECK(ErrorOf(server.Send(ipc::ConstBytes(memory, 1 << 20), {}).status()) ==
                  Error::kBadAddress);
          }
          std::byte* memory = MostlyNobodys(300 << 10);
          const absl::Status unanswered =
              server.Send(ipc::BytesOfText("abc"), ipc::MutableBytes(memory, 1 << 20)).status();
          CHECK(ErrorOf(unanswered) == Error::kBadAddress);
          return server.Send({}, {}).ok() ? 0 : 1;
        }}});
}

}  // namespace
