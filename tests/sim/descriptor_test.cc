// Descriptors on the simulated kernel: an input from outside, and otherwise as repeatable as all.
#include <dirent.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ipc/dispatcher.h"
#include "tests/support/pipe.h"
#include "tests/support/world.h"

namespace {

using tests::Pipe;

size_t CountDescriptors() {
  size_t count = 0;
  DIR* open = opendir("/proc/self/fd");
  while (readdir(open) != nullptr) ++count;
  closedir(open);
  return count;
}

// A channel on which the pipe is watched.
struct Watcher {
  Watcher(ipc::Channel on, const Pipe& pipe)
      : channel(std::move(on)),
        dispatcher(channel),
        watch(dispatcher.Watch(pipe.reader(), ipc::Readiness::kReadable, 30).value()) {}
  const ipc::Channel channel;
  const ipc::Dispatcher dispatcher;
  const ipc::DescriptorWatch watch;
};

// Three threads of one priority write in whatever order is chosen; a fourth one reads.
parley::RunReport RunWriters(const parley::ChoiceSpec& choices) {
  const Pipe pipe;
  const auto main = [&](ipc::Process& self) {
    const Watcher watcher(self.CreateChannel("own").value(), pipe);
    std::vector<ipc::Thread> writers;
    for (int i = 0; i < 3; ++i) {
      const auto write = [&self, &pipe, i] {
        self.Compute(absl::Microseconds(30 + i));
        pipe.Put();
        self.Mark("written");
      };
      writers.push_back(self.Spawn({}, write).value());
    }
    for (int taken = 0; taken < 3; ++taken) {
      ipc::Dispatched next = watcher.dispatcher.Wait().value();
      CHECK(next.ready()->Is(watcher.watch));
      pipe.Take();
    }
    for (ipc::Thread& writer : writers) CHECK(writer.Join().ok());
    return 0;
  };
  parley::SimulationOptions options;
  options.cpus = 2;
  options.choices = choices;
  options.compute_jitter = 2;
  options.hash_trace = true;
  return tests::RunWorld({{.name = "main", .main = main, .scheduling = {.priority = 20}}}, options);
}

TEST_CASE("a schedule with a watched descriptor is replayed, event by event") {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    parley::ChoiceSpec random;
    random.strategy = parley::ChoiceSpec::Strategy::kRandom;
    random.seed = seed;
    const parley::RunReport first = RunWriters(random);
    parley::ChoiceSpec replay;
    replay.strategy = parley::ChoiceSpec::Strategy::kReplay;
    replay.script = first.choices;
    const parley::RunReport again = RunWriters(replay);
    CHECK_FALSE(again.misfit);
    CHECK(again.trace_hash == first.trace_hash);
    hashes.insert(first.trace_hash);
  }
  CHECK(hashes.size() > 1);
}

TEST_CASE("a server waits in real time for a device while its client is blocked") {
  const Pipe pipe;
  std::atomic<bool> asked = false;
  std::jthread device([&] {
    asked.wait(false);
    pipe.Put();
  });
  tests::RunWorld({{.name = "server",
                    .main =
                        [&](ipc::Process& self) {
                          const Watcher watcher(self.Attach("/device").value(), pipe);
                          ipc::Dispatched request = watcher.dispatcher.Wait().value();
                          asked = true;
                          asked.notify_one();
                          CHECK(watcher.dispatcher.Wait()->ready() != nullptr);
                          return request.message()->Reply().ok() ? 0 : 1;
                        }},
                   {.name = "client", .main = [](ipc::Process& self) {
                      const ipc::Connection device = self.Open("/device", absl::Seconds(1)).value();
                      return device.Send({}, {}).ok() ? 0 : 1;
                    }}});
}

TEST_CASE("what comes in preempts who runs below it") {
  const Pipe pipe;
  std::string order;
  tests::RunWorld({{.name = "server",
                    .main =
                        [&](ipc::Process& self) {
                          const Watcher watcher(self.CreateChannel("own").value(), pipe);
                          CHECK(watcher.dispatcher.Wait().ok());
                          order += 's';
                          return 0;
                        },
                    .scheduling = {.priority = 30}},
                   {.name = "writer", .main = [&](ipc::Process& self) {
                      order += 'a';
                      pipe.Put();
                      self.Compute(absl::Milliseconds(1));
                      order += 'b';
                      return 0;
                    }}});
  CHECK(order == "asb");
}

TEST_CASE("a process that is killed leaves no watch behind") {
  const size_t before = CountDescriptors();
  const Pipe pipe;
  size_t watched = 0, killed = 0;
  tests::RunWorld({{.name = "watcher",
                    .main =
                        [&](ipc::Process& self) {
                          const Watcher watcher(self.CreateChannel("own").value(), pipe);
                          return watcher.dispatcher.Wait().ok() ? 0 : 1;
                        },
                    .only_program = true},
                   {.name = "parent", .main = [&](ipc::Process& self) {
                      ipc::Child child = self.Start("watcher").value();
                      self.Sleep(absl::Milliseconds(1)).IgnoreError();
                      watched = CountDescriptors();
                      CHECK(child.Kill().ok());
                      CHECK(child.Wait().ok());
                      killed = CountDescriptors();
                      pipe.Put();  // nobody hears of it
                      return 0;
                    }}});
  CHECK(watched == before + 3);
  CHECK(killed == before + 2);
}

}  // namespace
