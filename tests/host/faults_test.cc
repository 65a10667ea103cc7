// What ends a process that a fault's signal reaches (kernel-sim/host/faults.cc).
#include <signal.h>
#include <unistd.h>

#include "tests/conformance/any_kernel.h"

namespace parley::host::tests {
namespace {

// There is no instruction that would fault again.
TEST_CASE("a process to which somebody sends SIGSEGV ends by it") {
  const parley::RunReport report = ::tests::RunAny({{.name = "victim",
                                                     .main =
                                                         [](ipc::Process&) {
                                                           kill(getpid(), SIGSEGV);
                                                           return 0;
                                                         }}},
                                                   parley::HostOptions{.limit_ns = 10'000'000'000});
  CHECK(report.processes.back().name == "victim");
  CHECK(report.processes.back().exit.kind == parley::ExitKind::kFault);
}

}  // namespace
}  // namespace parley::host::tests
