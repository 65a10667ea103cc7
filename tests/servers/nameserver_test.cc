// The name server beside clients that send nonsense, leave early, die, and never stop asking.
#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ipc/name_protocol.h"
#include "tests/core/drive.h"
#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::RunWorld;
namespace names = ipc::names;

// Straight to the name server, past the library that would have checked it.
absl::Status SendRaw(ipc::Process& self, ipc::ConstBytes request) {
  std::array<std::byte, 512> room;
  const ipc::MutableBytes reply(room.data(), room.size());
  parley::SendArguments arguments;
  arguments.request = absl::MakeConstSpan(&request, 1);
  arguments.reply = absl::MakeConstSpan(&reply, 1);
  arguments.deadline_ns = self.kernel().Now() + 100'000;
  return self.kernel().Send(self.kernel().birth().name_service, arguments).status();
}

template <typename Request>
absl::Status SendRaw(ipc::Process& self, const Request& request) {
  const ipc::MessageHeader header = ipc::HeaderOf<Request>();
  std::array<std::byte, sizeof(header) + sizeof(request)> bytes;
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + sizeof(header), &request, sizeof(request));
  return SendRaw(self, ipc::ConstBytes(bytes.data(), bytes.size()));
}

TEST_CASE("the name server answers random bytes, and serves on") {
  const uint64_t seed = tests::TestSeed();
  INFO("to repeat: PARLEY_TEST_SEED=", seed);
  RunWorld({{.name = "client", .main = [seed](ipc::Process& self) {
               tests::RandomChoices choices(seed);
               constexpr std::array<size_t, 6> kSizes = {
                   sizeof(names::AttachRequest), sizeof(names::OpenRequest),
                   sizeof(names::WatchRequest),  sizeof(names::ListRequest),
                   sizeof(names::Done),          0};
               std::array<std::byte, 1024> bytes;
               for (int i = 0; i < 20'000 / PARLEY_TEST_SLOWDOWN; ++i) {
                 for (std::byte& byte : bytes) {
                   // Texts that begin as a path does get further than others.
                   byte = static_cast<std::byte>(choices.Below(3) == 0 ? choices.Below(256)
                                                                       : "/a.\0"[choices.Below(4)]);
                 }
                 const ipc::MessageHeader header{1 + choices.Below(7), 1, 0};
                 if (choices.Below(8) != 0) std::memcpy(bytes.data(), &header, sizeof(header));
                 bytes[sizeof(header)] = std::byte{'/'};
                 const size_t size = choices.Below(8) == 0 ? choices.Below(bytes.size())
                                                           : sizeof(header) + choices.OneOf(kSizes);
                 SendRaw(self, ipc::ConstBytes(bytes.data(), size)).IgnoreError();
               }
               ipc::Channel channel = self.Attach("/sane").value();
               CHECK(self.Open("/sane").ok());
               return 0;
             }}});
}

TEST_CASE("a path without an end, and a channel that is somebody else's, are refused") {
  RunWorld({{.name = "client", .main = [](ipc::Process& self) {
               names::AttachRequest request;
               std::memset(request.path.text, 'x', sizeof(request.path.text));
               request.path.text[0] = '/';
               CHECK(
                   absl::IsPermissionDenied(SendRaw(self, request)));  // 255 bytes of it, no token
               request.path.Set("/s");
               request.channel = {.high = 1, .low = 2};
               CHECK(absl::IsPermissionDenied(SendRaw(self, request)));
               CHECK(self.ListNames("/")->empty());
               return 0;
             }}});
}

TEST_CASE("a path with a zero byte in it is refused") {
  RunWorld({{.name = "client", .main = [](ipc::Process& self) {
               const absl::string_view path("/a\0b", 4);
               CHECK(ErrorOf(self.Attach(path).status()) == Error::kInvalidArgument);
               CHECK(ErrorOf(self.Open(path).status()) == Error::kInvalidArgument);
               return 0;
             }}});
}

TEST_CASE("a client that opens and closes a name for ever uses up nothing") {
  RunWorld({{.name = "client", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.Attach("/s").value();
               // More than a process may hold capabilities.
               for (int i = 0; i < 70'000; ++i) {
                 auto connection = self.Open("/s");
                 REQUIRE_MESSAGE(connection.ok(), i, ": ", connection.status().ToString());
               }
               return 0;
             }}});
}

