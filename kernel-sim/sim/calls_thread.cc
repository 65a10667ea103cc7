// Kernel calls: threads and processes.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/calls.h"

namespace parley::sim {

absl::StatusOr<ThreadHandle> Calls::ThreadSpawn(const ThreadOptions& options, void (*entry)(void*),
                                                void* argument) {
  PARLEY_ENTER();
  SimThread& maker = sim_.current();
  if (entry == nullptr) return MakeError(Error::kInvalidArgument, "a thread needs an entry");
  if (options.name.size() > kMaxNameBytes) {
    return MakeError(Error::kInvalidArgument, "a thread's name is too long");
  }
  Scheduling scheduling = options.own_scheduling ? options.scheduling : maker.scheduling();
  if (absl::Status valid = CheckScheduling(scheduling, process_.options.ceiling); !valid.ok())
    return valid;
  if (process_.thread_handles.full()) return Refuse(Error::kQuotaExhausted);
  std::string name = options.name.empty() ? "thread" : options.name;
  auto thread = sim_.MakeThread(process_, scheduling, std::move(name), entry, argument);
  if (!thread.ok()) return thread.status();
  (*thread)->named = true;
  const ThreadHandle handle = process_.thread_handles.Add(*thread);
  sim_.StartThread(**thread);
  Leave();
  return handle;
}

absl::Status Calls::ThreadJoin(ThreadHandle handle, int64_t deadline_ns) {
  PARLEY_ENTER();
  SimThread& joiner = sim_.current();
  SimThread* thread = process_.thread_handles.Find(handle);
  if (thread == nullptr) return Refuse(Error::kBadHandle);
  if (thread->state() != ThreadState::kDead) {
    if (absl::Status safe = sim_.RefuseDeadlock(joiner, *thread); !safe.ok()) return safe;
    if (deadline_ns <= sim_.now()) return Refuse(Error::kDeadline);
    if (std::exchange(joiner.cancel_pending, false)) return Refuse(Error::kCancelled);
    joiner.joining = thread;
    thread->joiners.push_back(&joiner);
    sim_.BeginWait(joiner, ThreadState::kJoin, deadline_ns);
    if (absl::Status joined = sim_.EndWait(joiner); !joined.ok()) return joined;
  }
  ThreadClose(handle);
  return absl::OkStatus();
}

absl::Status Calls::ThreadCancel(ThreadHandle handle) {
  PARLEY_ENTER();
  SimThread* thread = process_.thread_handles.Find(handle);
  if (thread == nullptr) return Refuse(Error::kBadHandle);
  sim_.Cancel(*thread);
  Leave();
  return absl::OkStatus();
}

absl::Status Calls::ThreadSetScheduling(ThreadHandle handle, const Scheduling& scheduling) {
  PARLEY_ENTER();
  SimThread* thread =
      handle == ThreadHandle::kNone ? &sim_.current() : process_.thread_handles.Find(handle);
  if (thread == nullptr) return Refuse(Error::kBadHandle);
  if (absl::Status valid = CheckScheduling(scheduling, process_.options.ceiling); !valid.ok())
    return valid;
  if (thread->state() == ThreadState::kDead) return absl::OkStatus();
  sim_.scheduler().SetScheduling(*thread, scheduling);
  Leave();
  return absl::OkStatus();
}

absl::StatusOr<int> Calls::ThreadPriority(ThreadHandle handle) {
  PARLEY_ENTER();
  SimThread* thread =
      handle == ThreadHandle::kNone ? &sim_.current() : process_.thread_handles.Find(handle);
  if (thread == nullptr) return Refuse(Error::kBadHandle);
  return thread->effective();
}

void Calls::ThreadClose(ThreadHandle handle) noexcept {
  if (!EnterQuietly()) return;
  SimThread* thread = process_.thread_handles.Remove(handle);
  if (thread == nullptr) return;
  thread->named = false;
  sim_.ForgetIfUnnamed(*thread);
}

void Calls::ThreadEnd(ThreadHandle handle) noexcept {
  if (!EnterQuietly()) return;
  SimThread& joiner = sim_.current();
  SimThread* thread = process_.thread_handles.Find(handle);
  if (thread == nullptr || thread == &joiner) return;
  while (thread->state() != ThreadState::kDead) {
    sim_.Cancel(*thread);
    joiner.joining = thread;
    thread->joiners.push_back(&joiner);
    sim_.BeginWait(joiner, ThreadState::kJoin, kNever);
    sim_.scheduler().FinishBlock();
    if (joiner.state() == ThreadState::kDead) return;
  }
  process_.thread_handles.Remove(handle);
  thread->named = false;
  sim_.ForgetIfUnnamed(*thread);
}

void Calls::EndOtherThreads() noexcept {
  if (!EnterQuietly()) return;
  sim_.EndOtherThreads(sim_.current());
  Leave();
}

absl::StatusOr<ChildHandle> Calls::ProcessSpawn(std::string_view program,
                                                const ProcessOptions& options) {
  PARLEY_ENTER();
  if (process_.children.full()) return Refuse(Error::kQuotaExhausted);
  if (options.name.size() > kMaxNameBytes) {
    return MakeError(Error::kInvalidArgument, "a process's name is too long");
  }
  auto child = sim_.MakeProcess(program, options, &process_);
  if (!child.ok()) return child.status();
  sim_.Adopt(**child, process_);
  const ChildHandle handle = process_.children.Add(*child);
  sim_.StartThread((*child)->threads.front());
  Leave();
  return handle;
}

absl::StatusOr<ExitStatus> Calls::ProcessWait(ChildHandle handle, int64_t deadline_ns) {
  PARLEY_ENTER();
  SimThread& waiter = sim_.current();
  Process* child = process_.children.Find(handle);
  if (child == nullptr) return Refuse(Error::kBadHandle);
  if (!child->ended) {
    if (deadline_ns <= sim_.now()) return Refuse(Error::kDeadline);
    if (std::exchange(waiter.cancel_pending, false)) return Refuse(Error::kCancelled);
    waiter.waiting_for = child;
    child->waiters.push_back(&waiter);
    sim_.BeginWait(waiter, ThreadState::kJoin, deadline_ns);
    if (absl::Status ended = sim_.EndWait(waiter); !ended.ok()) return ended;
  }
  return child->exit;
}

absl::Status Calls::ProcessKill(ChildHandle handle) {
  PARLEY_ENTER();
  Process* child = process_.children.Find(handle);
  if (child == nullptr) return Refuse(Error::kBadHandle);
  sim_.EndProcess(*child,
                  {ExitKind::kKilled, 128, absl::StrCat("killed by ", process_.birth.name)});
  Leave();
  return absl::OkStatus();
}

absl::StatusOr<ProcessId> Calls::ProcessIdOf(ChildHandle handle) {
  PARLEY_ENTER();
  Process* child = process_.children.Find(handle);
  if (child == nullptr) return Refuse(Error::kBadHandle);
  return child->id;
}

void Calls::ProcessClose(ChildHandle handle) noexcept {
  if (EnterQuietly()) process_.children.Remove(handle);
}

}  // namespace parley::sim
