// Whom a process takes for its broker.
#include "kernel-sim/host/service.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "kernel-sim/host/child.h"

namespace parley::host {
namespace {

// A process of the same user that listens at an address until it goes.
class Squatter {
 public:
  explicit Squatter(const std::string& address) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      const UniqueFd listener = Listen(address);
      if (!listener.valid() || write(ready[1], "", 1) != 1) _exit(1);
      for (;;) pause();
    }
    close(ready[1]);
    char byte = 0;
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
  }
  ~Squatter() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Squatter(const Squatter&) = delete;
  Squatter& operator=(const Squatter&) = delete;

 private:
  pid_t pid_ = -1;
};

TEST_CASE("whoever takes a broker's address over is not taken for it") {
  const std::string address = absl::StrCat("parley-test-same-", getpid());
  UniqueFd listener = Listen(address);
  REQUIRE(listener.valid());
  const UniqueFd first = ConnectTo(address);
  REQUIRE(first.valid());
  const ucred broker = ListenerOf(first);
  CHECK(broker.pid == getpid());
  CHECK(ConnectToSame(address, broker).valid());

  listener = UniqueFd();
  CHECK_FALSE(ConnectToSame(address, broker).valid());  // nobody listens
  const Squatter squatter(address);
  CHECK(ConnectTo(address).valid());
  CHECK_FALSE(ConnectToSame(address, broker).valid());
}

}  // namespace
}  // namespace parley::host
