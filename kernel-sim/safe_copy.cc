// Copies that fail instead of crashing.
//
// The thread_local pointer is the only state: a signal handler gets no argument of ours.
#include "kernel-sim/safe_copy.h"

#include <csignal>
#include <cstdint>
#include <cstring>

#include "kernel-sim/core/check.h"

namespace parley {
namespace {

// Where a fault inside SafeCopy goes. On the way of every message: found without a call.
thread_local void** copy_recovery __attribute__((tls_model("initial-exec"))) = nullptr;

void ResumeCopyFailed() { __builtin_longjmp(copy_recovery, 1); }

void OnFault(int signal, siginfo_t* info, void* context) {
  const bool was_sent = info->si_code <= 0;  // by somebody: no copy has faulted
  if (!was_sent && RescueCopy(context)) return;
  std::signal(signal, SIG_DFL);
  if (was_sent) std::raise(signal);  // else the instruction faults again
}

}  // namespace

#if defined(__x86_64__)
void Redirect(ucontext_t& context, void (*function)(), std::byte* stack_top) {
  context.uc_mcontext.gregs[REG_RIP] = reinterpret_cast<greg_t>(function);
  context.uc_mcontext.gregs[REG_RSP] = reinterpret_cast<greg_t>(stack_top) - 8;  // as after a call
}
#elif defined(__aarch64__)
void Redirect(ucontext_t& context, void (*function)(), std::byte* stack_top) {
  context.uc_mcontext.pc = reinterpret_cast<uint64_t>(function);
  context.uc_mcontext.sp = reinterpret_cast<uint64_t>(stack_top);
}
#else
#error "say here how to redirect a faulting thread on this processor"
#endif

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

bool RescueCopy(void* context) {
  if (copy_recovery == nullptr) return false;
  // The copy's own frame is intact above the red zone of whatever memcpy runs below it.
  auto* here = reinterpret_cast<std::byte*>(copy_recovery) - 1024;
  Redirect(*static_cast<ucontext_t*>(context), ResumeCopyFailed,
           reinterpret_cast<std::byte*>(reinterpret_cast<uintptr_t>(here) & ~uintptr_t{63}));
  return true;
}

void RescueCopies() {
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  PARLEY_CHECK(sigaction(SIGSEGV, &action, nullptr) == 0);
  PARLEY_CHECK(sigaction(SIGBUS, &action, nullptr) == 0);
}

}  // namespace parley
