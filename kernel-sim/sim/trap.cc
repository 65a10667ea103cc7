// Signal handlers that turn a fault into an answer of the simulation.
//
// The thread_local pointer is the only state outside objects: a signal handler gets no argument of
// ours.
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

#if defined(__x86_64__)
bool WasWrite(const ucontext_t& context) { return (context.uc_mcontext.gregs[REG_ERR] & 2) != 0; }
#else
bool WasWrite(const ucontext_t&) {
  return true;
}  // the syndrome is not worth its decoding: pages tell
#endif

}  // namespace

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
  if (RescueCopy(raw_context)) return true;
  switch (handler_.OnFault(info->si_addr, WasWrite(context))) {
    case TrapHandler::Answer::kRetry:
      return true;
    case TrapHandler::Answer::kNotMine:
      return false;
    case TrapHandler::Answer::kRescue:
      Redirect(context, RunRescue, rescue_.stack().bottom + rescue_.stack().size - 64);
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
