// Kernel calls: threads. Each is a Linux thread; the main one is that which joined.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/waits_for.h"
#include "kernel-sim/host/linux_priority.h"
#include "kernel-sim/host/process.h"

namespace parley::host {
namespace {

constexpr int64_t kUnwindNs = 2'000'000'000;  // how long ended threads may take to unwind

// How a thread that is being made finds its kernel.
struct Entry {
  Process* process;
  HostThread* thread;
};

}  // namespace

// At its priority from the first instruction: one that had to raise itself could wait for ever
// behind lower ones.
int Process::StartLinuxThread(pthread_t& thread, int linux_priority, void* (*entry)(void*),
                              void* argument) const {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (real_time_) {
    const sched_param parameter = {linux_priority};
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &parameter);
  }
  const int error = pthread_create(&thread, &attributes, entry, argument);
  pthread_attr_destroy(&attributes);
  return error;
}

HostThread* Process::MakeThread(const Scheduling& scheduling, std::string name) {
  const ThreadId id{++last_thread_};
  auto record = std::make_unique<HostThread>(id, scheduling, std::move(name),
                                             start_.low_latency ? kLowLatency : SpinBounds{});
  HostThread* thread = record.get();
  for (ThreadEntry& entry : page().threads) {
    if (entry.id.load(std::memory_order_relaxed) != 0) continue;
    thread->entry = &entry;
    for (size_t i = 0; i < entry.name.size(); ++i) {
      entry.name[i] = i < thread->name.size() && i + 1 < entry.name.size() ? thread->name[i] : '\0';
    }
    entry.base = static_cast<uint8_t>(thread->base());
    entry.effective = static_cast<uint8_t>(thread->effective());
    entry.state = static_cast<uint8_t>(ThreadState::kStopped);
    for (auto& serves : entry.serves) serves = 0;
    entry.id = Raw(id);
    break;
  }
  tracer_.NameThread(*thread);
  threads_.insert(std::move(record));
  return thread;
}

// The calling Linux thread is this one from now on.
void Process::BecomeThread(HostThread& thread) {
  t_current_ = &thread;
  thread.tid = LinuxThreadId();
  thread.pthread = pthread_self();
  if (thread.scheduling.policy == Policy::kSporadic) BeginBudget(thread);
  if (thread.entry != nullptr) thread.entry->tid = thread.tid;
  tracer_.Begin(thread);
  ApplyPriority(thread);
  ShowState(thread, ThreadState::kRunning);
}

void* Process::RunThread(void* argument) {
  const std::unique_ptr<Entry> entry(static_cast<Entry*>(argument));
  Process& process = *entry->process;
  HostThread& thread = *entry->thread;
  {
    Locked locked(process.lock_);
    process.BecomeThread(thread);
  }
  try {
    thread.routine(thread.argument);
  } catch (const ProcessEnded&) {
  } catch (...) {
    process.EndByException(std::current_exception());
  }
  {
    Locked locked(process.lock_);
    process.EndThread(thread);
    process.tracer_.End(thread);
    t_current_ = nullptr;
    process.ForgetIfUnnamed(thread);
  }
  process.live_threads_.fetch_sub(1);
  FutexWake(process.live_threads_, INT_MAX, Sharing::kPrivate);
  return nullptr;
}

void Process::EndThread(HostThread& thread) {
  while (!Inheritance::OwnedBy(thread).empty()) AbandonMutex(*Inheritance::OwnedBy(thread).back());
  timers_.Disarm(thread.budget);
  timers_.Disarm(thread.parting);
  inheritance_.EndCurrent(thread);
  const std::vector<Channel*> served = thread.serves();
  inheritance_.UnserveAll(thread);
  for (Channel* channel : served) UpdateServedLevel(static_cast<HostChannel&>(*channel));
  thread.dead = true;
  for (HostThread* joiner : std::exchange(thread.joiners, {})) {
    joiner->joining = nullptr;
    Grant(*joiner, absl::OkStatus());
  }
  ApplyChanges();
  if (thread.entry != nullptr) {
    thread.entry->state = static_cast<uint8_t>(ThreadState::kDead);
    thread.entry->id = 0;
    thread.entry = nullptr;
  }
}

void Process::ForgetIfUnnamed(HostThread& thread) {
  if (!thread.dead || thread.named) return;
  threads_.erase(threads_.find(&thread));
}

absl::StatusOr<ThreadHandle> Process::ThreadSpawn(const ThreadOptions& options,
                                                  void (*entry)(void*), void* argument) {
  PARLEY_ENTER();
  if (entry == nullptr) return MakeError(Error::kInvalidArgument, "a thread needs an entry");
  if (options.name.size() > kMaxNameBytes) {
    return MakeError(Error::kInvalidArgument, "a thread's name is too long");
  }
  const Scheduling scheduling = options.own_scheduling ? options.scheduling : current().scheduling;
  if (absl::Status valid = CheckScheduling(scheduling, ceiling_); !valid.ok()) return valid;
  Locked locked(lock_);
  if (thread_handles_.full()) return Refuse(Error::kQuotaExhausted);
  HostThread* thread = MakeThread(scheduling, options.name.empty() ? "thread" : options.name);
  thread->routine = entry;
  thread->argument = argument;
  thread->named = true;
  auto start = std::make_unique<Entry>(Entry{this, thread});
  live_threads_.fetch_add(1);
  const int priority = LinuxPriority(scheduling.priority);
  const int error = StartLinuxThread(thread->pthread, priority, &RunThread, start.get());
  if (error != 0) {
    live_threads_.fetch_sub(1);
    EndThread(*thread);
    thread->named = false;
    ForgetIfUnnamed(*thread);
    return MakeError(Error::kQuotaExhausted, absl::StrCat("no thread: ", strerror(error)));
  }
  start.release();  // the thread's
  pthread_detach(thread->pthread);
  return thread_handles_.Add(thread);
}

