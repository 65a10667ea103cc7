// Kernel calls: mutexes and condition variables.
//
// An unlock hands the mutex over to the waiter of the highest priority, longest waiting within it,
// so that nobody can take it in between.
#include "kernel-sim/host/process.h"

namespace parley::host {
namespace {

absl::Status AbandonedMutexError() {
  return MakeError(Error::kLeaseEnded, "the thread that held the mutex ended without unlocking it");
}

}  // namespace

absl::StatusOr<MutexHandle> Process::MutexCreate() {
  PARLEY_ENTER();
  Locked locked(lock_);
  if (mutex_handles_.full()) return Refuse(Error::kQuotaExhausted);
  return mutex_handles_.Add(mutex_records_.insert(std::make_unique<HostMutex>()).first->get());
}

absl::Status Process::MutexLock(MutexHandle handle, int64_t deadline_ns) {
  PARLEY_ENTER();
  absl::Status owned;
  {
    Locked locked(lock_);
    HostThread& thread = current();
    HostMutex* mutex = mutex_handles_.Find(handle);
    if (mutex == nullptr) return Refuse(Error::kBadHandle);
    if (mutex->abandoned) return AbandonedMutexError();
    if (mutex->owner == &thread) {
      return MakeError(Error::kWouldDeadlock, "the caller holds the mutex already");
    }
    if (mutex->owner == nullptr) {
      inheritance_.Own(thread, *mutex);
      ApplyChanges();
      return absl::OkStatus();
    }
    if (absl::Status safe = RefuseLocalDeadlock(thread, *mutex->owner); !safe.ok()) return safe;
    owned = WaitForMutex(thread, *mutex, deadline_ns);
  }
  return Leave(std::move(owned));
}

// The mutex is taken: waits until it is handed over.
absl::Status Process::WaitForMutex(HostThread& thread, HostMutex& mutex, int64_t deadline_ns) {
  inheritance_.WaitFor(thread, mutex);
  ApplyChanges();
  const uint32_t owner = Raw(mutex.owner->id());
  absl::Status status = Block(thread, ThreadState::kMutex, owner, deadline_ns);
  if (thread.mutex() != nullptr) inheritance_.StopWaiting(thread);  // it was not handed over
  ApplyChanges();
  return status;
}

// REQUIRES: the current thread owns it.
void Process::HandOver(HostMutex& mutex) {
  inheritance_.Disown(mutex);
  if (LevelNode* node = mutex.waiters.Front()) {
    auto& next = static_cast<HostThread&>(Thread::FromMutexEntry(*node));
    inheritance_.StopWaiting(next);
    inheritance_.Own(next, mutex);
    Grant(next, absl::OkStatus());
  }
  ApplyChanges();
}

absl::Status Process::MutexUnlock(MutexHandle handle) {
  if (absl::Status entered = EnterFromDestructor(); !entered.ok()) return entered;
  Locked locked(lock_);
  HostMutex* mutex = mutex_handles_.Find(handle);
  if (mutex == nullptr) return Refuse(Error::kBadHandle);
  if (mutex->owner != &current()) {
    return MakeError(Error::kNotPermitted, "the caller does not hold the mutex");
  }
  HandOver(*mutex);
  return absl::OkStatus();
}

// The waiters of a mutex whose owner has ended get an error; so does everybody from now on.
void Process::AbandonMutex(Mutex& mutex) {
  inheritance_.Disown(mutex);
  mutex.abandoned = true;
  while (LevelNode* node = mutex.waiters.Front()) {
    auto& waiter = static_cast<HostThread&>(Thread::FromMutexEntry(*node));
    inheritance_.StopWaiting(waiter);
    Grant(waiter, AbandonedMutexError());
  }
}

void Process::MutexDestroy(MutexHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Locked locked(lock_);
  HostMutex* mutex = mutex_handles_.Remove(handle);
  if (mutex == nullptr) return;
  if (mutex->owner != nullptr) AbandonMutex(*mutex);
  ApplyChanges();
  mutex_records_.erase(mutex_records_.find(mutex));
}

absl::StatusOr<CondVarHandle> Process::CondVarCreate() {
  PARLEY_ENTER();
  Locked locked(lock_);
  if (condition_handles_.full()) return Refuse(Error::kQuotaExhausted);
  return condition_handles_.Add(
      condition_records_.insert(std::make_unique<CondVar>()).first->get());
}

absl::Status Process::CondVarWait(CondVarHandle handle, MutexHandle mutex_handle,
                                  int64_t deadline_ns) {
  PARLEY_ENTER();
  absl::Status woken;
  {
    Locked locked(lock_);
    HostThread& thread = current();
    CondVar* condition = condition_handles_.Find(handle);
    HostMutex* mutex = mutex_handles_.Find(mutex_handle);
    if (condition == nullptr || mutex == nullptr) return Refuse(Error::kBadHandle);
    if (mutex->owner != &thread) {
      return MakeError(Error::kNotPermitted, "the caller does not hold the mutex");
    }
    if (deadline_ns <= Now()) return Refuse(Error::kDeadline);
    if (TakeCancel(thread)) return Refuse(Error::kCancelled);
    thread.condition = condition;
    condition->waiters.PushBack(thread.condition_node, thread.effective());
    HandOver(*mutex);
    woken = Block(thread, ThreadState::kCondVar, 0, deadline_ns);
    if (thread.condition != nullptr) {
      condition->waiters.Remove(thread.condition_node);
      thread.condition = nullptr;
    }
    if (IsOver(thread)) return woken;
    const absl::Status locked_again = LockAgain(thread, mutex_handle);
    if (!locked_again.ok()) woken = locked_again;
  }
  return Leave(std::move(woken));
}

// Whatever ended the wait, the caller holds the mutex afterwards. A cancel counts for the next call
// that would block.
absl::Status Process::LockAgain(HostThread& thread, MutexHandle handle) {
  bool cancelled = false;
  absl::Status owned = Refuse(Error::kCancelled);
  while (ErrorOf(owned) == Error::kCancelled) {
    HostMutex* mutex = mutex_handles_.Find(handle);
    if (mutex == nullptr) return Refuse(Error::kBadHandle);
    if (mutex->abandoned) return AbandonedMutexError();
    if (mutex->owner == nullptr) {
      inheritance_.Own(thread, *mutex);
      ApplyChanges();
      owned = absl::OkStatus();
    } else {
      owned = WaitForMutex(thread, *mutex, kNever);
      if (ErrorOf(owned) == Error::kCancelled) cancelled = true;
    }
  }
  if (cancelled) thread.cancel_pending.store(true);
  return owned;
}

// Takes the waiter of the highest priority out of the condition, to lock its mutex again.
void Process::WakeOne(CondVar& condition, absl::Status status) {
  LevelNode* node = condition.waiters.Front();
  condition.waiters.Remove(*node);
  HostThread& thread = *static_cast<HostThread::ConditionNode*>(node)->thread;
  thread.condition = nullptr;
  Grant(thread, std::move(status));
}

absl::Status Process::CondVarSignal(CondVarHandle handle, bool all) {
  PARLEY_ENTER();
  Locked locked(lock_);
  CondVar* condition = condition_handles_.Find(handle);
  if (condition == nullptr) return Refuse(Error::kBadHandle);
  while (condition->waiters.Front() != nullptr) {
    WakeOne(*condition, absl::OkStatus());
    if (!all) break;
  }
  return absl::OkStatus();
}

void Process::CondVarDestroy(CondVarHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Locked locked(lock_);
  CondVar* condition = condition_handles_.Remove(handle);
  if (condition == nullptr) return;
  while (condition->waiters.Front() != nullptr) WakeOne(*condition, Refuse(Error::kBadHandle));
  condition_records_.erase(condition_records_.find(condition));
}

}  // namespace parley::host
