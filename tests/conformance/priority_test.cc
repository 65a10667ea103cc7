// Conformance: priority and scheduling (P1 to P7).
#include "tests/conformance/any_kernel.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::Actor;
using tests::Shared;
using tests::SharedText;
using tests::conformance::InTime;
using tests::conformance::LacksRealTime;
using tests::conformance::LetBlock;
using tests::conformance::Margin;
using tests::conformance::OnHost;
using tests::conformance::OpenSoon;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

ipc::ThreadOptions At(int priority) {
  return {.scheduling = ipc::Scheduling{.priority = priority}};
}

// A client process that calls /s once, as soon as `turn` has come to `its`.
Actor Caller(const char* name, int priority, const Shared<int>& turn, int its) {
  return {.name = name,
          .main =
              [&turn, its](ipc::Process& self) {
                ipc::Connection server = OpenSoon(self, "/s");
                CHECK(WaitUntil(self, [&] { return turn >= its; }));
                return server.Send({}, {}).ok() ? 0 : 1;
              },
          .scheduling = {.priority = priority}};
}

TEST_CASE("P1 messages and pulses share one queue: higher priority first, FIFO within a level") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.CreateChannel("own").value();
               ipc::Connection to = self.Connect(channel.Grant(self.me()).value(), "own").value();
               std::vector<ipc::Thread> senders;
               auto send = [&](int priority) {
                 senders.push_back(
                     self.Spawn(At(priority), [&] { to.Send({}, {}).IgnoreError(); }).value());
                 LetBlock(self);
               };
               CHECK(to.SendPulse(1, 0, 20).ok());
               send(20);
               CHECK(to.SendPulse(2, 0, 20).ok());
               send(30);
               CHECK(to.SendPulse(3, 0, 40).ok());
               std::string order;
               for (int i = 0; i < 5; ++i) {
                 ipc::Received received = channel.Receive().value();
                 order +=
                     received.pulse() != nullptr ? std::to_string(received.pulse()->code) : "m";
                 if (ipc::Message* message = received.message()) CHECK(message->Reply().ok());
               }
               CHECK(order == "3m1m2");
               return 0;
             }}});
}

TEST_CASE("P2 a queued sender whose priority changes moves to the tail of its new level") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               ipc::Channel channel = self.CreateChannel("own").value();
               ipc::Connection to = self.Connect(channel.Grant(self.me()).value(), "own").value();
               std::vector<ipc::Thread> senders;
               for (char name : {'a', 'b', 'c'}) {
                 senders.push_back(
                     self.Spawn(At(name == 'a' ? 20 : 30),
                                [&, name] { to.Send(ipc::BytesOf(name), {}).IgnoreError(); })
                         .value());
                 LetBlock(self);
               }
               CHECK(senders[0].SetScheduling({.priority = 30}).ok());
               std::string order;
               for (int i = 0; i < 3; ++i) {
                 ipc::Received received = channel.Receive().value();
                 order += static_cast<char>(received.message()->bytes()[0]);
                 CHECK(received.message()->Reply().ok());
               }
               CHECK(order == "bca");
               return 0;
             }}});
}

TEST_CASE("P3 a server runs at its client's priority, up or down, until it replies") {
  const Shared<int> turn;
  for (int client : {5, 90}) {
    RunWorld({{.name = "server",
               .main =
                   [client](ipc::Process& self) {
                     ipc::Channel channel = self.Attach("/s").value();
                     CHECK(self.priority() == 40);
                     ipc::Received received = channel.Receive().value();
                     CHECK(self.priority() == client);
                     CHECK(received.message()->Reply().ok());
                     CHECK(self.priority() == 40);
                     return 0;
                   },
               .scheduling = {.priority = 40}},
              Caller("client", client, turn, 0)});
  }
}

TEST_CASE("P3 the term ends at the next receive, and a pulse gives its own priority") {
  const Shared<int> turn;
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Connection to =
                       self.Connect(channel.Grant(self.me()).value(), "own").value();
                   ipc::Received kept = channel.Receive().value();
                   CHECK(self.priority() == 90);
                   CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
                   CHECK(self.priority() == 40);
                   CHECK(to.SendPulse(1, 0, 60).ok());
                   ipc::Received pulse = channel.Receive().value();
                   CHECK(self.priority() == 60);
                   CHECK(kept.message()->Reply().ok());  // not the one received last
                   CHECK(self.priority() == 60);
                   CHECK_FALSE(channel.Receive(ipc::Deadline::Poll()).ok());
                   CHECK(self.priority() == 40);
                   return 0;
                 },
             .scheduling = {.priority = 40}},
            Caller("client", 90, turn, 0)});
}

