// Conformance: descriptors of the host's, waited for beside messages and pulses (ipc::Dispatcher).
#include "ipc/dispatcher.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <thread>
#include <vector>

#include "tests/conformance/any_kernel.h"
#include "tests/support/pipe.h"

namespace {

using ipc::Error;
using ipc::ErrorOf;
using ipc::Readiness;
using tests::Pipe;
using tests::conformance::kSoon;
using tests::conformance::LetBlock;
using tests::conformance::OnSimulationOnly;
using tests::conformance::OpenSoon;
using tests::conformance::RunAny;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

const ipc::Deadline kNow = ipc::Deadline::Poll();

// A process that waits for itself.
struct Alone {
  explicit Alone(ipc::Process& self)
      : channel(self.CreateChannel("own").value()),
        to(self.Connect(channel.Grant(self.me()).value(), "own").value()),
        dispatcher(channel) {}
  ipc::DescriptorWatch Watch(const Pipe& pipe, int priority = 20) const {
    return dispatcher.Watch(pipe.reader(), Readiness::kReadable, priority).value();
  }
  // Which watch is ready at once; 0: none is.
  uint64_t ReadyNow() const {
    auto next = dispatcher.Wait(kNow);
    if (!next.ok() || next->ready() == nullptr) return 0;
    return next->ready()->id();
  }
  ipc::Channel channel;
  ipc::Connection to;
  ipc::Dispatcher dispatcher;
};

void RunAlone(const std::function<void(ipc::Process&)>& body) {
  RunWorld({{.name = "alone", .main = [&](ipc::Process& self) {
               body(self);
               return 0;
             }}});
}

TEST_CASE("dispatcher: a descriptor takes its place among messages and pulses by its priority") {
  tests::Shared<bool> sending;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   ipc::Channel channel = self.Attach("/s").value();
                   ipc::Connection to = self.Connect(channel.Grant(self.me()).value(), "").value();
                   const ipc::Dispatcher dispatcher(channel);
                   CHECK(WaitUntil(self, sending));
                   LetBlock(self);
                   const Pipe pipe;
                   pipe.Put();
                   const ipc::DescriptorWatch watch =
                       dispatcher.Watch(pipe.reader(), Readiness::kReadable, 20).value();
                   CHECK(to.SendPulse(1, 0, 5).ok());
                   CHECK(to.SendPulse(2, 0, 30).ok());
                   {
                     const ipc::Dispatched first = dispatcher.Wait(kSoon).value();
                     CHECK(first.pulse()->code == 2);
                   }
                   {
                     ipc::Dispatched second = dispatcher.Wait(kSoon).value();
                     REQUIRE(second.ready() != nullptr);
                     CHECK(second.ready()->Is(watch));
                     CHECK(second.pulse() == nullptr);
                     CHECK(second.message() == nullptr);
                     CHECK(self.priority() == 20);  // P3
                     pipe.Take();
                   }
                   {
                     ipc::Dispatched third = dispatcher.Wait(kSoon).value();
                     REQUIRE(third.message() != nullptr);
                     CHECK(third.ready() == nullptr);
                     CHECK(third.message()->bytes().size() == 5);
                     CHECK(third.message()->Reply().ok());
                   }
                   CHECK(dispatcher.Wait(kSoon)->pulse()->code == 1);
                   CHECK(ErrorOf(dispatcher.Wait(kNow).status()) == Error::kDeadline);
                   return 0;
                 }},
            {.name = "client", .main = [&](ipc::Process& self) {
               const ipc::Connection server = OpenSoon(self, "/s");
               sending = true;
               return server.Send(ipc::BytesOfText("hello"), {}).ok() ? 0 : 1;
             }}});
}

TEST_CASE("dispatcher: what is left unread is dispatched again, what is read is not") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe pipe;
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    CHECK(alone.ReadyNow() == 0);
    pipe.Put();
    pipe.Put();
    for (int i = 0; i < 2; ++i) {
      ipc::Dispatched next = alone.dispatcher.Wait(kSoon).value();
      REQUIRE(next.ready() != nullptr);
      CHECK(next.ready()->Is(watch));
      pipe.Take();
    }
    CHECK(alone.ReadyNow() == 0);
  });
}

TEST_CASE("dispatcher: while somebody has it, it is not dispatched to anybody") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe pipe;
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    pipe.Put();
    {
      const ipc::Dispatched held = alone.dispatcher.Wait(kSoon).value();
      pipe.Put();
      LetBlock(self);
      CHECK(alone.ReadyNow() == 0);
    }
    CHECK(alone.ReadyNow() == watch.id());
  });
}

