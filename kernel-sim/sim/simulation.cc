// A simulation's start, run and end; waiting and waking; timers.
#include "kernel-sim/sim/simulation.h"

#include <sys/mman.h>

#include <algorithm>
#include <exception>
#include <limits>

#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/calls.h"

namespace parley::sim {
namespace {

constexpr int kMaxCpus = 64;
constexpr int kMadvWipeOnFork = 18;
constexpr size_t kMinStackBytes = 16 << 10;

// For the terminate handler alone, which gets no argument.
thread_local Simulation* running_simulation = nullptr;

volatile uint32_t* MakeAlivePage() {
  void* page =
      mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  PARLEY_CHECK(page != MAP_FAILED && madvise(page, kPageBytes, kMadvWipeOnFork) == 0);
  auto* word = static_cast<volatile uint32_t*>(page);
  *word = 1;
  return word;
}

// Routes std::terminate to the running simulation: a program's exception that no frame may pass
// ends its process.
class TerminateScope {
 public:
  explicit TerminateScope(Simulation& simulation) : previous_(running_simulation) {
    running_simulation = &simulation;
    handler_ = std::set_terminate([] {
      if (running_simulation == nullptr) std::abort();
      running_simulation->OnTerminate();
    });
  }
  ~TerminateScope() {
    std::set_terminate(handler_);
    running_simulation = previous_;
  }

