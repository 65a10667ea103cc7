// Conformance: priority and scheduling (P1 to P7).
#include "tests/support/world.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using tests::Actor;
using tests::InTime;
using tests::Ms;
using tests::RunWorld;
using tests::Start;
using tests::Us;

ipc::Connection OpenSoon(ipc::Process& self, const char* path) {
  return self.Open(path, absl::Seconds(1)).value();
}

ipc::ThreadOptions At(int priority) {
  return {.scheduling = ipc::Scheduling{.priority = priority}};
}

// A client process that calls /s once, at `after`, and then runs `then`.
Actor Caller(const char* name, int priority, absl::Duration after) {
  return {.name = name,
          .main =
              [after](ipc::Process& self) {
                ipc::Connection server = OpenSoon(self, "/s");
                self.Sleep(Start() + after).IgnoreError();
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
                 self.Sleep(Us(5)).IgnoreError();
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
                 self.Sleep(Us(5)).IgnoreError();
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
              Caller("client", client, absl::ZeroDuration())});
  }
}

TEST_CASE("P3 the term ends at the next receive, and a pulse gives its own priority") {
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
            Caller("client", 90, absl::ZeroDuration())});
}

TEST_CASE("P4 a queued client boosts its server, and the servers that one waits for") {
  RunWorld({{.name = "back",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/back").value();
                   ipc::Received received = channel.Receive().value();
                   CHECK(self.priority() == 5);
                   self.Compute(Ms(10));
                   CHECK(self.priority() == 90);
                   return received.message()->Reply().ok() ? 0 : 1;
                 },
             .scheduling = {.priority = 10}},
            {.name = "front",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Connection back = OpenSoon(self, "/back");
                   for (int i = 0; i < 2; ++i) {
                     ipc::Received received = channel.Receive().value();
                     if (i == 0) CHECK(back.Send({}, {}).ok());
                     CHECK(received.message()->Reply().ok());
                   }
                   return 0;
                 },
             .scheduling = {.priority = 10}},
            Caller("low", 5, Ms(1)),
            Caller("high", 90, Ms(3)),
            {.name = "hog",
             .main =
                 [](ipc::Process& self) {
                   self.Sleep(Start() + Ms(2)).IgnoreError();
                   self.Compute(Ms(100));
                   return 0;
                 },
             .scheduling = {.priority = 50}}});
}

TEST_CASE("P4 a queued client boosts every thread of a pool that serves the channel") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   std::vector<ipc::Thread> pool;
                   for (int i = 0; i < 2; ++i) {
                     pool.push_back(self.Spawn(At(10),
                                               [&] {
                                                 ipc::Received received = channel.Receive().value();
                                                 self.Compute(Ms(5));
                                                 CHECK(received.message()->Reply().ok());
                                               })
                                        .value());
                   }
                   self.Sleep(Start() + Ms(4)).IgnoreError();
                   CHECK(pool[0].priority().value() == 90);
                   CHECK(pool[1].priority().value() == 90);
                   for (ipc::Thread& thread : pool) CHECK(thread.Join().ok());
                   return channel.Receive()->message()->Reply().ok() ? 0 : 1;
                 },
             .scheduling = {.priority = 200}},
            Caller("one", 20, Ms(1)),
            Caller("two", 30, Ms(2)),
            Caller("high", 90, Ms(3))});
}

TEST_CASE("P5 a channel with fixed priority takes no part in inheritance") {
  RunWorld({{.name = "server",
             .main =
                 [](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s", {.fixed_priority = true}).value();
                   for (int i = 0; i < 2; ++i) {
                     ipc::Received received = channel.Receive().value();
                     self.Compute(Ms(5));
                     CHECK(self.priority() == 40);
                     CHECK(received.message()->Reply().ok());
                   }
                   return 0;
                 },
             .scheduling = {.priority = 40}},
            Caller("low", 5, Ms(1)),
            Caller("high", 90, Ms(3))});
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
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   std::string order;
                   auto worker = [&](char name) {
                     return self.Spawn(At(20), [&, name] {
                       self.Compute(Ms(2));
                       order += name;
                       self.Sleep(Us(100)).IgnoreError();
                       order += name;
                     });
                   };
                   ipc::Thread a = worker('a').value(), b = worker('b').value();
                   // Preempts `a` while it computes: it must go on before `b` begins.
                   self.Sleep(Ms(1)).IgnoreError();
                   self.Compute(Ms(1));
                   CHECK(a.Join().ok());
                   CHECK(b.Join().ok());
                   CHECK(order == "abab");
                   return 0;
                 },
             .scheduling = {.priority = 50}}});
}

TEST_CASE("P7 round robin takes turns by slices") {
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   std::vector<absl::Time> ends(2);
                   std::vector<ipc::Thread> threads;
                   const ipc::Scheduling turns{
                       .policy = ipc::Policy::kRoundRobin, .priority = 20, .slice = Ms(1)};
                   for (absl::Time& end : ends) {
                     threads.push_back(self.Spawn({.scheduling = turns},
                                                  [&] {
                                                    self.Compute(Ms(10));
                                                    end = self.Now();
                                                  })
                                           .value());
                   }
                   for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
                   CHECK(InTime(ends[1] - ends[0], Ms(1.5)));  // FIFO would be 10 ms apart
                   return 0;
                 },
             .scheduling = {.priority = 50}}});
}

TEST_CASE(
    "P7 a sporadic thread runs at its low priority once its budget is used, until it is "
    "replenished") {
  RunWorld({{.name = "alone",
             .main =
                 [](ipc::Process& self) {
                   const ipc::Scheduling sporadic{.policy = ipc::Policy::kSporadic,
                                                  .priority = 30,
                                                  .budget = Ms(2),
                                                  .period = Ms(10),
                                                  .low_priority = 10};
                   self.Sleep(Start()).IgnoreError();
                   ipc::Thread thread =
                       self.Spawn({.scheduling = sporadic}, [&] { self.Compute(Ms(5)); }).value();
                   ipc::Thread hog = self.Spawn(At(20), [&] { self.Compute(Ms(30)); }).value();
                   auto at = [&](int64_t ms) { self.Sleep(Start() + Ms(ms)).IgnoreError(); };
                   at(1);
                   CHECK(thread.priority().value() == 30);
                   at(5);
                   CHECK(thread.priority().value() == 10);
                   at(11);
                   CHECK(thread.priority().value() == 30);
                   at(15);
                   CHECK(thread.priority().value() == 10);
                   CHECK(thread.Join().ok());
                   CHECK(InTime(self.Now() - Start(), Ms(24)));  // three budgets
                   return 0;
                 },
             .scheduling = {.priority = 50}}});
}

}  // namespace
