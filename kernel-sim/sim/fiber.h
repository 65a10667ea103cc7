// Fibers: the stacks that simulated threads run on, and the switch between two of them.
//
// One host thread drives all fibers of a simulation, the one that made the first of them. A switch
// saves what the C++ runtime keeps per host thread about exceptions in flight, and tells the
// address and thread sanitizers where it goes.
//
// Invariants:
//   1. Exactly one fiber of a host thread is running; only it may call Switch, as `from`.
//   2. Below each stack lies a guard page: an overflow faults there and nowhere else.
//   3. A fiber that has called Exit is never switched to again, and its stack may be used anew.
#ifndef PARLEY_KERNEL_SIM_SIM_FIBER_H_
#define PARLEY_KERNEL_SIM_SIM_FIBER_H_

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel-sim/sim/sanitizers.h"

namespace parley::sim {

// Memory of one stack: [bottom, bottom + size), a guard page right below `bottom`.
struct Stack {
  std::byte* bottom = nullptr;
  size_t size = 0;
  bool GuardContains(const void* address) const;
};

// Makes stacks of one size and takes them back for reuse. Only pages that were touched cost memory.
class StackPool {
 public:
  explicit StackPool(size_t stack_bytes);  // rounded up to pages
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // kQuotaExhausted: the host gives no more memory or mappings; the text says which limit to raise.
  absl::StatusOr<Stack> Take();
  void GiveBack(Stack stack);
  // Of a fiber that cannot unwind: never used again. What it owned is lost; a leak checker is told
  // where it hangs.
  void Abandon(Stack stack);

 private:
  absl::Status AddChunk();

  const size_t stack_bytes_;
  std::vector<std::pair<void*, size_t>> chunks_;
  std::vector<Stack> free_;
  std::vector<Stack> abandoned_;
  bool guards_by_mprotect_ = false;  // a host without MADV_GUARD_INSTALL (Linux before 6.13)
};

class Fiber {
 public:
  Fiber();                                                   // the host thread's own stack, running
  Fiber(Stack stack, void (*entry)(void*), void* argument);  // starts at the first switch to it
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  const Stack& stack() const { return stack_; }

  // Leaves `from`, the running fiber, for `to`; returns when somebody switches back.
  // Inline: every return on the way back from a switch is one that the processor predicts wrongly.
  static void Switch(Fiber& from, Fiber& to) { Jump(from, to, false); }
  // The same, never to return: `from` is over.
  [[noreturn]] static void Exit(Fiber& from, Fiber& to);
  // Declares that the host thread, while on `abandoned`, has been moved by a signal handler onto
  // the stack of `rescue` (invariant 1 now holds for it).
  static void ArriveByRescue(Fiber& rescue);

 private:
  struct Entry;
  struct Trip {  // travels with a jump
    Fiber* from;
    Fiber* to;
  };
  static void Jump(Fiber& from, Fiber& to, bool for_ever) {
    from.exceptions_ = *from.host_exceptions_;
    if constexpr (kSanitized) AnnounceLeaving(from, to, for_ever);
    Trip trip{&from, &to};
    from.Arrived(boost::context::detail::jump_fcontext(to.context_, &trip));
  }
  // On the stack of the fiber that has been switched to, before anything else.
  void Arrived(boost::context::detail::transfer_t transfer) {
    Fiber& from = *static_cast<Trip*>(transfer.data)->from;
    from.context_ = transfer.fctx;
    if constexpr (kSanitized) AnnounceArrival(from);
    *host_exceptions_ = exceptions_;
  }
  static void AnnounceLeaving(Fiber& from, Fiber& to, bool for_ever);
  void AnnounceArrival(Fiber& from);

  Stack stack_;
  void* context_ = nullptr;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  struct Exceptions {  // what __cxa_get_globals() points at
    void* caught = nullptr;
    unsigned int uncaught = 0;
  };
  static Exceptions* HostExceptions();
  Exceptions exceptions_;
  Exceptions* const host_exceptions_;  // the host thread's, found once: each look costs a call
  [[maybe_unused]] void* fake_stack_ = nullptr;  // address sanitizer
  [[maybe_unused]] void* tsan_fiber_ = nullptr;  // thread sanitizer
  [[maybe_unused]] bool owns_tsan_fiber_ = false;
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_FIBER_H_
