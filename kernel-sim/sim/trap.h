// Memory faults: what happens when a simulated process
// touches memory that it must not (a guard page, a read-only grant, a revoked region, any wild
// address).
//
// A Trap owns the process-wide handlers of SIGSEGV and SIGBUS while it is Active on the host thread
// that runs a simulation; a fault of anybody else goes to the handler that was there before. One
// Active trap per host thread.
#ifndef PARLEY_KERNEL_SIM_SIM_TRAP_H_
#define PARLEY_KERNEL_SIM_SIM_TRAP_H_

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernel-sim/safe_copy.h"
#include "kernel-sim/sim/fiber.h"

namespace parley::sim {

// What a simulation does about faults. Called in signal context, of a synchronous fault: may use
// the kernel's data, which is consistent then, but may allocate: the fault is in program code, not
// in the heap.
class TrapHandler {
 public:
  enum class Answer {
    kRetry,    // the handler has mended the mapping: run the instruction again
    kRescue,   // the running fiber is lost: call Rescued() on the rescue fiber's stack
    kNotMine,  // a bug of the simulator itself, or somebody else's fault
  };
  virtual ~TrapHandler() = default;
  virtual Answer OnFault(void* address, bool write) = 0;
  // On the rescue stack. Must leave it by Fiber::Exit.
  [[noreturn]] virtual void Rescued() = 0;
};

class Trap {
 public:
  explicit Trap(TrapHandler& handler);
  ~Trap();
  Trap(const Trap&) = delete;
  Trap& operator=(const Trap&) = delete;

  // The fiber that Rescued() runs as. It is over when Rescued() leaves it, and ready for the next
  // rescue.
  Fiber& rescue() { return rescue_; }

 private:
  static void OnSignal(int signal, siginfo_t* info, void* context);
  static void RunRescue();
  bool Deliver(siginfo_t* info, void* context);

  TrapHandler& handler_;
  std::unique_ptr<std::byte[]> signal_stack_;
  StackPool rescue_stacks_;
  Fiber rescue_;
  stack_t previous_stack_;
  struct sigaction previous_segv_, previous_bus_;
  Trap* previous_ = nullptr;
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_TRAP_H_
