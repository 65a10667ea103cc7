// How simulated processes and threads begin and end.
//
// An end has two halves. In the kernel's eyes a process ends at once: its threads are DEAD, whoever
// waited for it wakes. Then the fibers of its threads unwind one by one, so that what they own is
// destroyed; kernel calls that they make on the way fail. A fiber that cannot unwind (its stack
// overflowed, an exception met a noexcept frame) is abandoned.
#include <algorithm>
#include <exception>

#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/calls.h"
#include "kernel-sim/sim/simulation.h"

namespace parley::sim {
namespace {

constexpr int kMaxCallsAfterDeath =
    1000;  // then the fiber is abandoned: its program swallows our exception
constexpr size_t kMaxThreads = 1 << 20;

}  // namespace

absl::StatusOr<Process*> Simulation::MakeProcess(std::string_view program,
                                                 const ProcessOptions& options, Process* parent) {
  auto found = std::find_if(programs_.begin(), programs_.end(),
                            [&](const Program& other) { return other.name == program; });
  if (found == programs_.end()) {
    return MakeError(Error::kNoSuchName,
                     absl::StrCat("no program is called '", std::string(program), "'"));
  }
  const int highest = parent == nullptr ? kMaxPriority : parent->options.ceiling;
  const uint32_t uid = parent == nullptr ? 0 : parent->birth.uid;
  const uint32_t gid = parent == nullptr ? 0 : parent->birth.gid;
  if (absl::Status valid = CheckProcess(options, highest, uid, gid); !valid.ok()) return valid;

  auto process = std::make_unique<Process>();
  process->id = ProcessId{static_cast<uint32_t>(processes_.size() + 1)};
  process->program = &*found;
  process->options = options;
  if (parent != nullptr) {
    process->options.region_quota_bytes =
        std::min(options.region_quota_bytes, parent->options.region_quota_bytes);
  }
  process->birth.process = process->id;
  process->birth.virtual_time = true;
  process->birth.name = options.name.empty() ? std::string(program) : options.name;
  process->birth.arguments = options.arguments;
  process->birth.uid = options.uid.value_or(uid);
  process->birth.gid = options.gid.value_or(gid);
  process->report.name = process->birth.name;
  process->report.id = process->id;
  process->kernel = std::make_unique<Calls>(*this, *process);
  auto thread = MakeThread(*process, options.scheduling, "main", nullptr, nullptr);
  if (!thread.ok()) return thread.status();
  process->main = *thread;
  processes_.push_back(std::move(process));
  Process& made = *processes_.back();
  TellProcess(made);
  if (running_ && name_channel_ != nullptr) ConnectToNames(made);
  AssignFaults(made);
  return &made;
}

// N5: the first connection of every process but the name server itself.
void Simulation::ConnectToNames(Process& process) {
  if (&name_channel_->process == &process) return;
  process.birth.name_service =
      process.connections.Add(&MakeConnection(process, *name_channel_, CapabilityId::kNone));
}

absl::StatusOr<SimThread*> Simulation::MakeThread(Process& process, const Scheduling& scheduling,
                                                  std::string name, void (*entry)(void*),
                                                  void* argument) {
  if (slots_.size() - free_slots_.size() >= kMaxThreads) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat(kMaxThreads, " threads are all there are"));
  }
  ReapFibers();
  auto stack = stacks_.Take();
  if (!stack.ok()) return stack.status();
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  const ThreadId id{next_thread_++};
  slots_[slot] = std::make_unique<SimThread>(*this, id, slot, process, scheduling, std::move(name));
  SimThread& thread = *slots_[slot];
  thread.routine = entry;
  thread.argument = argument;
  thread.stack = *stack;
  thread.GiveFiber(std::make_unique<Fiber>(*stack, FiberMain, &thread));
  process.threads.push_back(thread);
  ++process.fibers;
  return &thread;
}

void Simulation::StartThread(SimThread& thread) {
  TellThread(thread);
  scheduler_.MakeReady(thread);
}

void Simulation::FiberMain(void* argument) {
  auto& thread = *static_cast<SimThread*>(argument);
  thread.simulation.RunProgram(thread);
}

