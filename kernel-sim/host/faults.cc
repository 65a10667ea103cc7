// A thread that touches a region beyond its rights ends its process (R4), and the process's last
// words name thread, region and rule. Any other fault is Linux's to end it by.
//
// The handler may come anywhere: it takes the lock only if that is free, and no memory.
#include <signal.h>
#include <ucontext.h>

#include <array>
#include <cstdio>

#include "kernel-sim/host/process.h"
#include "kernel-sim/safe_copy.h"

namespace parley::host {
namespace {

// A signal handler is given nothing else to find its process by. Set once, before the handler is.
Process* faulting_process = nullptr;
struct sigaction others_action;  // a sanitizer's, or none

const char* DeedOf([[maybe_unused]] const void* context) {
#if defined(__x86_64__)
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  return (machine.gregs[REG_ERR] & 2) != 0 ? "wrote to" : "read from";
#else
  return "touched";
#endif
}

void OnFault(int signal, siginfo_t* info, void* context) {
  const bool was_sent = info->si_code <= 0;  // by somebody: there is no address
  if (!was_sent) {
    if (RescueCopy(context)) return;  // first: a kernel call's copy is refused (L5), region or not
    faulting_process->EndIfOfRegion(info->si_addr, DeedOf(context));
  }
  sigaction(signal, &others_action, nullptr);
  if (was_sent) raise(signal);  // else the instruction faults again
}

bool Contains(const SharedMapping& mapping, const void* address) {
  const auto* byte = static_cast<const std::byte*>(address);
  return byte >= mapping.address() && byte < mapping.address() + mapping.bytes();
}

}  // namespace

void Process::CatchFaults() {
  faulting_process = this;
  struct sigaction action = {};
  action.sa_sigaction = &OnFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, &others_action);
}

// The region that is mapped at the address, none if none is. The lock is held.
RegionId Process::FindRegionAt(const void* address) const {
  for (const auto& held : held_regions_) {
    if (Contains(held->mapping, address)) return held->id;
  }
  for (const auto& link : served_) {
    if (link->lends == nullptr) continue;
    for (const auto& [number, lent] : link->lends->lent) {
      if (lent.mapping != nullptr && Contains(*lent.mapping, address)) return lent.region;
    }
  }
  return RegionId::kNone;
}

// Returns if no region is there.
void Process::EndIfOfRegion(const void* address, const char* deed) {
  if (t_current_ == nullptr || !lock_.TryLock()) return;
  const RegionId region = FindRegionAt(address);
  lock_.Unlock();
  if (region == RegionId::kNone) return;
  std::array<char, 256> reason;
  std::snprintf(reason.data(), reason.size(),
                "thread %s %s region %u beyond the rights it was granted (R4)",
                t_current_->name.c_str(), deed, Raw(region));
  Say(ExitKind::kFault, 128, reason.data());
  _exit(0);
}

}  // namespace parley::host
