// A pool of threads that all do the same.
#include "ipc/thread_pool.h"

#include <utility>

#include "ipc/error.h"
#include "libipc/src/held_mutex.h"

namespace ipc {

// Invariants, with the lock held: all_ counts the thread that called Run and the workers that are
// not over; waiting_ those of them that have no work; all_ <= maximum.
struct ThreadPool::Worker {
  std::optional<Thread> thread;
  bool over = false;  // it has left the pool, and is only to be joined
};

ThreadPool::ThreadPool(Process& self, const PoolOptions& options)
    : self_(self), options_(options) {}
ThreadPool::~ThreadPool() = default;

absl::Status ThreadPool::Run(Turn turn) {
  const bool sane = 1 <= options_.low_water && options_.low_water <= options_.high_water &&
                    options_.high_water <= options_.maximum && options_.increment >= 1;
  if (!sane) {
    return MakeStatus(Error::kInvalidArgument,
                      "a pool needs 1 <= low_water <= high_water <= maximum, and increment >= 1");
  }
  turn_ = std::move(turn);
  if (options_.maximum > 1) {
    auto mutex = self_.CreateMutex();
    if (!mutex.ok()) return mutex.status();
    mutex_.emplace(*std::move(mutex));
  }
  Work(nullptr);
  std::list<Worker> leaving;  // without the lock: who is joined may need it to leave
  {
    const HeldMutex held(mutex_ ? &*mutex_ : nullptr);
    ending_ = true;
    leaving.swap(workers_);
  }
  leaving.clear();  // cancels and joins them
  return absl::OkStatus();
}

void ThreadPool::Work(Worker* worker) {
  const std::function<void()> busy = [this] { BecomeBusy(); };
  while (turn_(busy) && Rest(worker)) {
  }
}

// After a turn: false if there are enough that wait, or the pool is over. (A worker whose cancel
// came while it had work may have taken it there.)
bool ThreadPool::Rest(Worker* worker) {
  if (!mutex_) return true;
  const HeldMutex held(&*mutex_);
  if (ending_) return false;
  if (worker != nullptr && waiting_ >= options_.high_water) {
    worker->over = true;
    --all_;
    return false;
  }
  ++waiting_;
  return true;
}

void ThreadPool::BecomeBusy() {
  if (!mutex_) return;
  const HeldMutex held(&*mutex_);
  if (--waiting_ >= options_.low_water || ending_) return;
  workers_.remove_if([](const Worker& worker) { return worker.over; });
  for (int i = 0; i < options_.increment && all_ < options_.maximum; ++i) {
    Worker& worker = workers_.emplace_back();
    auto thread = self_.Spawn({.name = "pool"}, [this, &worker] { Work(&worker); });
    if (!thread.ok()) {
      workers_.pop_back();
      return;
    }
    worker.thread.emplace(*std::move(thread));
    ++all_;
    ++waiting_;
  }
}

}  // namespace ipc
