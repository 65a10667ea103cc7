// Threads, scheduling, and the locks between threads of one process (P6, P7).
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_THREAD_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_THREAD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "ipc/time.h"

namespace parley {
class Kernel;
}

namespace ipc {

// P7. Policies matter between threads of equal priority.
enum class Policy : uint8_t {
  kFifo,        // runs until it blocks
  kRoundRobin,  // to the tail of its level after a slice
  kSporadic,    // at `priority` for a budget in each period, else at `low_priority`
};

struct Scheduling {
  Policy policy = Policy::kFifo;
  int priority = 10;                             // base: 1 to 255, 255 highest
  absl::Duration slice = absl::Milliseconds(4);  // kRoundRobin
  absl::Duration budget = absl::ZeroDuration();  // kSporadic
  absl::Duration period = absl::ZeroDuration();  // kSporadic
  int low_priority = 1;                          // kSporadic
  int max_replenishments = 8;                    // kSporadic: pending at a time, at most 40
};

struct ThreadOptions {
  std::string name = {};                      // for people
  std::optional<Scheduling> scheduling = {};  // default: its maker's
};

// A running thread. Destroying the handle cancels the thread (D5) and joins it: no thread outlives
// what it uses. A thread that never blocks is waited for.
class [[nodiscard]] Thread {
 public:
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread();

  // Blocks (JOIN) until it has ended; the handle is empty then. kDeadline, kCancelled,
  // kWouldDeadlock (L4).
  absl::Status Join(Deadline deadline = {});
  // D5: counts as the passing of the deadline of what it blocks in now, or of its next call that
  // would block.
  absl::Status Cancel();
  // P6: kNotPermitted above the process's ceiling. kInvalidArgument.
  absl::Status SetScheduling(const Scheduling& scheduling);
  // P3: the effective priority.
  absl::StatusOr<int> priority() const;

 private:
  friend class Process;
  Thread(parley::Kernel* kernel, uint32_t handle) : kernel_(kernel), handle_(handle) {}
  parley::Kernel* kernel_;
  uint32_t handle_;
};

// Mutual exclusion with priority inheritance: the owner runs at least at the level of its highest
// waiter, transitively. Not recursive. An unlock hands over to the highest, longest waiting. Any
// thread of the process.
class [[nodiscard]] Mutex {
 public:
  Mutex(Mutex&& other) noexcept;
  ~Mutex();  // waiters get kLeaseEnded

  // Blocks (MUTEX). kWouldDeadlock: the caller holds it, or a circle would close. kLeaseEnded: its
  // owner ended without unlocking. kDeadline, kCancelled.
  absl::Status Lock(Deadline deadline = {});
  absl::Status Unlock();  // kNotPermitted: the caller does not hold it

 private:
  friend class Process;
  friend class CondVar;
  Mutex(parley::Kernel* kernel, uint32_t handle) : kernel_(kernel), handle_(handle) {}
  parley::Kernel* kernel_;
  uint32_t handle_;
};

// Holds a mutex for a scope. Check ok() unless the lock cannot fail (no deadline, never cancelled).
class [[nodiscard]] MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) : mutex_(mutex), status_(mutex.Lock()) {}
  ~MutexLock() {
    if (status_.ok()) mutex_.Unlock().IgnoreError();  // held: cannot fail
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }

 private:
  Mutex& mutex_;
  absl::Status status_;
};

class [[nodiscard]] CondVar {
 public:
  CondVar(CondVar&& other) noexcept;
  ~CondVar();

  // Unlocks, blocks (CONDVAR), and has locked again when it returns, whatever it returns. No
  // spurious wake-ups. kDeadline, kCancelled, kNotPermitted: the caller does not hold the mutex.
  absl::Status Wait(Mutex& mutex, Deadline deadline = {});
  absl::Status Signal();  // wakes the waiter of the highest priority, longest waiting
  absl::Status SignalAll();

 private:
  friend class Process;
  CondVar(parley::Kernel* kernel, uint32_t handle) : kernel_(kernel), handle_(handle) {}
  parley::Kernel* kernel_;
  uint32_t handle_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_THREAD_H_