// For P4: a server that answers only when it runs at 90.
int Back(ipc::Process& self, Shared<int>& turn, const Shared<bool>& gave_up) {
  ipc::Channel channel = self.Attach("/back").value();
  ipc::Received received = channel.Receive().value();
  CHECK(self.priority() == 5);
  ++turn;
  while (self.priority() != 90 && !gave_up) self.Compute(Margin() / 10);
  CHECK(self.priority() == 90);
  return received.message()->Reply().ok() ? 0 : 1;
}

// For P4: a server of two messages that asks the other one for the first.
int Front(ipc::Process& self) {
  ipc::Channel channel = self.Attach("/s").value();
  ipc::Connection back = OpenSoon(self, "/back");
  for (int i = 0; i < 2; ++i) {
    ipc::Received received = channel.Receive().value();
    if (i == 0) CHECK(back.Send({}, {}).ok());
    CHECK(received.message()->Reply().ok());
  }
  return 0;
}

TEST_CASE("P4 a queued client boosts its server, and the servers that one waits for") {
  if (LacksRealTime()) return;
  Shared<int> turn;
  Shared<bool> answered, gave_up;
  Actor high = Caller("high", 90, turn, 2);
  high.main = [&, call = high.main](ipc::Process& self) {
    const int result = call(self);
    answered = true;
    return result;
  };
  RunWorld({{.name = "back",
             .main = [&](ipc::Process& self) { return Back(self, turn, gave_up); },
             .scheduling = {.priority = 10}},
            {.name = "front", .main = Front, .scheduling = {.priority = 10}},
            Caller("low", 5, turn, 0),
            std::move(high),
            {.name = "hog",
             .main =
                 [&](ipc::Process& self) {
                   CHECK(WaitUntil(self, [&] { return turn == 1; }));
                   ++turn;
                   // Without the boost nobody below would run again.
                   const absl::Time end = self.Now() + 100 * Margin();
                   while (!answered && self.Now() < end) self.Compute(Margin() / 10);
                   gave_up = true;
                   CHECK(answered);
                   return 0;
                 },
             .scheduling = {.priority = 50}}},
           {.one_cpu = true});
}

TEST_CASE("P4 a queued client boosts every thread of a pool that serves the channel") {
  Shared<int> turn;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   Shared<bool> seen;
                   auto serve = [&] {
                     ipc::Received received = channel.Receive().value();
                     ++turn;
                     CHECK(WaitUntil(self, seen));
                     CHECK(received.message()->Reply().ok());
                   };
                   std::vector<ipc::Thread> pool;
                   for (int i = 0; i < 2; ++i) pool.push_back(self.Spawn(At(10), serve).value());
                   CHECK(WaitUntil(self, [&] {
                     return pool[0].priority().value() == 90 && pool[1].priority().value() == 90;
                   }));
                   seen = true;
                   for (ipc::Thread& thread : pool) CHECK(thread.Join().ok());
                   return channel.Receive()->message()->Reply().ok() ? 0 : 1;
                 },
             .scheduling = {.priority = 200}},
            Caller("one", 20, turn, 0),
            Caller("two", 30, turn, 1),
            Caller("high", 90, turn, 2)});
}

TEST_CASE("P5 a channel with fixed priority takes no part in inheritance") {
  Shared<int> turn;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.fixed_priority = true}).value();
                   for (int i = 0; i < 2; ++i) {
                     ipc::Received received = channel.Receive().value();
                     ++turn;
                     LetBlock(self);  // the other client, in its send
                     CHECK(self.priority() == 40);
                     CHECK(received.message()->Reply().ok());
                   }
                   return 0;
                 },
             .scheduling = {.priority = 40}},
            Caller("low", 5, turn, 0),
            Caller("high", 90, turn, 1)});
}

