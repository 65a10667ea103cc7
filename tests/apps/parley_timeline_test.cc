// Tests of apps/parley/timeline.h and timeline_picture.h, over traces told by hand.
#include <doctest/doctest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "apps/parley/timeline.h"
#include "tests/support/trace_script.h"

namespace parley_tool {
namespace {

using parley::ThreadState;
using parley::TraceKind;
using parley::TraceScript;

constexpr int64_t kMs = 1'000'000;

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// A client calls a server from 10 to 30 ms of 40 ms.
void TellCall(TraceScript& trace) {
  trace.Process(1, "server");
  trace.Process(2, "client");
  trace.Channel(1, 1, "/echo");
  trace.Priority(0, 1, 10, 10);
  trace.Priority(0, 2, 50, 50);
  trace.State(0, 1, ThreadState::kReceive);
  trace.State(0, 2, ThreadState::kRunning);
  trace.Message(10 * kMs, TraceKind::kSend, 2, 2, 7);
  trace.State(10 * kMs, 2, ThreadState::kReply, 1);
  trace.Message(10 * kMs, TraceKind::kReceive, 1, 2, 7);
  trace.Priority(10 * kMs, 1, 50, 10);
  trace.State(10 * kMs, 1, ThreadState::kRunning);
  trace.Message(30 * kMs, TraceKind::kReply, 1, 2, 7);
  trace.Priority(30 * kMs, 1, 10, 10);
  trace.State(30 * kMs, 1, ThreadState::kReceive);
  trace.State(30 * kMs, 2, ThreadState::kRunning);
}

TEST_CASE("a call is two bars in the client, an arrow there and an arrow back") {
  Timeline timeline(std::nullopt);
  TraceScript trace(timeline);
  TellCall(trace);
  const std::string svg = timeline.Draw("one call", 40 * kMs);
  CHECK(absl::StrContains(svg, "the whole run, 40 ms of virtual time"));
  CHECK(absl::StrContains(svg, "client: REPLY on /echo for 20 ms from 10 ms"));
  CHECK(absl::StrContains(svg, "server: RUNNING for 20 ms from 10 ms"));
  CHECK(Count(svg, "<path class=\"a\" d=") == 1);
  CHECK(Count(svg, "<path class=\"r\" d=") == 1);
  CHECK(Count(svg, "<path class=\"p\" d=") == 0);
}

TEST_CASE("a server's lane shows the priority that it inherits, and its own") {
  Timeline timeline(std::nullopt);
  TraceScript trace(timeline);
  TellCall(trace);
  const std::string svg = timeline.Draw("one call", 40 * kMs);
  CHECK(Count(svg, ">priority 10</text>") == 1);
  CHECK(Count(svg, ">50</text>") == 2);  // of the client, and of the server while it serves
  CHECK(Count(svg, ">10</text>") == 2);  // of the server before and after
}

TEST_CASE("the legend names the states of the picture and no others") {
  Timeline timeline(std::nullopt);
  TraceScript trace(timeline);
  TellCall(trace);
  const std::string svg = timeline.Draw("one call", 40 * kMs);
  for (const char* shown : {"RUNNING", "REPLY", "RECEIVE"}) {
    CHECK(Count(svg, absl::StrCat(">", shown, "</text>")) == 1);
  }
  for (const char* absent : {"SEND", "MUTEX", "SLEEP", "JOIN"}) {
    CHECK(Count(svg, absl::StrCat(">", absent, "</text>")) == 0);
  }
}

TEST_CASE("a window shows what was going on when it began, and ends where it ends") {
  Timeline timeline(Timeline::Window{20 * kMs, 25 * kMs});
  TraceScript trace(timeline);
  TellCall(trace);
  const std::string svg = timeline.Draw("one call", 40 * kMs);
  CHECK(absl::StrContains(svg, "20 ms to 25 ms of a run of 40 ms"));
  CHECK(absl::StrContains(svg, "client: REPLY on /echo for 5 ms from 20 ms"));
  CHECK(Count(svg, "<path class=\"a\" d=") == 0);
  CHECK(Count(svg, "<path class=\"r\" d=") == 0);
  CHECK(Count(svg, ">50</text>") == 2);
}

TEST_CASE("a program's remarks choose the window, unless one was asked for") {
  for (const bool asked : {false, true}) {
    Timeline timeline(asked ? std::optional(Timeline::Window{0, 40 * kMs}) : std::nullopt);
    TraceScript trace(timeline);
    trace.Process(1, "worker");
    trace.State(0, 1, ThreadState::kRunning);
    trace.State(5 * kMs, 1, ThreadState::kSleep);
    trace.Mark(12 * kMs, 1, "timeline:begin");
    trace.State(15 * kMs, 1, ThreadState::kRunning);
    trace.Mark(18 * kMs, 1, "half way");
    trace.Mark(20 * kMs, 1, "timeline:end");
    trace.State(30 * kMs, 1, ThreadState::kSleep);
    const std::string svg = timeline.Draw("marked", 40 * kMs);
    CHECK(absl::StrContains(svg, "12 ms to 20 ms of a run of 40 ms") == !asked);
    CHECK(absl::StrContains(svg, "worker: SLEEP for 3 ms from 12 ms") == !asked);
    CHECK(absl::StrContains(svg, ">half way</text>"));
  }
}

TEST_CASE("a pulse of a thread is an arrow; those that coalesce are one") {
  Timeline timeline(std::nullopt);
  TraceScript trace(timeline);
  trace.Process(1, "server");
  trace.Process(2, "client");
  trace.State(0, 1, ThreadState::kSleep);
  trace.State(0, 2, ThreadState::kRunning);
  trace.Pulse(1 * kMs, TraceKind::kPulseSent, 2, 1, 5);
  trace.Pulse(2 * kMs, TraceKind::kPulseSent, 2, 1, 5);
  trace.Pulse(3 * kMs, TraceKind::kPulseReceived, 1, 1, 5);
  trace.Pulse(4 * kMs, TraceKind::kPulseSent, 0, 1, 6);  // a timer's
  trace.Pulse(5 * kMs, TraceKind::kPulseReceived, 1, 1, 6);
  CHECK(Count(timeline.Draw("pulses", 10 * kMs), "<path class=\"p\" d=") == 1);
}

TEST_CASE("the name server comes last, and a thread that did not live in the window not at all") {
  Timeline timeline(Timeline::Window{10 * kMs, 20 * kMs});
  TraceScript trace(timeline);
  trace.Process(1, "nameserver");
  trace.Process(2, "early");
  trace.Process(3, "worker");
  trace.State(0, 1, ThreadState::kReceive);
  trace.State(0, 2, ThreadState::kRunning);
  trace.State(0, 3, ThreadState::kRunning);
  trace.State(5 * kMs, 2, ThreadState::kDead);
  const std::string svg = timeline.Draw("order", 20 * kMs);
  CHECK(svg.find(">worker</text>") < svg.find(">nameserver</text>"));
  CHECK(absl::StrContains(svg, ">nameserver</text>"));
  CHECK_FALSE(absl::StrContains(svg, "early"));
}

TEST_CASE("a long trace is cut where the picture is full, and the picture says so") {
  Timeline timeline(std::nullopt);
  TraceScript trace(timeline);
  trace.Process(1, "busy");
  constexpr int kChanges = 3 * static_cast<int>(Timeline::kMaxElements);
  for (int i = 0; i < kChanges; ++i) {
    trace.State(i * kMs, 1, i % 2 == 0 ? ThreadState::kRunning : ThreadState::kSleep);
  }
  const std::string svg = timeline.Draw("long", kChanges * kMs);
  CHECK(absl::StrContains(svg, "cut where the picture is full"));
  CHECK(Count(svg, "<rect class=") <= Timeline::kMaxElements + 10);
}

TEST_CASE("of very many threads the picture shows as many as it may, and says so") {
  Timeline timeline(std::nullopt);
  TraceScript trace(timeline);
  for (uint32_t i = 1; i <= Timeline::kMaxLanes + 20; ++i) {
    trace.Process(i, absl::StrCat("worker-", i));
    trace.State(0, i, ThreadState::kRunning);
  }
  const std::string svg = timeline.Draw("crowd", kMs);
  CHECK(absl::StrContains(
      svg, absl::StrCat(Timeline::kMaxLanes, " of ", Timeline::kMaxLanes + 20, " threads")));
}

TEST_CASE("names and remarks cannot break out of the picture's XML") {
  Timeline timeline(std::nullopt);
  TraceScript trace(timeline);
  trace.Process(1, "<script>\"&");
  trace.State(0, 1, ThreadState::kRunning);
  trace.Mark(0, 1, "</svg><b a='&\x01'>");
  const std::string svg = timeline.Draw("<title>", kMs);
  CHECK(Count(svg, "<script>") == 0);
  CHECK(Count(svg, "</svg>") == 1);
  CHECK(svg.find('\x01') == std::string::npos);
}

TEST_CASE("a window is BEGIN..END with units, its end after its beginning") {
  const auto window = Timeline::ParseWindow("1.5ms..2s");
  REQUIRE(window.ok());
  CHECK(window->begin_ns == 1'500'000);
  CHECK(window->end_ns == 2'000'000'000);
  for (const char* wrong :
       {"", "1ms", "2ms..1ms", "1ms..1ms", "-1ms..1ms", "1..2", "1ms..2ms..3ms"}) {
    CHECK_MESSAGE(!Timeline::ParseWindow(wrong).ok(), wrong);
  }
}

}  // namespace
}  // namespace parley_tool