TEST_CASE("watches are bounded, and those of a process that has ended make room") {
  constexpr int kMaxWatches = 4096;
  RunWorld({{.name = "watcher",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel events = self.CreateChannel("events").value();
                   for (int i = 0; i < kMaxWatches; ++i) {
                     REQUIRE(self.Watch("/w", events, 1, 10).ok());
                   }
                   CHECK(ErrorOf(self.Watch("/w", events, 1, 10)) == Error::kQuotaExhausted);
                   return 0;
                 },
             .only_program = true},
            {.name = "parent", .main = [](ipc::Process& self) {
               ipc::Channel events = self.CreateChannel("events").value();
               ipc::Child watcher = self.Start("watcher").value();
               CHECK(watcher.Wait().ok());
               self.Sleep(absl::Milliseconds(1)).IgnoreError();
               CHECK(self.Watch("/w", events, 1, 10).ok());
               return 0;
             }}});
}

TEST_CASE("a watch of every name tells of every name") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel events = self.CreateChannel("events").value();
               CHECK(self.Watch("/", events, 1, 10).ok());
               ipc::Channel deep = self.Attach("/a/b/c").value();
               CHECK(events.Receive(absl::Milliseconds(1)).ok());
               CHECK(ErrorOf(self.Watch("/a/", events, 1, 10)) == Error::kInvalidArgument);
               return 0;
             }}});
}

TEST_CASE("all who wait for a name get it when it comes, and nobody else does") {
  auto waits_for = [](const char* path, bool comes) {
    return [path, comes](ipc::Process& self) {
      const auto connection = self.Open(path, absl::Milliseconds(5));
      CHECK_MESSAGE(connection.ok() == comes, path, ": ", connection.status().ToString());
      return 0;
    };
  };
  RunWorld({{.name = "one", .main = waits_for("/late", true)},
            {.name = "two", .main = waits_for("/late/below", true)},
            {.name = "three", .main = waits_for("/later", false)},
            {.name = "server", .main = [](ipc::Process& self) {
               self.Sleep(absl::Milliseconds(1)).IgnoreError();
               ipc::Channel channel = self.Attach("/late").value();
               self.Sleep(absl::Milliseconds(10)).IgnoreError();
               return 0;
             }}});
}

// Uses every service of names, so that a kill at any call of it leaves something behind.
int Victim(ipc::Process& self) {
  ipc::Channel events = self.CreateChannel("events").value();
  self.Watch("/", events, 1, 10).IgnoreError();
  auto channel = self.Attach("/victim");
  auto connection = self.Open("/victim");
  self.ListNames("/").status().IgnoreError();
  self.Open("/never", absl::Milliseconds(1)).status().IgnoreError();
  return 0;
}

TEST_CASE("a client killed at any of its calls leaves no name, and no harm to others") {
  int64_t calls = 0;
  for (bool killed = true; killed; ++calls) {
    REQUIRE(calls < 1000);
    parley::SimulationOptions options;
    options.faults = {{.kind = parley::Fault::Kind::kKill, .process = "victim", .at_call = calls}};
    const parley::RunReport report =
        tests::RunAny({{.name = "victim", .main = Victim},
                       {.name = "survivor",
                        .main =
                            [](ipc::Process& self) {
                              self.Sleep(absl::Milliseconds(5)).IgnoreError();
                              CHECK(self.ListNames("/")->empty());
                              ipc::Channel channel = self.Attach("/victim").value();
                              CHECK(self.Open("/victim").ok());
                              return 0;
                            }}},
                      options);
    killed = false;
    for (const parley::ProcessReport& process : report.processes) {
      if (process.name == "victim") killed = process.exit.kind == parley::ExitKind::kKilled;
      if (process.name == "survivor") {
        CHECK_MESSAGE(process.exit.kind == parley::ExitKind::kReturned,
                      "the victim was killed at call ", calls, ": ", process.exit.reason);
        CHECK(process.exit.code == 0);
      }
    }
    CHECK_FALSE(report.deadlock);
  }
  CHECK(calls > 8);  // it had been killed at each call before it came through
}

}  // namespace
