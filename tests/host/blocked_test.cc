// What a blocked thread takes of a CPU: nothing, once its bounded spin is over.
#include <sys/resource.h>
#include <sys/time.h>

#include "kernel-sim/host/futex.h"
#include "tests/conformance/any_kernel.h"

namespace parley::host::tests {
namespace {

// Long beside every spin and beside the wait before a sender looks for a deadlock.
constexpr absl::Duration kBeforeReceive = absl::Milliseconds(50);
constexpr absl::Duration kBeforeReply = absl::Milliseconds(400);
constexpr absl::Duration kPatience = absl::Seconds(20);

int64_t CpuTimeNs() {
  rusage used = {};
  CHECK(getrusage(RUSAGE_THREAD, &used) == 0);
  auto ns = [](const timeval& time) { return time.tv_sec * 1'000'000'000 + time.tv_usec * 1'000; };
  return ns(used.ru_utime) + ns(used.ru_stime);
}

int ServeSlowly(ipc::Process& self, const char* path) {
  ipc::Channel channel = self.Attach(path, {}).value();
  CHECK(self.Sleep(kBeforeReceive).ok());
  ipc::Received received = channel.Receive().value();
  CHECK(self.Sleep(kBeforeReply).ok());
  CHECK(received.message()->Reply().ok());
  return 0;
}

TEST_CASE("a thread that could close a circle sleeps until its reply, received or not") {
  // The middle one serves a client while it sends, so its send looks for a deadlock.
  ::tests::RunWorld({{.name = "last",
                      .main = [](ipc::Process& self) { return ServeSlowly(self, "/last"); },
                      .service = true},
                     {.name = "middle",
                      .main =
                          [](ipc::Process& self) {
                            ipc::Channel channel = self.Attach("/middle", {}).value();
                            ipc::Connection last = self.Open("/last", kPatience).value();
                            ipc::Received received = channel.Receive().value();
                            const int64_t began = MonotonicNs(), used = CpuTimeNs();
                            CHECK(last.Send({}, {}).ok());
                            CHECK(CpuTimeNs() - used < (MonotonicNs() - began) / 4);
                            CHECK(received.message()->Reply().ok());
                            return 0;
                          },
                      .service = true},
                     {.name = "client",
                      .main =
                          [](ipc::Process& self) {
                            CHECK(self.Open("/middle", kPatience).value().Send({}, {}).ok());
                            return 0;
                          }}},
                    parley::HostOptions{.limit_ns = 120'000'000'000});
}

}  // namespace
}  // namespace parley::host::tests