TEST_CASE("dispatcher: a watch for writing tells when there is room") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe pipe;
    const ipc::DescriptorWatch watch =
        alone.dispatcher.Watch(pipe.writer(), Readiness::kWritable, 20).value();
    CHECK(alone.ReadyNow() == watch.id());
    {
      const ipc::Dispatched held = alone.dispatcher.Wait(kSoon).value();
      pipe.Fill();
    }
    CHECK(alone.ReadyNow() == 0);
    pipe.Empty();
    ipc::Dispatched room = alone.dispatcher.Wait(kSoon).value();
    REQUIRE(room.ready() != nullptr);
  });
}

TEST_CASE("dispatcher: the end of the far side is something to read") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    Pipe pipe;
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    CHECK(alone.ReadyNow() == 0);
    pipe.CloseWriter();
    ipc::Dispatched next = alone.dispatcher.Wait(kSoon).value();
    REQUIRE(next.ready() != nullptr);
    CHECK(next.ready()->Is(watch));
  });
}

TEST_CASE("dispatcher: each of several threads that wait gets one of several that are ready") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const std::array<Pipe, 3> pipes;
    std::vector<ipc::DescriptorWatch> watches;
    for (const Pipe& pipe : pipes) watches.push_back(alone.Watch(pipe));
    std::array<std::atomic<uint64_t>, 3> got = {};
    std::atomic<int> have{0};
    std::vector<ipc::Thread> threads;
    for (std::atomic<uint64_t>& mine : got) {
      threads.push_back(self.Spawn({},
                                   [&] {
                                     ipc::Dispatched next = alone.dispatcher.Wait(kSoon).value();
                                     if (next.ready() != nullptr) mine = next.ready()->id();
                                     ++have;
                                     CHECK(WaitUntil(self, [&] { return have == 3; }));
                                   })
                            .value());
    }
    LetBlock(self);
    for (const Pipe& pipe : pipes) pipe.Put();
    for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
    for (const ipc::DescriptorWatch& watch : watches) {
      CHECK(std::count(got.begin(), got.end(), watch.id()) == 1);
    }
  });
}

TEST_CASE("dispatcher: what is queued of a watch goes with it") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe first, second;
    first.Put();
    second.Put();
    std::optional<ipc::DescriptorWatch> ended = alone.Watch(first);
    const ipc::DescriptorWatch watch = alone.Watch(second);
    ended.reset();
    {
      ipc::Dispatched next = alone.dispatcher.Wait(kNow).value();
      REQUIRE(next.ready() != nullptr);
      CHECK(next.ready()->Is(watch));
      second.Take();
    }
    CHECK(alone.ReadyNow() == 0);
    // One that ends while somebody has it comes no more, either.
    ended = alone.Watch(first);
    {
      const ipc::Dispatched held = alone.dispatcher.Wait(kSoon).value();
      ended.reset();
    }
    CHECK(alone.ReadyNow() == 0);
  });
}

TEST_CASE("dispatcher: a watch outlives the program's own descriptor") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    Pipe pipe;
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    const int number = pipe.reader();
    const int copy = fcntl(number, F_DUPFD_CLOEXEC, 100);
    pipe.CloseReader();
    const Pipe other;  // by that number
    CHECK(other.reader() == number);
    CHECK(alone.ReadyNow() == 0);
    pipe.Put();
    ipc::Dispatched next = alone.dispatcher.Wait(kSoon).value();
    REQUIRE(next.ready() != nullptr);
    CHECK(next.ready()->Is(watch));
    close(copy);
  });
}

TEST_CASE("dispatcher: a watch may outlive its channel") {
  RunAlone([](ipc::Process& self) {
    const Pipe pipe;
    std::optional<ipc::Channel> channel = self.CreateChannel("short").value();
    const ipc::Dispatcher dispatcher(*channel);
    const ipc::DescriptorWatch queued =
        dispatcher.Watch(pipe.reader(), Readiness::kReadable, 20).value();
    const ipc::DescriptorWatch armed =
        dispatcher.Watch(pipe.reader(), Readiness::kReadable, 20).value();
    pipe.Put();
    const ipc::Dispatched held = dispatcher.Wait(kSoon).value();
    channel.reset();
  });
}

