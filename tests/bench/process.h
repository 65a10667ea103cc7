// Processes: a child that never outlives its parent, memory shared with it, and how a child fails.
#ifndef PARLEY_TESTS_BENCH_PROCESS_H_
#define PARLEY_TESTS_BENCH_PROCESS_H_

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <new>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "tests/bench/peer.h"

namespace parley_bench {

// Ends this process: one line on stderr, exit status 1.
[[noreturn]] void Fatal(const std::string& what);
// The same with errno's text, unless `ok`.
void Require(bool ok, const char* what);

std::vector<int> AllowedCpus();
// Where the processes of a placement run; empty: anywhere.
std::vector<int> ServerCpus(Placement placement);
std::vector<int> ClientCpus(Placement placement);
// Keeps the calling thread on `cpus`, unless they are empty.
void RunOn(const std::vector<int>& cpus);

// One T in memory that children share with their parent, zeroed before T's constructor runs.
// `tail` more bytes follow it.
template <typename T>
class Shared {
 public:
  explicit Shared(size_t tail = 0) : bytes_(sizeof(T) + tail) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    Require(memory != MAP_FAILED, "mmap");
    object_ = new (memory) T;
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { munmap(object_, bytes_); }

  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  size_t bytes_;
  T* object_;
};

// A forked process. It dies with its parent, and leaves no core file.
class Child {
 public:
  // `body` runs in the child, on `cpus` (empty: anywhere); its return is the child's exit. The
  // child gets `death_signal` when the parent has died.
  Child(const std::vector<int>& cpus, const std::function<void()>& body,
        int death_signal = SIGKILL);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // In the parent: sends SIGTERM, and SIGKILL if that was not enough. In a child: nothing.
  ~Child();

  // Readable once the child has ended.
  int ended_fd() const { return pidfd_; }
  bool EndedWithin(int timeout_ms) const;

 private:
  const pid_t parent_ = getpid();
  pid_t pid_ = -1;
  int pidfd_ = -1;
};

// In the parent: SIGINT and SIGTERM end the waiting below, and nothing else.
void TakeSignals();

// In the parent: waits until `done`, which is asked every `tick_ms` and when one of `children` has
// ended. Unavailable: one has, and `done` is still false. DeadlineExceeded. Cancelled: a signal.
absl::Status WaitUntil(absl::Span<const Child* const> children, const std::function<bool()>& done,
                       int limit_ms, int tick_ms);

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_PROCESS_H_