TEST_CASE("P6 a send above the ceiling is clamped, raising a thread past it is refused") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Received received = channel.Receive().value();
                   const ipc::Token token =
                       channel.Grant(received.message()->info().sender, {.ceiling = 15}).value();
                   CHECK(received.message()->info().priority == 30);
                   CHECK(received.message()->Reply(ipc::BytesOf(token)).ok());
                   ipc::Received clamped = channel.Receive().value();
                   CHECK(clamped.message()->info().priority == 15);
                   CHECK(self.priority() == 15);
                   return clamped.message()->Reply().ok() ? 0 : 1;
                 }},
            {.name = "client",
             .main =
                 [](ipc::Process& self) {
                   CHECK(ErrorOf(self.SetScheduling({.priority = 31})) == Error::kNotPermitted);
                   CHECK(ErrorOf(self.Spawn(At(31), [] {}).status()) == Error::kNotPermitted);
                   ipc::Token token;
                   CHECK(OpenSoon(self, "/s").Send({}, ipc::MutableBytesOf(token)).ok());
                   ipc::Connection low = self.Connect(token, "low").value();
                   CHECK(ErrorOf(low.SendPulse(1, 0, 16)) == Error::kNotPermitted);
                   return low.Send({}, {}).ok() ? 0 : 1;
                 },
             .scheduling = {.priority = 30},
             .ceiling = 30}});
}

TEST_CASE(
    "P7 FIFO runs until it blocks; a preempted thread goes to the head, an unblocked one to the "
    "tail") {
  if (LacksRealTime()) return;
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   SharedText order;
                   auto worker = [&](char name) {
                     return self.Spawn(At(20), [&, name] {
                       self.Compute(2 * Margin());
                       order.Add(name);
                       self.Sleep(Margin() / 10).IgnoreError();
                       order.Add(name);
                     });
                   };
                   ipc::Thread a = worker('a').value(), b = worker('b').value();
                   // Preempts `a` while it computes: it must go on before `b` begins.
                   self.Sleep(Margin()).IgnoreError();
                   self.Compute(Margin());
                   CHECK(a.Join().ok());
                   CHECK(b.Join().ok());
                   CHECK(order.text() == "abab");
                   return 0;
                 },
             .scheduling = {.priority = 50}}},
           {.one_cpu = true});
}

TEST_CASE("P7 round robin takes turns by slices") {
  if (LacksRealTime()) return;
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   SharedText order;
                   std::array<absl::Time, 2> ends;
                   const ipc::Scheduling turns{.policy = ipc::Policy::kRoundRobin,
                                               .priority = 20,
                                               .slice = absl::Milliseconds(1)};
                   auto worker = [&](size_t number) {
                     return self.Spawn({.scheduling = turns}, [&, number] {
                       for (int i = 0; i < 10; ++i) {
                         self.Compute(Margin());  // ten are longer than a slice of Linux's
                         order.Add(number == 0 ? 'a' : 'b');
                       }
                       ends[number] = self.Now();
                     });
                   };
                   ipc::Thread a = worker(0).value(), b = worker(1).value();
                   CHECK(a.Join().ok());
                   CHECK(b.Join().ok());
                   CHECK(order.text().find('b') < order.text().rfind('a'));
                   // FIFO would be 10 ms apart.
                   CHECK(InTime(ends[1] - ends[0], absl::Milliseconds(1.5)));
                   return 0;
                 },
             .scheduling = {.priority = 50}}},
           {.one_cpu = true});
}

TEST_CASE(
    "P7 a sporadic thread runs at its low priority once its budget is used, until it is "
    "replenished") {
  if (LacksRealTime()) return;
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   const ipc::Scheduling sporadic{.policy = ipc::Policy::kSporadic,
                                                  .priority = 30,
                                                  .budget = 2 * Margin(),
                                                  .period = 10 * Margin(),
                                                  .low_priority = 10};
                   Shared<bool> done;
                   auto work = [&] {
                     self.Compute(5 * Margin());  // three budgets
                     done = true;
                   };
                   auto hog = [&] {
                     while (!done) self.Compute(Margin() / 10);
                   };
                   ipc::Thread thread = self.Spawn({.scheduling = sporadic}, work).value();
                   ipc::Thread between = self.Spawn(At(20), hog).value();
                   for (int level : {30, 10, 30, 10, 30}) {
                     CHECK_FALSE(done);
                     CHECK(WaitUntil(self, [&] { return thread.priority().value() == level; }));
                   }
                   CHECK(thread.Join().ok());
                   CHECK(InTime(self.Now() - absl::UnixEpoch(), absl::Milliseconds(24)));
                   return 0;
                 },
             .scheduling = {.priority = 50}}},
           {.one_cpu = true});
}

}  // namespace
