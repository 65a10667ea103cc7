// Conformance: pools of threads, on every kernel.
#include "ipc/thread_pool.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tests/conformance/any_kernel.h"

namespace {

using ipc::ThreadPool;
using tests::Shared;
using tests::conformance::LetBlock;
using tests::conformance::OpenSoon;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

// What threads of the pool do at the moment, and have done at most.
struct Watched {
  Shared<int> waiting, busy, most_busy, most;
  Shared<bool> let_go;
};

// Answers messages on the channel; each takes until it is let go.
ThreadPool::Turn Answering(ipc::Process& self, const ipc::Channel& channel, Watched& watched) {
  return [&](const std::function<void()>& busy) {
    ++watched.waiting;
    auto received = channel.Receive();
    --watched.waiting;
    if (!received.ok()) return false;
    busy();
    ++watched.busy;
    watched.most_busy = std::max<int>(watched.most_busy, watched.busy);
    const bool went = WaitUntil(self, watched.let_go);
    --watched.busy;
    received->message()->Reply();
    return went;
  };
}

TEST_CASE("a pool grows up to its maximum while there is work, and shrinks when there is none") {
  Watched watched;
  RunWorld({{.name = "server",
             .main =
                 [&](ipc::Process& self) {
                   const ipc::Channel channel = self.Attach("/s").value();
                   ThreadPool pool(self,
                                   {.low_water = 1, .high_water = 2, .increment = 2, .maximum = 5});
                   // Not in a CHECK, which would catch the end of a simulated process.
                   const absl::Status run = pool.Run(Answering(self, channel, watched));
                   return run.ok() ? 0 : 1;
                 },
             .service = true},
            {.name = "clients", .main = [&](ipc::Process& self) {
               const ipc::Connection to = OpenSoon(self, "/s");
               std::vector<ipc::Thread> threads;
               for (int i = 0; i < 8; ++i) {
                 threads.push_back(self.Spawn({}, [&] { CHECK(to.Send({}, {}).ok()); }).value());
               }
               CHECK(WaitUntil(self, [&] { return watched.busy == 5; }));
               LetBlock(self);
               CHECK(watched.busy == 5);
               CHECK(watched.waiting == 0);
               watched.let_go = true;
               for (ipc::Thread& thread : threads) CHECK(thread.Join().ok());
               // Two at most, and the one that has called Run.
               CHECK(WaitUntil(self, [&] { return watched.waiting <= 3 && watched.busy == 0; }));
               CHECK(watched.waiting >= 1);
               for (int i = 0; i < 20; ++i) CHECK(to.Send({}, {}).ok());
               CHECK(watched.most_busy == 5);
               return 0;
             }}});
}

TEST_CASE("a pool ends with the thread that runs it, and all of its threads with it") {
  Watched watched;
  RunWorld(
      {{.name = "server", .main = [&](ipc::Process& self) {
          const ipc::Channel channel = self.CreateChannel("work").value();
          const ipc::Connection to = self.Connect(channel.Grant(self.me()).value(), "work").value();
          Shared<bool> over;
          ipc::Thread pool =
              self.Spawn({},
                         [&] {
                           ThreadPool of_it(
                               self,
                               {.low_water = 3, .high_water = 4, .increment = 4, .maximum = 4});
                           CHECK(of_it.Run(Answering(self, channel, watched)).ok());
                           over = true;
                         })
                  .value();
          watched.let_go = true;
          CHECK(to.Send({}, {}).ok());
          CHECK(WaitUntil(self, [&] { return watched.waiting == 4; }));
          CHECK(pool.Cancel().ok());
          CHECK(pool.Join().ok());
          CHECK(over);
          CHECK(watched.waiting == 0);
          return 0;
        }}});
}

TEST_CASE("a pool whose numbers make no sense is refused") {
  RunWorld({{.name = "alone", .main = [](ipc::Process& self) {
               const auto refuses = [&](const ipc::PoolOptions& options) {
                 ThreadPool pool(self, options);
                 const absl::Status run = pool.Run([](const auto&) { return false; });
                 return ipc::ErrorOf(run) == ipc::Error::kInvalidArgument;
               };
               CHECK(refuses({.low_water = 0}));
               CHECK(refuses({.low_water = 3, .high_water = 2, .maximum = 4}));
               CHECK(refuses({.low_water = 1, .high_water = 5, .maximum = 4}));
               CHECK(refuses({.increment = 0}));
               CHECK_FALSE(refuses({}));
               return 0;
             }}});
}

}  // namespace