TEST_CASE("dispatcher: what cannot be watched is refused with its reason") {
  RunWorld(
      {{.name = "alone",
        .main =
            [](ipc::Process& self) {
              const Alone alone(self);
              const auto refused = [&](int descriptor, int priority = 20) {
                return alone.dispatcher.Watch(descriptor, Readiness::kReadable, priority).status();
              };
              const absl::Status closed = refused(9999);
              CHECK(ErrorOf(closed) == Error::kInvalidArgument);
              CHECK(closed.message() == "own: descriptor 9999 is not open");
              CHECK(ErrorOf(refused(-1)) == Error::kInvalidArgument);
              for (const char* path : {"/proc/self/exe", "/", "/dev/null"}) {
                const int file = open(path, O_RDONLY | O_CLOEXEC);
                const absl::Status status = refused(file);
                CHECK(ErrorOf(status) == Error::kInvalidArgument);
                CHECK(status.message().find("cannot be waited for") != std::string::npos);
                close(file);
              }
              const Pipe pipe;
              CHECK(ErrorOf(refused(pipe.reader(), 0)) == Error::kInvalidArgument);
              CHECK(ErrorOf(refused(pipe.reader(), 256)) == Error::kInvalidArgument);
              CHECK(ErrorOf(refused(pipe.reader(), 41)) == Error::kNotPermitted);
              return 0;
            },
        .ceiling = 40}});
}

TEST_CASE("dispatcher: without more descriptors there is no more to watch") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe pipe;
    std::vector<int> taken;
    for (int copy = 0; (copy = fcntl(pipe.reader(), F_DUPFD_CLOEXEC, 0)) >= 0;) {
      taken.push_back(copy);
    }
    const absl::Status status =
        alone.dispatcher.Watch(pipe.reader(), Readiness::kReadable, 20).status();
    for (const int copy : taken) close(copy);
    CHECK(ErrorOf(status) == Error::kQuotaExhausted);
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    pipe.Put();
    CHECK(alone.dispatcher.Wait(kSoon)->ready() != nullptr);
  });
}

TEST_CASE("dispatcher: the child of a fork watches nothing") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe pipe;
    pipe.Put();
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    std::optional<ipc::Dispatched> held = alone.dispatcher.Wait(kSoon).value();
    const pid_t child = fork();
    if (child == 0) {
      held.reset();
      const absl::Status refused =
          alone.dispatcher.Watch(pipe.reader(), Readiness::kReadable, 20).status();
      _exit(ErrorOf(refused) == Error::kForked ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(alone.ReadyNow() == 0);
    held.reset();
    CHECK(alone.ReadyNow() == watch.id());
  });
}

TEST_CASE("dispatcher: who receives from the channel itself gets a pulse") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe pipe;
    pipe.Put();
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    const ipc::Received received = alone.channel.Receive(kSoon).value();
    REQUIRE(received.pulse() != nullptr);
    CHECK(received.pulse()->code == ipc::Pulse::kReady);
    CHECK(received.pulse()->value == watch.id());
    CHECK(alone.ReadyNow() == 0);
  });
}

TEST_CASE("dispatcher: a thread that waits hears of what comes from outside") {
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe pipe;
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    std::thread outside([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      pipe.Put();
    });
    ipc::Dispatched next = alone.dispatcher.Wait().value();
    outside.join();
    REQUIRE(next.ready() != nullptr);
    CHECK(next.ready()->Is(watch));
  });
}

TEST_CASE("dispatcher: on the simulated kernel no deadline waits for the outside") {
  if (OnSimulationOnly("the host's time is real")) return;
  RunAlone([](ipc::Process& self) {
    const Alone alone(self);
    const Pipe pipe;
    const ipc::DescriptorWatch watch = alone.Watch(pipe);
    const absl::Time before = self.Now();
    CHECK(ErrorOf(alone.dispatcher.Wait(absl::Hours(1000)).status()) == Error::kDeadline);
    CHECK(self.Now() - before >= absl::Hours(1000));
    // What happens here is seen in virtual time.
    const ipc::Thread writer = self.Spawn({},
                                          [&] {
                                            self.Sleep(absl::Seconds(1)).IgnoreError();
                                            pipe.Put();
                                          })
                                   .value();
    const absl::Time again = self.Now();
    CHECK(alone.dispatcher.Wait(absl::Seconds(60))->ready() != nullptr);
    CHECK(self.Now() - again < absl::Seconds(3));
  });
}

TEST_CASE("dispatcher: on the simulated kernel a run that hears of nobody ends") {
  if (OnSimulationOnly("a process of the host's waits for ever")) return;
  const parley::RunReport report = RunAny({{.name = "alone", .main = [](ipc::Process& self) {
                                              const Alone alone(self);
                                              const Pipe pipe;
                                              const ipc::DescriptorWatch watch = alone.Watch(pipe);
                                              const ipc::Channel other =
                                                  self.CreateChannel("other").value();
                                              other.Receive().IgnoreError();
                                              return 0;
                                            }}});
  CHECK_FALSE(report.problems.empty());
}

}  // namespace