void Simulation::RunProgram(SimThread& thread) {
  thread.started = true;
  Process& process = thread.process;
  const bool is_main = thread.routine == nullptr;
  ExitStatus exit;
  try {
    if (is_main) {
      exit.code = process.program->main(*process.kernel);
    } else {
      thread.routine(thread.argument);
    }
  } catch (const ProcessEnded&) {
  } catch (const std::exception& exception) {
    exit = {ExitKind::kException, 128, DescribeUncaught(exception)};
  } catch (...) {
    exit = {ExitKind::kException, 128, "uncaught exception that is no std::exception"};
  }
  if (!process.ended) {
    if (is_main || exit.kind != ExitKind::kReturned) {
      EndProcess(process, std::move(exit));
    } else {
      EndThread(thread);
    }
  }
  LeaveFiber(thread);
}

// Books the fiber as over. What the process had mapped goes with its last one.
void Simulation::BookFiberOver(SimThread& thread) {
  PARLEY_CHECK(!thread.fiber_over);
  thread.fiber_over = true;
  if (thread.process.main == &thread) thread.process.main = nullptr;
  over_.push_back(&thread);
  if (--thread.process.fibers == 0 && thread.process.ended) ReleaseMemory(thread.process);
}

void Simulation::LeaveFiber(SimThread& thread) {
  Process& process = thread.process;
  BookFiberOver(thread);
  if (process.ended && process.main != nullptr && !scheduler_.running_to_end()) {
    Unwind(*process.main);
  }
  scheduler_.Settle();
  scheduler_.LeaveForGood();
}

// An exception met a frame that it may not pass. The fiber cannot unwind: abandon it.
void Simulation::OnTerminate() {
  if (scheduler_.current() == nullptr) std::abort();
  SimThread& thread = current();
  if (!thread.process.ended) {
    std::string what = "std::terminate";
    if (std::exception_ptr exception = std::current_exception()) {
      try {
        std::rethrow_exception(exception);
      } catch (const std::exception& thrown) {
        absl::StrAppend(&what, " by an exception: ", thrown.what());
      } catch (...) {
        absl::StrAppend(&what, " by an exception");
      }
    }
    EndProcess(thread.process, {ExitKind::kException, 128, what});
  }
  thread.abandoned = true;
  LeaveFiber(thread);
}

// Also of a thread that was ended while its process lives (EndOtherThreads).
absl::Status Simulation::CallAfterDeath(SimThread& thread) {
  if (++thread.calls_after_death > kMaxCallsAfterDeath) {
    thread.abandoned = true;
    LeaveFiber(thread);
  }
  if (std::uncaught_exceptions() == 0) throw ProcessEnded{};
  return MakeError(Error::kProcessEnded, Describe(Error::kProcessEnded));
}

void Simulation::ReapFibers() {
  std::erase_if(over_, [&](SimThread* thread) {
    if (thread == scheduler_.current()) return false;
    thread->abandoned ? stacks_.Abandon(thread->stack) : stacks_.GiveBack(thread->stack);
    thread->GiveFiber(nullptr);
    thread->stack = {};
    ForgetIfUnnamed(*thread);
    return true;
  });
}

void Simulation::ForgetIfUnnamed(SimThread& thread) {
  if (thread.named || thread.has_fiber() || thread.state() != ThreadState::kDead) return;
  const uint32_t slot = thread.slot;
  slots_[slot].reset();
  free_slots_.push_back(slot);
}

void Simulation::Adopt(Process& child, const Process& maker) {
  child.service = child.report.service = maker.service;
  if (!child.service) ++foreground_;
}

// Takes a blocked thread out of what it waits for. It stays in its state, for the caller to change.
void Simulation::LeaveWaits(SimThread& thread) {
  switch (thread.state()) {
    case ThreadState::kReceive:
      return inheritance_.RemoveReceiver(thread);
    case ThreadState::kMutex:
      return inheritance_.StopWaiting(thread);
    case ThreadState::kCondVar:
      return thread.condition->waiters.Remove(thread.condition_node);
    case ThreadState::kJoin:
      if (thread.joining != nullptr) std::erase(thread.joining->joiners, &thread);
      if (thread.waiting_for != nullptr) std::erase(thread.waiting_for->waiters, &thread);
      thread.joining = nullptr;
      thread.waiting_for = nullptr;
      return;
    default:
      return;
  }
}