// L4 within the process: who joins or waits for whom.
absl::Status Process::RefuseLocalDeadlock(HostThread& thread, Thread& waits_for) {
  const std::vector<Thread*> cycle =
      FindCycle(static_cast<Thread*>(&thread), &waits_for, [](Thread* at) -> Thread* {
        if (at->id() == ThreadId::kNone) return nullptr;
        auto& other = static_cast<HostThread&>(*at);
        if (other.joining != nullptr) return other.joining;
        return other.mutex() != nullptr ? other.mutex()->owner : nullptr;
      });
  if (cycle.empty()) return absl::OkStatus();
  std::string text = "would deadlock: ";
  auto name = [&](Thread* at) {
    return absl::StrCat(birth_.name, "/", static_cast<HostThread*>(at)->name);
  };
  for (Thread* at : cycle) absl::StrAppend(&text, name(at), " -> ");
  return MakeError(Error::kWouldDeadlock, absl::StrCat(text, name(cycle.front())));
}

absl::Status Process::ThreadJoin(ThreadHandle handle, int64_t deadline_ns) {
  PARLEY_ENTER();
  absl::Status joined;
  {
    Locked locked(lock_);
    HostThread& joiner = current();
    HostThread* thread = thread_handles_.Find(handle);
    if (thread == nullptr) return Refuse(Error::kBadHandle);
    if (!thread->dead) {
      if (absl::Status safe = RefuseLocalDeadlock(joiner, *thread); !safe.ok()) return safe;
      joiner.joining = thread;
      thread->joiners.push_back(&joiner);
      joined = Block(joiner, ThreadState::kJoin, Raw(thread->id()), deadline_ns);
      if (!joined.ok() && joiner.joining != nullptr) {
        std::erase(joiner.joining->joiners, &joiner);
        joiner.joining = nullptr;
      }
    }
  }
  if (!joined.ok()) return Leave(std::move(joined));
  ThreadClose(handle);
  return absl::OkStatus();
}

absl::Status Process::ThreadCancel(ThreadHandle handle) {
  PARLEY_ENTER();
  Locked locked(lock_);
  HostThread* thread = thread_handles_.Find(handle);
  if (thread == nullptr) return Refuse(Error::kBadHandle);
  thread->cancel_pending.store(true);
  Nudge(*thread);
  return absl::OkStatus();
}

absl::Status Process::ThreadSetScheduling(ThreadHandle handle, const Scheduling& scheduling) {
  PARLEY_ENTER();
  Locked locked(lock_);
  HostThread* thread = handle == ThreadHandle::kNone ? &current() : thread_handles_.Find(handle);
  if (thread == nullptr) return Refuse(Error::kBadHandle);
  if (absl::Status valid = CheckScheduling(scheduling, ceiling_); !valid.ok()) return valid;
  if (thread->dead) return absl::OkStatus();
  thread->scheduling = scheduling;
  thread->linux_priority = -1;  // the policy may be another
  if (thread->entry != nullptr) thread->entry->base = static_cast<uint8_t>(scheduling.priority);
  inheritance_.SetBase(*thread, scheduling.priority);
  timers_.Disarm(thread->budget);
  if (scheduling.policy == Policy::kSporadic && thread->tid != 0) BeginBudget(*thread);
  ApplyChanges();
  ApplyPriority(*thread);
  return absl::OkStatus();
}

absl::StatusOr<int> Process::ThreadPriority(ThreadHandle handle) {
  PARLEY_ENTER();
  Locked locked(lock_);
  HostThread* thread = handle == ThreadHandle::kNone ? &current() : thread_handles_.Find(handle);
  if (thread == nullptr) return Refuse(Error::kBadHandle);
  return thread->effective();
}

void Process::ThreadClose(ThreadHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Locked locked(lock_);
  HostThread* thread = thread_handles_.Remove(handle);
  if (thread == nullptr) return;
  thread->named = false;
  ForgetIfUnnamed(*thread);
}

void Process::ThreadEnd(ThreadHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Locked locked(lock_);
  HostThread& joiner = current();
  HostThread* thread = thread_handles_.Find(handle);
  if (thread == nullptr || thread == &joiner) return;
  while (!thread->dead) {
    thread->cancel_pending.store(true);
    Nudge(*thread);
    joiner.joining = thread;
    thread->joiners.push_back(&joiner);
    const absl::Status joined = Block(joiner, ThreadState::kJoin, Raw(thread->id()), kNever);
    if (joined.ok()) continue;
    std::erase(thread->joiners, &joiner);
    joiner.joining = nullptr;
    if (IsOver(joiner)) return;
  }
  thread_handles_.Remove(handle);
  thread->named = false;
  ForgetIfUnnamed(*thread);
}

// They unwind at their next kernel call; one that makes none is left to the process's exit.
void Process::EndOtherThreads() noexcept {
  if (!EnterQuietly()) return;
  {
    Locked locked(lock_);
    ender_ = &current();
    ending_ = true;
    for (const auto& thread : threads_) {
      if (thread->dead || thread.get() == ender_) continue;
      Nudge(*thread);
    }
  }
  const int64_t until = MonotonicNs() + kUnwindNs;
  for (;;) {
    const uint32_t live = live_threads_.load();
    if (live == 0 || MonotonicNs() >= until) return;
    FutexWait(live_threads_, live, until, Sharing::kPrivate);
  }
}

}  // namespace parley::host