 private:
  Simulation* previous_;
  std::terminate_handler handler_;
};

}  // namespace

Simulation::Simulation(const SimulationOptions& options, std::vector<Program> programs)
    : options_(options),
      programs_(std::move(programs)),
      alive_page_(MakeAlivePage()),
      chooser_(options.choices),
      scheduler_(options.cpus, chooser_, inheritance_, *this),
      stacks_(options.stack_bytes),
      token_source_(options.seed) {
  SetTelling(options.trace != nullptr || options.hash_trace);
}

void Simulation::SetTelling(bool telling) {
  telling_ = telling;
  scheduler_.SetWatched(telling);
}

Simulation::~Simulation() {
  for (auto& process : processes_) {
    if (!process->ended) process->fibers = 0;  // never ran: nothing to unwind
    ReleaseMemory(*process);
  }
  munmap(const_cast<uint32_t*>(alive_page_), kPageBytes);
}

absl::Status Simulation::Add(const InitialProcess& initial) {
  PARLEY_CHECK(!running_);
  if (initial.name_server && name_channel_ != nullptr) {
    return MakeError(Error::kInvalidArgument, "a second name server");
  }
  auto made = MakeProcess(initial.program, initial.options, nullptr);
  if (!made.ok()) return made.status();
  Process& process = **made;
  process.service = process.report.service = initial.service || initial.name_server;
  process.report.response_limit_ns = initial.response_limit_ns;
  if (!process.service) ++foreground_;
  if (initial.name_server) {
    ChannelOptions channel;
    channel.name = "names";
    channel.unblock_pulse = true;
    channel.disconnect_pulse = true;
    name_channel_ = &MakeChannel(process, channel);
    process.birth.name_service_channel = process.channels.Add(name_channel_);
  }
  start_timers_.push_back(
      std::make_unique<Timer>(Timer::Purpose::kStart, &process.threads.front()));
  scheduler_.timers().Arm(*start_timers_.back(), std::max<int64_t>(initial.start_ns, 0));
  return absl::OkStatus();
}

RunReport Simulation::Run() {
  PARLEY_CHECK(!running_);
  running_ = true;
  if (name_channel_ != nullptr) {
    for (auto& process : processes_) ConnectToNames(*process);
  }
  ArmFaults();
  TerminateScope terminate(*this);
  Trap trap(*this);
  trap_ = &trap;
  if (foreground_ > 0) scheduler_.Run(options_.limit_ns);
  report_.timed_out = scheduler_.limit_reached();
  report_.end_ns = now();
  if (scheduler_.idle() && foreground_ > 0) ReportDeadlock();
  FillReport();
  SetTelling(false);
  EndServices();
  ReapFibers();
  trap_ = nullptr;
  return std::move(report_);
}

void Simulation::EndServices() {
  for (size_t i = 0; i < processes_.size(); ++i) {
    EndProcess(*processes_[i], {ExitKind::kKilled, 128, "the run has ended"});
  }
}

void Simulation::StopIfDone() {
  if (foreground_ == 0) scheduler_.Stop();
}

Token Simulation::NextToken() {
  Token token{token_source_(), token_source_()};
  return token == Token{} ? NextToken() : token;
}

Process* Simulation::FindProcess(ProcessId id) {
  const size_t index = Raw(id) - size_t{1};
  if (index >= processes_.size() || processes_[index]->ended) return nullptr;
  return processes_[index].get();
}

void Simulation::BeginWait(SimThread& thread, ThreadState state, int64_t deadline_ns) {
  scheduler_.BeginBlock(thread, state);
  if (deadline_ns != kNever) scheduler_.timers().Arm(thread.deadline, deadline_ns);
}

void Simulation::Wake(SimThread& thread, absl::Status status) {
  thread.wake_status = std::move(status);
  if (thread.deadline.armed()) scheduler_.timers().Disarm(thread.deadline);
  scheduler_.MakeReady(thread);
}

void Simulation::Leave(SimThread& thread, Error error) {
  switch (thread.state()) {
    case ThreadState::kSend:
    case ThreadState::kReply:
      if (error == Error::kDeadline) {
        return LeaveSend(thread, Error::kDeadlineBeforeReceive, Error::kDeadlineAfterReceive);
      }
      return LeaveSend(thread, error, error);
    case ThreadState::kSleep:
      return Wake(thread,
                  error == Error::kDeadline ? absl::OkStatus() : MakeError(error, Describe(error)));
    case ThreadState::kCondVar:
      LeaveWaits(thread);
      return Relock(thread, MakeError(error, Describe(error)));
    case ThreadState::kMutex:
      if (thread.relock != nullptr) return;  // CondVarWait locks again, whatever it returns
      [[fallthrough]];
    default:
      LeaveWaits(thread);
      return Wake(thread, MakeError(error, Describe(error)));
  }
}

// D5: a thread that is not blocked now leaves the next call that would block.
void Simulation::Cancel(SimThread& thread) {
  switch (thread.state()) {
    case ThreadState::kDead:
      return;
    case ThreadState::kStopped:
    case ThreadState::kReady:
    case ThreadState::kRunning:
      thread.cancel_pending = true;
      return;
    default:
      Leave(thread, Error::kCancelled);
  }
}

void Simulation::Relock(SimThread& thread, absl::Status status) {
  Mutex& mutex = *thread.relock;
  thread.condition = nullptr;
  if (thread.deadline.armed()) scheduler_.timers().Disarm(thread.deadline);
  if (mutex.abandoned) {
    thread.relock = nullptr;
    return Wake(thread, AbandonedMutexError());
  }
  if (mutex.owner == nullptr) {
    inheritance_.Own(thread, mutex);
    thread.relock = nullptr;
    return Wake(thread, std::move(status));
  }
  thread.relock_status = std::move(status);
  scheduler_.ChangeWait(thread, ThreadState::kMutex);
  inheritance_.WaitFor(thread, mutex);
}

void Simulation::OnTimer(Timer& timer) {
  switch (timer.purpose) {
    case Timer::Purpose::kDeadline:
      return Leave(*static_cast<SimThread*>(timer.owner), Error::kDeadline);
    case Timer::Purpose::kGrace: {
      auto& client = *static_cast<SimThread*>(timer.owner);
      return AbandonSend(client, client.send.leave_error);
    }
    case Timer::Purpose::kUser:
      return OnUserTimer(*static_cast<UserTimer*>(timer.owner));
    case Timer::Purpose::kStart: {
      auto& thread = *static_cast<SimThread*>(timer.owner);
      if (!thread.process.ended) StartThread(thread);
      return;
    }
    case Timer::Purpose::kLook:
      return OnLook();
    case Timer::Purpose::kFault:
      return OnFaultTimer(*static_cast<const Fault*>(timer.owner));
    default:
      PARLEY_CHECK(!"a timer of the scheduler");
  }
}

}  // namespace parley::sim

namespace parley {

absl::StatusOr<std::unique_ptr<Machine>> MakeSimulation(const SimulationOptions& options,
                                                        std::vector<Program> programs) {
  auto refuse = [](std::string text) { return MakeError(Error::kInvalidArgument, text); };
  if (options.cpus < 1 || options.cpus > sim::kMaxCpus) {
    return refuse(absl::StrCat("cpus is ", options.cpus, ", not 1 to ", sim::kMaxCpus));
  }
  if (options.call_cost_ns < 0 || options.copy_cost_ns_per_kib < 0) {
    return refuse("a cost is negative");
  }
  if (options.compute_jitter < 0 || options.compute_jitter > 100) {
    return refuse("compute_jitter is not 0 to 100");
  }
  if (options.stack_bytes < sim::kMinStackBytes || options.stack_bytes > (size_t{1} << 30)) {
    return refuse("stack is not 16 KiB to 1 GiB");
  }
  return std::make_unique<sim::Simulation>(options, std::move(programs));
}

}  // namespace parley