// A thread ends in the kernel's eyes, by itself or with its process.
void Simulation::EndThread(SimThread& thread) {
  if (thread.send.serial != 0) {
    EndSendOfDeadClient(thread);  // leaves it READY
  } else {
    LeaveWaits(thread);
  }
  if (thread.deadline.armed()) scheduler_.timers().Disarm(thread.deadline);
  inheritance_.EndCurrent(thread);
  inheritance_.UnserveAll(thread);
  while (!Inheritance::OwnedBy(thread).empty()) AbandonMutex(*Inheritance::OwnedBy(thread).back());
  scheduler_.Retire(thread);
  thread.process.report.cpu_ns += thread.cpu_ns();
  thread.process_hook.unlink();
  for (SimThread* joiner : std::exchange(thread.joiners, {})) {
    joiner->joining = nullptr;
    Wake(*joiner, absl::OkStatus());
  }
}

// The waiters of a mutex whose owner has ended get an error; so does everybody from now on.
void Simulation::AbandonMutex(Mutex& mutex) {
  inheritance_.Disown(mutex);
  mutex.abandoned = true;
  while (LevelNode* node = mutex.waiters.Front()) {
    auto& waiter = static_cast<SimThread&>(Thread::FromMutexEntry(*node));
    inheritance_.StopWaiting(waiter);
    Wake(waiter, AbandonedMutexError());
  }
}

absl::Status Simulation::AbandonedMutexError() {
  return MakeError(Error::kLeaseEnded, "the thread that held the mutex ended without unlocking it");
}

void Simulation::EndProcess(Process& process, ExitStatus exit) {
  if (process.ended) return;
  process.ended = true;
  process.exit = std::move(exit);
  const std::vector<SimThread*> threads = ThreadsOf(process);
  for (SimThread* thread : threads) EndThread(*thread);
  std::vector<SimChannel*> channels;
  process.channels.ForEach([&](SimChannel& channel) { channels.push_back(&channel); });
  for (SimChannel* channel : channels) DestroyChannel(*channel);
  std::vector<Connection*> connections;
  process.connections.ForEach([&](Connection& connection) { connections.push_back(&connection); });
  for (Connection* connection : connections) DropConnection(*connection);
  process.timers.ForEach([&](UserTimer& timer) { scheduler_.timers().Disarm(timer.timer); });
  process.watches = {};
  EndMemory(process);
  EndCapabilities(capabilities_.KillHolder(process.id));
  for (SimThread* waiter : std::exchange(process.waiters, {})) {
    waiter->waiting_for = nullptr;
    Wake(*waiter, absl::OkStatus());
  }
  TellExit(process);
  if (!process.service) --foreground_;
  StopIfDone();
  // The main thread unwinds last: its frames hold what the others use. See LeaveFiber.
  SimThread* current = scheduler_.current() == nullptr ? nullptr : &this->current();
  const bool from_inside = current != nullptr && &current->process == &process;
  for (SimThread* thread : threads) {
    if (thread != current && thread != process.main) Unwind(*thread);
  }
  if (!from_inside && process.main != nullptr) Unwind(*process.main);
}

// Runs the destructors on the stack of a dead thread.
void Simulation::Unwind(SimThread& thread) {
  if (thread.fiber_over) return;
  if (thread.started) {
    scheduler_.RunToEnd(thread);
  } else {
    BookFiberOver(thread);
  }
}

void Simulation::EndOtherThreads(SimThread& survivor) {
  std::vector<SimThread*> others = ThreadsOf(survivor.process);
  std::erase(others, &survivor);
  for (SimThread* thread : others) EndThread(*thread);
  for (SimThread* thread : others) Unwind(*thread);
}

}  // namespace parley::sim
