// Tests of apps/parley/perfetto.h, over a trace told by hand.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "apps/parley/perfetto.h"
#include "tests/support/trace_script.h"

namespace parley_tool {
namespace {

using parley::ThreadState;
using parley::TraceKind;
using parley::TraceScript;

// The bytes that `tell` leaves in a trace file.
template <typename Tell>
std::string TraceOf(Tell tell) {
  const std::string path = absl::StrCat("/tmp/parley_perfetto_test.", getpid(), ".json");
  auto file = OutputFile::Create(path);
  REQUIRE(file.ok());
  PerfettoTrace perfetto(*std::move(file));
  TraceScript trace(perfetto);
  tell(trace);
  REQUIRE(perfetto.Finish(9'000).ok());
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::remove(path.c_str());
  return text.str();
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

void TellCall(TraceScript& trace) {
  trace.Process(1, "server");
  trace.Process(2, "client \"quoted\"");
  trace.Channel(1, 1, "/echo");
  trace.Priority(0, 2, 50, 50);
  trace.State(0, 1, ThreadState::kReceive);
  trace.State(0, 2, ThreadState::kRunning);
  trace.Message(1'500, TraceKind::kSend, 2, 2, 7);
  trace.State(1'500, 2, ThreadState::kReply, 1);
  trace.Message(1'500, TraceKind::kReceive, 1, 2, 7);
  trace.State(1'500, 1, ThreadState::kRunning);
  trace.Message(4'000, TraceKind::kReply, 1, 2, 7);
  trace.State(4'000, 1, ThreadState::kReceive);
  trace.State(4'000, 2, ThreadState::kRunning);
  trace.Mark(5'000, 2, "done");
}

TEST_CASE("a call is a flow from the client's send through the server back to the client") {
  const std::string json = TraceOf(TellCall);
  CHECK(Count(json, R"("ph":"s","cat":"message","name":"message","id":7,"pid":2,"tid":2)") == 1);
  CHECK(Count(json, R"("ph":"t","cat":"message","name":"message","id":7,"pid":1,"tid":1)") == 2);
  CHECK(Count(json, R"("ph":"f","cat":"message","name":"message","id":7,"pid":2,"tid":2)") == 1);
}

TEST_CASE("a state is a slice with its beginning, its length and what it waits on") {
  const std::string json = TraceOf(TellCall);
  CHECK(absl::StrContains(json, R"("name":"REPLY","pid":2,"tid":2,"ts":1.500,"dur":2.500)"));
  CHECK(absl::StrContains(json, R"("args":{"on":"/echo"})"));
  CHECK(absl::StrContains(json, R"("name":"RECEIVE","pid":1,"tid":1,"ts":4.000,"dur":5.000)"));
}

TEST_CASE("priorities are counters, remarks are instants, CPUs have tracks") {
  const std::string json = TraceOf(TellCall);
  CHECK(absl::StrContains(json, R"("ph":"C","name":"priority main","pid":2,"ts":0.000)"));
  CHECK(absl::StrContains(json, R"("ph":"i","s":"t","cat":"mark","name":"done")"));
  CHECK(absl::StrContains(json, R"("name":"CPUs")"));
}

TEST_CASE("equal runs leave equal traces") { CHECK(TraceOf(TellCall) == TraceOf(TellCall)); }

TEST_CASE("a trace that is not finished leaves no file") {
  const std::string path = absl::StrCat("/tmp/parley_perfetto_test.", getpid(), ".json");
  {
    auto file = OutputFile::Create(path);
    REQUIRE(file.ok());
    PerfettoTrace perfetto(*std::move(file));
  }
  CHECK_FALSE(std::ifstream(path).good());
  CHECK_FALSE(std::ifstream(absl::StrCat(path, ".", getpid(), ".tmp")).good());
}

}  // namespace
}  // namespace parley_tool
