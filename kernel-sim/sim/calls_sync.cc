// Kernel calls: mutexes and condition variables.
//
// An unlock hands the mutex over to the waiter of the highest priority, longest waiting within it,
// so that nobody can take it in between.
#include "kernel-sim/sim/calls.h"

namespace parley::sim {

absl::StatusOr<MutexHandle> Calls::MutexCreate() {
  PARLEY_ENTER();
  if (process_.mutexes.full()) return Refuse(Error::kQuotaExhausted);
  return process_.mutexes.Add(
      process_.mutex_records.insert(std::make_unique<SimMutex>()).first->get());
}

// The mutex is taken: waits until it is handed over.
absl::Status Calls::WaitForMutex(SimThread& thread, SimMutex& mutex, int64_t deadline_ns) {
  sim_.BeginWait(thread, ThreadState::kMutex, deadline_ns);
  sim_.inheritance().WaitFor(thread, mutex);
  return sim_.EndWait(thread);
}

absl::Status Calls::MutexLock(MutexHandle handle, int64_t deadline_ns) {
  PARLEY_ENTER();
  SimThread& thread = sim_.current();
  SimMutex* mutex = process_.mutexes.Find(handle);
  if (mutex == nullptr) return Refuse(Error::kBadHandle);
  if (mutex->abandoned) return Simulation::AbandonedMutexError();
  if (mutex->owner == &thread) {
    return MakeError(Error::kWouldDeadlock, "the caller holds the mutex already");
  }
  if (mutex->owner == nullptr) {
    sim_.inheritance().Own(thread, *mutex);
    return absl::OkStatus();
  }
  auto& owner = static_cast<SimThread&>(*mutex->owner);
  if (absl::Status safe = sim_.RefuseDeadlock(thread, owner); !safe.ok()) return safe;
  if (deadline_ns <= sim_.now()) return Refuse(Error::kDeadline);
  if (std::exchange(thread.cancel_pending, false)) return Refuse(Error::kCancelled);
  return WaitForMutex(thread, *mutex, deadline_ns);
}

// REQUIRES: the current thread owns it.
void Calls::HandOver(SimMutex& mutex) {
  sim_.inheritance().Disown(mutex);
  LevelNode* node = mutex.waiters.Front();
  if (node == nullptr) return;
  auto& next = static_cast<SimThread&>(Thread::FromMutexEntry(*node));
  sim_.inheritance().StopWaiting(next);
  sim_.inheritance().Own(next, mutex);
  next.relock = nullptr;
  sim_.Wake(next, std::exchange(next.relock_status, absl::OkStatus()));
}

absl::Status Calls::MutexUnlock(MutexHandle handle) {
  if (absl::Status entered = EnterFromDestructor(); !entered.ok()) return entered;
  SimMutex* mutex = process_.mutexes.Find(handle);
  if (mutex == nullptr) return Refuse(Error::kBadHandle);
  if (mutex->owner != &sim_.current()) {
    return MakeError(Error::kNotPermitted, "the caller does not hold the mutex");
  }
  HandOver(*mutex);
  Leave();
  return absl::OkStatus();
}

void Calls::MutexDestroy(MutexHandle handle) noexcept {
  if (!EnterQuietly()) return;
  SimMutex* mutex = process_.mutexes.Remove(handle);
  if (mutex == nullptr) return;
  if (mutex->owner != nullptr) sim_.AbandonMutex(*mutex);
  process_.mutex_records.erase(process_.mutex_records.find(mutex));
  Leave();
}

absl::StatusOr<CondVarHandle> Calls::CondVarCreate() {
  PARLEY_ENTER();
  if (process_.conditions.full()) return Refuse(Error::kQuotaExhausted);
  return process_.conditions.Add(
      process_.condition_records.insert(std::make_unique<CondVar>()).first->get());
}

absl::Status Calls::CondVarWait(CondVarHandle handle, MutexHandle mutex_handle,
                                int64_t deadline_ns) {
  PARLEY_ENTER();
  SimThread& thread = sim_.current();
  CondVar* condition = process_.conditions.Find(handle);
  SimMutex* mutex = process_.mutexes.Find(mutex_handle);
  if (condition == nullptr || mutex == nullptr) return Refuse(Error::kBadHandle);
  if (mutex->owner != &thread) {
    return MakeError(Error::kNotPermitted, "the caller does not hold the mutex");
  }
  if (deadline_ns <= sim_.now()) return Refuse(Error::kDeadline);
  if (std::exchange(thread.cancel_pending, false)) return Refuse(Error::kCancelled);
  thread.condition = condition;
  thread.relock = mutex;
  sim_.BeginWait(thread, ThreadState::kCondVar, deadline_ns);
  condition->waiters.PushBack(thread.condition_node, thread.effective());
  HandOver(*mutex);
  return sim_.EndWait(thread);
}

absl::Status Calls::CondVarSignal(CondVarHandle handle, bool all) {
  PARLEY_ENTER();
  CondVar* condition = process_.conditions.Find(handle);
  if (condition == nullptr) return Refuse(Error::kBadHandle);
  while (LevelNode* node = condition->waiters.Front()) {
    condition->waiters.Remove(*node);
    sim_.Relock(*static_cast<SimThread::ConditionNode*>(node)->thread, absl::OkStatus());
    if (!all) break;
  }
  Leave();
  return absl::OkStatus();
}

void Calls::CondVarDestroy(CondVarHandle handle) noexcept {
  if (!EnterQuietly()) return;
  CondVar* condition = process_.conditions.Remove(handle);
  if (condition == nullptr) return;
  while (LevelNode* node = condition->waiters.Front()) {
    condition->waiters.Remove(*node);
    sim_.Relock(*static_cast<SimThread::ConditionNode*>(node)->thread, Refuse(Error::kBadHandle));
  }
  process_.condition_records.erase(process_.condition_records.find(condition));
  Leave();
}

}  // namespace parley::sim
