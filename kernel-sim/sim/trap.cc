// Signal handlers that turn a fault into an answer of the simulation.
//
// The two thread_local pointers are the only state outside objects: a signal handler gets no
// argument of ours.
#include "kernel-sim/sim/trap.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstring>

#include "kernel-sim/core/check.h"

namespace parley::sim {
namespace {

constexpr size_t kSignalStackBytes = 64 << 10;
constexpr size_t kRescueStackBytes = 256 << 10;

thread_local Trap* active_trap = nullptr;
thread_local void** copy_recovery = nullptr;  // where a fault inside SafeCopy goes

#if defined(__x86_64__)
void SetProgramCounter(ucontext_t& context, void (*function)(), std::byte* stack_top) {
  context.uc_mcontext.gregs[REG_RIP] = reinterpret_cast<greg_t>(function);
  context.uc_mcontext.gregs[REG_RSP] = reinterpret_cast<greg_t>(stack_top) - 8;  // as after a call
}
bool WasWrite(const ucontext_t& context) { return (context.uc_mcontext.gregs[REG_ERR] & 2) != 0; }
#elif defined(__aarch64__)
void SetProgramCounter(ucontext_t& context, void (*function)(), std::byte* stack_top) {
  context.uc_mcontext.pc = reinterpret_cast<uint64_t>(function);
  context.uc_mcontext.sp = reinterpret_cast<uint64_t>(stack_top);
}
bool WasWrite(const ucontext_t&) {
  return true;
}  // the syndrome is not worth its decoding: pages tell
#else
#error "say here how to redirect a faulting thread on this processor"
#endif

void ResumeCopyFailed() { __builtin_longjmp(copy_recovery, 1); }

}  // namespace

// Not inlined: __builtin_setjmp needs a frame of its own that outlives the copy.
__attribute__((noinline)) bool SafeCopy(void* to, const void* from, size_t bytes) {
  void* recovery[5];
  if (__builtin_setjmp(recovery) != 0) {
    copy_recovery = nullptr;
    return false;
  }
  copy_recovery = recovery;
  std::memcpy(to, from, bytes);
  // The handler runs on this host thread: only the compiler could reorder.
  asm volatile("" ::: "memory");
  copy_recovery = nullptr;
  return true;
}

Trap::Trap(TrapHandler& handler)
    : handler_(handler),
      signal_stack_(new std::byte[kSignalStackBytes]),
      rescue_stacks_(kRescueStackBytes),
      rescue_(rescue_stacks_.Take().value(), nullptr, nullptr),
      previous_(active_trap) {
  stack_t stack = {};
  stack.ss_sp = signal_stack_.get();
  stack.ss_size = kSignalStackBytes;
  PARLEY_CHECK(sigaltstack(&stack, &previous_stack_) == 0);
  struct sigaction action = {};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  PARLEY_CHECK(sigaction(SIGSEGV, &action, &previous_segv_) == 0);
  PARLEY_CHECK(sigaction(SIGBUS, &action, &previous_bus_) == 0);
  active_trap = this;
}

Trap::~Trap() {
  active_trap = previous_;
  sigaction(SIGSEGV, &previous_segv_, nullptr);
  sigaction(SIGBUS, &previous_bus_, nullptr);
  sigaltstack(&previous_stack_, nullptr);
}

void Trap::OnSignal(int signal, siginfo_t* info, void* context) {
  Trap* trap = active_trap;
  if (trap != nullptr && trap->Deliver(info, context)) return;
  // Not ours: put back what was there, and let the instruction fault again.
  if (trap != nullptr) {
    sigaction(signal, signal == SIGSEGV ? &trap->previous_segv_ : &trap->previous_bus_, nullptr);
  } else {
    std::signal(signal, SIG_DFL);
  }
}

bool Trap::Deliver(siginfo_t* info, void* raw_context) {
  auto& context = *static_cast<ucontext_t*>(raw_context);
  if (copy_recovery != nullptr) {
    // The copy's own frame is intact above the red zone of whatever memcpy runs below it.
    auto* here = reinterpret_cast<std::byte*>(copy_recovery) - 1024;
    SetProgramCounter(
        context, ResumeCopyFailed,
        reinterpret_cast<std::byte*>(reinterpret_cast<uintptr_t>(here) & ~uintptr_t{63}));
    return true;
  }
  switch (handler_.OnFault(info->si_addr, WasWrite(context))) {
    case TrapHandler::Answer::kRetry:
      return true;
    case TrapHandler::Answer::kNotMine:
      return false;
    case TrapHandler::Answer::kRescue:
      SetProgramCounter(context, RunRescue, rescue_.stack().bottom + rescue_.stack().size - 64);
      return true;
  }
  return false;
}

void Trap::RunRescue() {
  Trap* trap = active_trap;
  Fiber::ArriveByRescue(trap->rescue_);
  trap->handler_.Rescued();
}

}  // namespace parley::sim
