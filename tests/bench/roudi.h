// iceoryx's daemon, RouDi, in a process of ours: it owns the memory that iceoryx programs share.
#ifndef PARLEY_TESTS_BENCH_ROUDI_H_
#define PARLEY_TESTS_BENCH_ROUDI_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"

namespace parley_bench {

// For processes of iceoryx alone: it reports its doings on every C++ stream, and goes on
// reporting when its daemon is gone. What goes wrong, the status and Fatal say.
void SilenceIceoryx();

// There can be one on a machine, since its names are fixed. Whatever ends it, it leaves no socket
// and no memory behind, of itself or of programs whose names start with `setup.address`.
class RouDi {
 public:
  // Unavailable: another is running.
  static absl::StatusOr<std::unique_ptr<RouDi>> Start(const Setup& setup);
  ~RouDi();

 private:
  explicit RouDi(const Setup& setup);

  const pid_t owner_ = getpid();
  const std::string address_;
  Shared<std::atomic<bool>> ready_;
  std::unique_ptr<Child> process_;
};

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_ROUDI_H_
