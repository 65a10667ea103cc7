// A pool of threads that all do the same: receive and serve. It grows when few of them wait, and
// shrinks when many do.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_THREAD_POOL_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_THREAD_POOL_H_

#include <functional>
#include <list>
#include <optional>

#include "absl/status/status.h"
#include "ipc/process.h"
#include "ipc/thread.h"

namespace ipc {

// Numbers of threads: 1 <= low_water <= high_water <= maximum, increment >= 1.
struct PoolOptions {
  int low_water = 1;   // with fewer waiting, `increment` more are started
  int high_water = 1;  // with more waiting, whoever gets done ends (but for the caller of Run)
  int increment = 1;
  int maximum = 1;  // of them all
};

// Threads: Run by one thread, once.
class ThreadPool {
 public:
  // What a thread of the pool does over and over: wait for work, tell the pool by `busy()` once it
  // has some, and do it. False: there will be no more.
  using Turn = std::function<bool(const std::function<void()>& busy)>;

  ThreadPool(Process& self, const PoolOptions& options);
  ~ThreadPool();

  // Runs turns, on the calling thread and on those it starts, until the caller's returns false;
  // then all others are cancelled and joined. A thread that cannot be started is done without.
  // kInvalidArgument: options that make no sense. kQuotaExhausted: no memory for its lock.
  absl::Status Run(Turn turn);

 private:
  struct Worker;
  void Work(Worker* worker);
  void BecomeBusy();
  bool Rest(Worker* worker);

  Process& self_;
  const PoolOptions options_;
  Turn turn_;
  std::optional<Mutex> mutex_;  // guards what follows; none for a pool of one
  std::list<Worker> workers_;
  int waiting_ = 1, all_ = 1;  // the caller of Run
  bool ending_ = false;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_THREAD_POOL_H_
