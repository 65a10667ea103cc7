// From the records of processes to one trace: random runs against what really happened, rings that
// have overflowed, and rings full of nonsense.
#include "kernel-sim/host/trace_merge.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <map>
#include <memory>
#include <random>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernel-sim/host/fd.h"
#include "tests/support/heard.h"

namespace parley::host {
namespace {

using ::tests::Heard;

// As the launcher makes it: memory comes with the first touch.
class Area {
 public:
  Area()
      : memory_(static_cast<std::byte*>(mmap(nullptr, sizeof(TraceArea), PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
                sizeof(TraceArea)) {
    REQUIRE(memory_.address() != MAP_FAILED);
  }
  TraceArea& operator*() const { return *memory_.As<TraceArea>(); }
  TraceArea* operator->() const { return memory_.As<TraceArea>(); }

  void Name(Named of, uint32_t id, std::string_view text) {
    TraceName& name = memory_.As<TraceArea>()->names[(*this)->names_used++];
    name.of = of;
    name.id = id;
    name.bytes = static_cast<uint8_t>(text.size());
    std::copy(text.begin(), text.end(), name.text.begin());
  }
  // Thread n has ring n.
  TraceRing& RingOf(uint32_t thread) {
    (*this)->rings_used = std::max((*this)->rings_used, thread + 1);
    return (*this)->rings[thread];
  }
  void Thread(uint32_t thread, std::string_view name) {
    Name(Named::kThread, thread, name);
    RingOf(thread);
  }
  void Write(uint32_t thread, const TraceRecord& record) { WriteRecord(RingOf(thread), record); }

 private:
  SharedMapping memory_;
};

constexpr uint32_t kChannel = 9;
constexpr TickScale kScale = {1000, 1'001'000, 1'000'000};  // a tick is a nanosecond

TraceRecord Message(RecordKind kind, uint64_t ticks, uint32_t thread, uint32_t sequence,
                    uint32_t extra = 0) {
  return {kScale.begin_ticks + ticks, thread,   kind, 0, 5,
          MessageValue(3, sequence),  kChannel, extra};
}
TraceRecord State(uint64_t ticks, uint32_t thread, ThreadState state) {
  return {kScale.begin_ticks + ticks,
          thread,
          RecordKind::kState,
          static_cast<uint8_t>(state),
          0,
          0,
          0,
          0};
}

// A client and a server, as processes 1 and 2.
struct Pair {
  Pair() {
    client.Thread(1, "main");
    server.Thread(1, "main");
    server.Name(Named::kChannel, kChannel, "/s");
  }
  Heard Tell() {
    TraceMerge merge;
    merge.Add(ProcessId{2}, "server", *server);
    merge.Add(ProcessId{1}, "client", *client);
    Heard heard;
    merge.Tell(kScale, heard);
    notes = merge.notes();
    CHECK(heard.in_order);
    return heard;
  }
  Area client, server;
  std::vector<std::string> notes;
};

TEST_CASE("a message is told as sent, received, replied, and its threads' states with it") {
  Pair pair;
  pair.client.Write(1, State(1, 1, ThreadState::kRunning));
  pair.client.Write(1, Message(RecordKind::kSend, 100, 1, 7, 64));
  pair.server.Write(1, Message(RecordKind::kReceive, 150, 1, 7, 50));
  pair.server.Write(1, Message(RecordKind::kReply, 200, 1, 7, 8));
  const Heard heard = pair.Tell();
  CHECK(pair.notes.empty());
  CHECK(heard.StatesOf("client/main") == "RUNNING SEND:/s REPLY:/s RUNNING");
  CHECK(heard.StatesOf("server/main") == "RECEIVE:/s RUNNING");
  const auto sent = heard.Of("client/main", TraceKind::kSend);
  const auto received = heard.Of("server/main", TraceKind::kReceive);
  const auto replied = heard.Of("server/main", TraceKind::kReply);
  REQUIRE((sent.size() == 1 && received.size() == 1 && replied.size() == 1));
  CHECK((sent[0].time_ns == 100 && received[0].time_ns == 150 && replied[0].time_ns == 200));
  CHECK((sent[0].value == 64 && replied[0].value == 8));
  CHECK((sent[0].serial == received[0].serial && sent[0].serial == replied[0].serial));
  CHECK(received[0].peer == sent[0].thread);
  CHECK(heard.channels.at(sent[0].object) == "/s");
}

TEST_CASE("times of a message that contradict each other are brought into order") {
  Pair pair;
  // Each side has lost the CPU before it looked at the clock.
  pair.client.Write(1, Message(RecordKind::kSend, 900, 1, 7));
  pair.client.Write(1, Message(RecordKind::kSend, 950, 1, 8));
  pair.server.Write(1, Message(RecordKind::kReceive, 400, 1, 7));
  pair.server.Write(1, Message(RecordKind::kReply, 2000, 1, 7));
  // It looked last before the message came.
  TraceRecord looked = Message(RecordKind::kReceive, 940, 1, 8);
  looked.state = kLookedLast;
  pair.server.Write(1, looked);
  pair.server.Write(1, Message(RecordKind::kReply, 2100, 1, 8));
  const Heard heard = pair.Tell();
  std::vector<std::tuple<TraceKind, int64_t>> told;
  for (const auto& event : heard.events) {
    if (event.kind != TraceKind::kState) told.push_back({event.kind, event.time_ns});
  }
  const std::vector<std::tuple<TraceKind, int64_t>> expected = {
      {TraceKind::kSend, 399}, {TraceKind::kReceive, 400}, {TraceKind::kReply, 949},
      {TraceKind::kSend, 950}, {TraceKind::kReceive, 951}, {TraceKind::kReply, 2100}};
  CHECK(told == expected);
}

TEST_CASE("who slept is READY from the reply until it runs, and who failed is told so") {
  Pair pair;
  pair.client.Write(1, Message(RecordKind::kSend, 100, 1, 7));
  pair.client.Write(1, Message(RecordKind::kAnswered, 300, 1, 7));
  pair.client.Write(1, Message(RecordKind::kSend, 400, 1, 8));
  pair.client.Write(1, Message(RecordKind::kSendFailed, 500, 1, 8,
                               static_cast<uint32_t>(Error::kDeadlineBeforeReceive)));
  pair.server.Write(1, Message(RecordKind::kReceive, 150, 1, 7));
  pair.server.Write(1, Message(RecordKind::kReply, 200, 1, 7));
  const Heard heard = pair.Tell();
  CHECK(heard.StatesOf("client/main") == "SEND:/s REPLY:/s READY RUNNING SEND:/s RUNNING");
  const auto failed = heard.Of("client/main", TraceKind::kSendFailed);
  REQUIRE(failed.size() == 1);
  CHECK(failed[0].value == static_cast<uint64_t>(Error::kDeadlineBeforeReceive));
}

TEST_CASE("a send whose other side recorded nothing waits to the end only if it was the last") {
  Pair pair;
  pair.client.Write(1, State(1, 1, ThreadState::kRunning));
  pair.client.Write(1, Message(RecordKind::kSend, 100, 1, 7));
  pair.client.Write(1, Message(RecordKind::kSend, 200, 1, 8));
  CHECK(pair.Tell().StatesOf("client/main") == "RUNNING SEND:/s");
}

TEST_CASE("a process's exit is that of its threads") {
  Pair pair;
  pair.client.Write(1, State(1, 1, ThreadState::kRunning));
  TraceMerge merge;
  merge.Add(ProcessId{1}, "client", *pair.client);
  merge.AddExit(ProcessId{1}, {ExitKind::kKilled, 128, "killed"}, kScale.begin_ticks + 700);
  Heard heard;
  merge.Tell(kScale, heard);
  CHECK(heard.StatesOf("client/main") == "RUNNING DEAD");
  REQUIRE(heard.events.size() == 3);
  CHECK((heard.events[1].kind == TraceKind::kProcessExit && heard.events[1].words == "killed"));
}

TEST_CASE("remarks and counters keep their text, and are made legible") {
  Pair pair;
  auto write = [&](RecordKind kind, std::string_view text, uint64_t value) {
    WriteText(pair.client.RingOf(1), {kScale.begin_ticks + 5, 1, kind, 0, 0, value, 0, 0}, text);
  };
  const std::string longest(kMostTextBytes, 'x');
  write(RecordKind::kMark, "", 0);
  write(RecordKind::kMark, "exactly sixteen.", 0);
  write(RecordKind::kMark, "a\n\xff\xc3\xa4\xe2\x82", 0);
  write(RecordKind::kMark, longest + "cut", 0);
  write(RecordKind::kCounter, "frames", 12);
  const Heard heard = pair.Tell();
  std::vector<std::string> marks;
  for (const auto& mark : heard.Of("client/main", TraceKind::kMark)) marks.push_back(mark.words);
  CHECK(marks == std::vector<std::string>{"", "exactly sixteen.", "a??ä??", longest});
  const auto counters = heard.Of("client/main", TraceKind::kCounter);
  REQUIRE(counters.size() == 1);
  CHECK((counters[0].words == "frames" && counters[0].value == 12));
  CHECK(pair.notes.empty());
}

TEST_CASE("text that is no UTF-8 is made so") {
  CHECK(Legible("plain, \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80") ==
        "plain, \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
  for (const char* wrong : {"\x80", "\xc0", "\xc1", "\xf5", "\x7f", "\x01"}) {
    CHECK(Legible(wrong) == "?");
  }
  CHECK(Legible("\xe0\x80\x80") == "???");       // too long a form
  CHECK(Legible("\xed\xa0\x80") == "???");       // a surrogate
  CHECK(Legible("\xf4\x90\x80\x80") == "????");  // past the last
  CHECK(Legible("\xe2\x82") == "??");
}

TEST_CASE("a full ring keeps its last records, and says how many it has lost") {
  Pair pair;
  constexpr uint32_t kSent = kRingRecords + 1000;
  for (uint32_t i = 0; i < kSent; ++i) {
    pair.client.Write(1, Message(RecordKind::kSend, i, 1, i));
  }
  const Heard heard = pair.Tell();
  const auto sent = heard.Of("client/main", TraceKind::kSend);
  REQUIRE(sent.size() == kRingRecords);
  CHECK(sent.front().time_ns == 1000);
  CHECK(sent.back().time_ns == kSent - 1);
  REQUIRE(pair.notes.size() == 1);
  CHECK(absl::StrContains(pair.notes[0], "process client: 1000 records were overwritten"));
}

TEST_CASE("records of who has no name are left out, and counted") {
  Pair pair;
  pair.client.Write(1, Message(RecordKind::kSend, 1, 77, 1));
  pair.client.Write(1, {kScale.begin_ticks, 1, RecordKind{200}, 0, 0, 0, 0, 0});
  pair.client->ringless = 3;
  pair.client->nameless = 4;
  CHECK(pair.Tell().events.empty());
  REQUIRE(pair.notes.size() == 3);
  CHECK(absl::StrContains(pair.notes[0], "3 threads were left out"));
  CHECK(absl::StrContains(pair.notes[1], "4 threads and channels were left out"));
  CHECK(absl::StrContains(pair.notes[2], "2 records make no sense"));
}

// -- Random runs against what really happened

// What happened, as a naive observer of everything would write it down.
using Story = std::vector<std::tuple<int64_t, TraceKind, std::string>>;

// Client threads send, server threads receive and reply, each at a time of its own.
class RandomRun {
 public:
  explicit RandomRun(uint32_t seed) : random_(seed) {
    for (uint32_t thread = 1; thread <= kThreads; ++thread) {
      clients_.Thread(thread, absl::StrCat("c", thread));
      servers_.Thread(thread, absl::StrCat("s", thread));
    }
    servers_.Name(Named::kChannel, kChannel, "/s");
    for (now_ = 1; now_ < 20'000; now_ += 1 + random_() % 7) Step();
  }
  void Check() {
    TraceMerge merge;
    merge.Add(ProcessId{1}, "clients", *clients_);
    merge.Add(ProcessId{2}, "servers", *servers_);
    Heard heard;
    merge.Tell(kScale, heard);
    CHECK(heard.in_order);
    CHECK(merge.notes().empty());
    Story told;
    for (const auto& event : heard.events) {
      if (event.kind == TraceKind::kState) continue;
      const std::string peer =
          event.kind == TraceKind::kSend ? "" : absl::StrCat(" of ", heard.threads.at(event.peer));
      told.push_back({event.time_ns, event.kind,
                      absl::StrCat(heard.threads.at(event.thread), peer, " ", event.value)});
    }
    CHECK(told == story_);
  }

 private:
  static constexpr uint32_t kThreads = 5;
  struct Request {
    uint32_t client = 0, server = 0, sequence = 0, bytes = 0;
  };

  void Tell(TraceKind kind, const std::string& what) { story_.push_back({now_, kind, what}); }
  void Write(Area& area, uint32_t thread, RecordKind kind, const Request& request, uint32_t extra) {
    area.Write(thread, Message(kind, static_cast<uint64_t>(now_), thread, request.sequence, extra));
  }
  Request TakeAny(std::vector<Request>& from) {
    std::swap(from[random_() % from.size()], from.back());
    const Request taken = from.back();
    from.pop_back();
    return taken;
  }

  void Step() {
    const uint32_t thread = 1 + random_() % kThreads;
    switch (random_() % 3) {
      case 0: {
        if (std::exchange(sending_[thread], true)) return;
        const Request sent = {thread, 0, ++sequence_, static_cast<uint32_t>(random_() % 100)};
        queued_.push_back(sent);
        Write(clients_, thread, RecordKind::kSend, sent, sent.bytes);
        return Tell(TraceKind::kSend, absl::StrCat("clients/c", thread, " ", sent.bytes));
      }
      case 1: {
        if (queued_.empty()) return;
        Request request = TakeAny(queued_);
        request.server = thread;
        taken_.push_back(request);
        Write(servers_, thread, RecordKind::kReceive, request, 0);
        return Tell(TraceKind::kReceive, absl::StrCat("servers/s", thread, " of clients/c",
                                                      request.client, " ", request.bytes));
      }
      default: {
        if (taken_.empty()) return;
        const Request request = TakeAny(taken_);  // by any thread: it was moved there
        Write(servers_, thread, RecordKind::kReply, request, 3);
        sending_[request.client] = false;
        return Tell(TraceKind::kReply,
                    absl::StrCat("servers/s", thread, " of clients/c", request.client, " 3"));
      }
    }
  }

  std::mt19937 random_;
  Area clients_, servers_;
  std::map<uint32_t, bool> sending_;
  std::vector<Request> queued_, taken_;
  uint32_t sequence_ = 0;
  int64_t now_ = 0;
  Story story_;
};

TEST_CASE("random runs are told as they happened") {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    RandomRun(seed).Check();
  }
}

// -- Nonsense

// Whatever stands in the area: names come first and once, times lie within the run, threads are
// known, and text can be shown.
void CheckBounded(const TraceArea& area) {
  TraceMerge merge;
  merge.Add(ProcessId{1}, "liar", area);
  Heard heard;
  merge.Tell(kScale, heard);
  bool bounded = heard.in_order && heard.threads.size() <= kMostNames;
  for (const auto& event : heard.events) {
    bounded = bounded && event.time_ns >= 0 && event.time_ns <= kScale.end_ns &&
              (event.thread == ThreadId::kNone || heard.threads.contains(event.thread)) &&
              Legible(event.words) == event.words;
  }
  CHECK(bounded);
}

TEST_CASE("L5 random bytes in an area are no trace, and no harm") {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Area area;
    auto scribble = [&](void* at, size_t bytes) {
      auto* words = static_cast<uint64_t*>(at);
      for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) words[i] = random();
    };
    scribble(&area->names, sizeof(area->names));
    for (size_t ring = 0; ring < 2; ++ring) scribble(&area->rings[ring], sizeof(TraceRing));
    area->names_used = static_cast<uint32_t>(random());
    area->rings_used = static_cast<uint32_t>(random());
    CheckBounded(*area);
  }
}

TEST_CASE("L5 records that look right and are not") {
  for (uint32_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Area area;
    for (uint32_t thread = 1; thread <= 3; ++thread) area.Thread(thread, "\xff liar");
    for (int i = 0; i < 20'000; ++i) {
      TraceRecord record = Message(RecordKind(random() % 16), random() % 2'000'000, random() % 5,
                                   random() % 50, random());
      record.state = static_cast<uint8_t>(random() % 16);
      record.ticks -= random() % 5000;
      area.Write(1 + random() % 3, record);
    }
    CheckBounded(*area);
  }
}

}  // namespace
}  // namespace parley::host
