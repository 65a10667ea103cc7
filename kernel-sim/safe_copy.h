// Copies that fail instead of crashing where an address is not the caller's to touch (L5).
//
// Whoever uses them has a handler of SIGSEGV and SIGBUS in place that gives RescueCopy its chance.
#ifndef PARLEY_KERNEL_SIM_SAFE_COPY_H_
#define PARLEY_KERNEL_SIM_SAFE_COPY_H_

#include <ucontext.h>

#include <cstddef>

namespace parley {

// memcpy that returns false, with part of `to` written, where an address faults.
bool SafeCopy(void* to, const void* from, size_t bytes);

// Called by a signal handler, with what it was given: if the fault was inside SafeCopy, lets that
// return false once the handler returns.
bool RescueCopy(void* context);

// Lets the faulting thread go on in `function`, which gets no argument, with this stack.
void Redirect(ucontext_t& context, void (*function)(), std::byte* stack_top);

// Puts a handler in place that does no more than RescueCopy: another fault ends the process, as it
// would without one. Of the whole process.
void RescueCopies();

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_SAFE_COPY_H_
