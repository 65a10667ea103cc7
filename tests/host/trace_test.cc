// The trace of a run on the host kernel: what its processes have recorded, also those that were
// killed.
#include <doctest/doctest.h>

#include "tests/support/heard.h"
#include "tests/support/shared.h"
#include "tests/support/world.h"

namespace {

using parley::TraceKind;
using tests::Heard;

// Runs actors on the host, and hears of it.
Heard Trace(const std::vector<tests::Actor>& actors) {
  Heard heard;
  const parley::RunReport report = tests::RunWorld(actors, parley::HostOptions{.trace = &heard});
  CHECK(heard.in_order);
  CHECK(report.notes.empty());
  return heard;
}

ipc::Connection OpenSoon(ipc::Process& self, const char* path) {
  return self.Open(path, absl::Seconds(10)).value();
}

// Answers so many requests and ends by itself, so that nothing of what it records is cut off.
tests::Actor Echo(size_t calls, int priority = 10) {
  return {.name = "server",
          .main =
              [calls](ipc::Process& self) {
                ipc::Channel channel = self.Attach("/s").value();
                for (size_t i = 0; i < calls; ++i) {
                  ipc::Received received = channel.Receive().value();
                  CHECK(received.message()->Reply(received.message()->bytes()).ok());
                }
                return 0;
              },
          .scheduling = {.priority = priority}};
}

TEST_CASE("each message of a traced run is sent, received and replied to, by the right threads") {
  constexpr size_t kCalls = 500;
  const Heard heard = Trace(
      {Echo(kCalls), {.name = "client", .main = [](ipc::Process& self) {
                        ipc::Connection to = OpenSoon(self, "/s");
                        self.Mark("begin");
                        for (size_t i = 0; i < kCalls; ++i) {
                          std::array<std::byte, 8> reply;
                          CHECK(to.Send(std::array<std::byte, 5>(), absl::MakeSpan(reply)).ok());
                        }
                        self.Count("calls", kCalls);
                        return 0;
                      }}});
  size_t begun = 0;
  std::vector<Heard::Event> messages;
  for (const Heard::Event& event : heard.events) {
    if (event.kind == TraceKind::kMark && event.words == "begin") ++begun;
    const bool message = event.kind == TraceKind::kSend || event.kind == TraceKind::kReceive ||
                         event.kind == TraceKind::kReply;
    if (begun == 1 && message) messages.push_back(event);
  }
  REQUIRE(messages.size() >= 3 * kCalls);
  for (size_t i = 0; i < kCalls; ++i) {
    const Heard::Event &sent = messages[3 * i], &received = messages[3 * i + 1],
                       &replied = messages[3 * i + 2];
    REQUIRE((sent.kind == TraceKind::kSend && received.kind == TraceKind::kReceive &&
             replied.kind == TraceKind::kReply));
    REQUIRE((sent.serial == received.serial && sent.serial == replied.serial));
    REQUIRE(heard.threads.at(sent.thread) == "client/main");
    REQUIRE(heard.threads.at(received.thread) == "server/main");
    REQUIRE(replied.thread == received.thread);
    REQUIRE(replied.peer == sent.thread);
    REQUIRE(heard.channels.at(sent.object) == "/s");
    REQUIRE((sent.value == 5 && replied.value == 5));
  }
  const auto counted = heard.Of("client/main", TraceKind::kCounter);
  REQUIRE(counted.size() == 1);
  CHECK((counted[0].words == "calls" && counted[0].value == kCalls));
  CHECK(heard.StatesOf("client/main").ends_with("RUNNING DEAD"));
}

TEST_CASE("a process that is killed leaves what it had recorded") {
  tests::Shared<bool> received;
  const Heard heard =
      Trace({{.name = "keeper",
              .main =
                  [&](ipc::Process& self) {
                    ipc::Channel channel = self.Attach("/s").value();
                    ipc::Received kept = channel.Receive().value();
                    received = true;
                    self.Sleep(absl::InfiniteDuration()).IgnoreError();
                    return 1;
                  },
              .service = true},
             {.name = "victim",
              .main =
                  [](ipc::Process& self) {
                    ipc::Connection to = OpenSoon(self, "/s");
                    self.Mark("about to send");
                    to.Send({}, {}).IgnoreError();
                    return 1;
                  },
              .only_program = true},
             {.name = "parent", .main = [&](ipc::Process& self) {
                ipc::Child victim = self.Start("victim").value();
                while (!received) self.Sleep(absl::Milliseconds(1)).IgnoreError();
                self.Sleep(absl::Milliseconds(50)).IgnoreError();  // until it blocks
                CHECK(victim.Kill().ok());
                CHECK(victim.Wait().ok());
                return 0;
              }}});
  CHECK(heard.StatesOf("victim/main").ends_with("RUNNING SEND:/s REPLY:/s DEAD"));
  const auto sent = heard.Of("victim/main", TraceKind::kSend);
  const auto taken = heard.Of("keeper/main", TraceKind::kReceive);
  REQUIRE((!sent.empty() && taken.size() == 1));
  CHECK(sent.back().serial == taken[0].serial);
  CHECK(heard.Of("victim/main", TraceKind::kMark).size() == 1);
  bool told = false;
  for (const Heard::Event& event : heard.events) {
    if (event.kind != TraceKind::kProcessExit || heard.processes.at(event.process) != "victim") {
      continue;
    }
    told = event.state == static_cast<uint8_t>(parley::ExitKind::kKilled);
  }
  CHECK(told);
}

TEST_CASE("P3 a server's priority is told as it takes its client's, and gives it back") {
  const Heard heard = Trace(
      {Echo(1, 12),
       {.name = "client",
        .main = [](ipc::Process& self) { return OpenSoon(self, "/s").Send({}, {}).ok() ? 0 : 1; },
        .scheduling = {.priority = 40}}});
  std::vector<int> levels;
  for (const auto& event : heard.Of("server/main", TraceKind::kPriority)) {
    CHECK(event.value == 12);  // its base
    levels.push_back(event.priority);
  }
  CHECK(levels == std::vector<int>{12, 40, 12});
}

TEST_CASE("threads and pulses are told by name, from who sends to who receives") {
  const Heard heard = Trace(
      {{.name = "server",
        .main =
            [](ipc::Process& self) {
              ipc::Channel channel = self.Attach("/s").value();
              return channel.Receive().value().message() == nullptr ? 0 : 1;
            }},
       {.name = "client", .main = [](ipc::Process& self) {
          ipc::Connection to = OpenSoon(self, "/s");
          ipc::Thread thread =
              self.Spawn({.name = "helper"}, [&] { CHECK(to.SendPulse(3, 77, 10).ok()); }).value();
          CHECK(thread.Join().ok());
          return 0;
        }}});
  const auto sent = heard.Of("client/helper", TraceKind::kPulseSent);
  const auto received = heard.Of("server/main", TraceKind::kPulseReceived);
  REQUIRE((sent.size() == 1 && received.size() == 1));
  CHECK((sent[0].state == 3 && sent[0].value == 77 && received[0].state == 3));
  CHECK(sent[0].object == received[0].object);
  CHECK(heard.channels.at(sent[0].object) == "/s");
  CHECK(heard.StatesOf("client/helper") == "RUNNING DEAD");
}

TEST_CASE("a thread that ends leaves its ring to the next, and all are told") {
  constexpr int kThreads = 200;
  const Heard heard =
      Trace({{.name = "maker", .main = [](ipc::Process& self) {
                for (int i = 0; i < kThreads; ++i) {
                  ipc::Thread thread =
                      self.Spawn({.name = "short"}, [&] { self.Mark("here"); }).value();
                  CHECK(thread.Join().ok());
                }
                return 0;
              }}});
  CHECK(heard.Of("maker/short", TraceKind::kMark).size() == kThreads);
  CHECK(heard.Of("maker/main", TraceKind::kState).size() >= 1);
}

}  // namespace
