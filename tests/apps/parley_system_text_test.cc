// Who waits for whom in a given picture, and how `parley ps` prints it.
#include <doctest/doctest.h>

#include "apps/parley/system_text.h"

namespace parley_tool {
namespace {

using parley::ChannelId;
using parley::ProcessId;
using parley::SeenSystem;
using parley::SeenThread;
using parley::ThreadState;

// One thread of a process of its own, number as given, that serves the channel of that number.
size_t Add(SeenSystem& system, uint32_t number, const char* name) {
  system.processes.push_back({ProcessId{number}, 100 + number, 0, 1, 255, false, name});
  SeenThread thread;
  thread.process = ProcessId{number};
  thread.number = 1;
  thread.name = "main";
  thread.state = ThreadState::kReceive;
  thread.serves = {ChannelId{number}};
  system.threads.push_back(thread);
  return system.threads.size() - 1;
}

void Wait(SeenSystem& system, size_t thread, uint32_t server, ThreadState state) {
  system.threads[thread].state = state;
  system.threads[thread].server = ProcessId{server};
  system.threads[thread].channel = ChannelId{server};
  system.threads[thread].channel_name = "/c";
}

bool Has(const std::string& text, const char* part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("ps: a chain of waits is a tree without a circle") {
  SeenSystem system;
  const size_t a = Add(system, 1, "a"), b = Add(system, 2, "b"), c = Add(system, 3, "c");
  Wait(system, a, 2, ThreadState::kSend);
  Wait(system, b, 3, ThreadState::kReply);
  FindWaits(system);
  CHECK(system.threads[a].freed_by == std::vector<size_t>{b});
  CHECK(system.threads[b].freed_by == std::vector<size_t>{c});
  CHECK(system.circles.empty());
  const std::string text = SystemText(system, 100);
  CHECK(Has(text, "c/main  RECEIVE\n  b/main  REPLY\n    a/main  SEND\n"));
  CHECK(Has(text, "/c of c"));
}

TEST_CASE("ps: a circle is marked, and those behind it are not in it") {
  SeenSystem system;
  const size_t a = Add(system, 1, "a"), b = Add(system, 2, "b"), c = Add(system, 3, "c");
  Wait(system, a, 2, ThreadState::kReply);
  Wait(system, b, 3, ThreadState::kSend);
  Wait(system, c, 2, ThreadState::kReply);
  FindWaits(system);
  REQUIRE(system.circles.size() == 1);
  CHECK(system.circles[0] == std::vector<size_t>{b, c});
  CHECK(Has(SystemText(system, 100), "! circle: b/main -> c/main -> b/main\n"));
  CHECK(Has(SystemJson(system), "\"circles\": [[1, 2]]"));
}

TEST_CASE("ps: a server with a thread to spare closes no circle") {
  SeenSystem system;
  const size_t a = Add(system, 1, "a"), b = Add(system, 2, "b");
  Wait(system, a, 2, ThreadState::kReply);
  Wait(system, b, 1, ThreadState::kReply);
  SeenThread spare = system.threads[b];
  spare.number = 2;
  spare.state = ThreadState::kReceive;
  system.threads.push_back(spare);
  FindWaits(system);
  CHECK(system.circles.empty());
  system.threads.pop_back();
  FindWaits(system);
  CHECK(system.circles.size() == 1);
}

TEST_CASE("ps: more than a page is counted, not shown") {
  SeenSystem system;
  for (uint32_t i = 1; i <= 9; ++i) Add(system, i, "p");
  FindWaits(system);
  CHECK(Has(SystemText(system, 4), "... 5 more threads: --all\n"));
  CHECK_FALSE(Has(SystemText(system, 9), "--all"));
}

}  // namespace parley_tool
