// Fibers on Boost.Context's bare switch, announced to the sanitizers.
#include "kernel-sim/sim/fiber.h"

#include <cxxabi.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/bounds.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/core/errors.h"
#include "kernel-sim/sim/sanitizers.h"

#ifdef PARLEY_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef PARLEY_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace parley::sim {
namespace {

constexpr size_t kStacksPerChunk = 64;
constexpr int kMadvGuardInstall = 102;  // MADV_GUARD_INSTALL, newer than Debian 12's headers

size_t RoundUpToPages(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

}  // namespace

bool Stack::GuardContains(const void* address) const {
  const auto* byte = static_cast<const std::byte*>(address);
  return byte >= bottom - kPageBytes && byte < bottom;
}

StackPool::StackPool(size_t stack_bytes) : stack_bytes_(RoundUpToPages(stack_bytes)) {}

StackPool::~StackPool() {
  for (auto [address, bytes] : chunks_) {
#ifdef PARLEY_ASAN
    // The leak checker still looks into the abandoned ones.
    const auto* begin = static_cast<std::byte*>(address);
    const bool looked_into =
        std::any_of(abandoned_.begin(), abandoned_.end(), [&, size = bytes](const Stack& stack) {
          return stack.bottom >= begin && stack.bottom < begin + size;
        });
    if (looked_into) continue;
#endif
    munmap(address, bytes);
  }
}

absl::Status StackPool::AddChunk() {
  const size_t stride = stack_bytes_ + kPageBytes;
  const size_t bytes = stride * kStacksPerChunk;
  void* chunk = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (chunk == MAP_FAILED) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat("no memory for ", kStacksPerChunk, " stacks of ", stack_bytes_,
                                  " bytes: ", std::strerror(errno)));
  }
  madvise(chunk, bytes, MADV_NOHUGEPAGE);  // a huge page would back 8 stacks for one that is used
  chunks_.emplace_back(chunk, bytes);
  for (size_t i = kStacksPerChunk; i-- > 0;) {
    auto* guard = static_cast<std::byte*>(chunk) + i * stride;
    if (!guards_by_mprotect_ && madvise(guard, kPageBytes, kMadvGuardInstall) != 0) {
      guards_by_mprotect_ = true;
    }
    if (guards_by_mprotect_ && mprotect(guard, kPageBytes, PROT_NONE) != 0) {
      return MakeError(Error::kQuotaExhausted,
                       "no more guard pages for stacks: raise vm.max_map_count (sysctl) or run on "
                       "Linux 6.13 or later, whose guard pages need no mapping each");
    }
    free_.push_back({guard + kPageBytes, stack_bytes_});
  }
  return absl::OkStatus();
}

absl::StatusOr<Stack> StackPool::Take() {
  if (free_.empty()) {
    if (absl::Status added = AddChunk(); !added.ok()) return added;
  }
  Stack stack = free_.back();
  free_.pop_back();
#ifdef PARLEY_ASAN
  // Frames that were left for good, here or where this memory was mapped before, are still marked.
  __asan_unpoison_memory_region(stack.bottom, stack.size);
#endif
  return stack;
}

void StackPool::Abandon(Stack stack) {
  abandoned_.push_back(stack);
#ifdef PARLEY_ASAN
  __lsan_register_root_region(stack.bottom, stack.size);
#endif
}

void StackPool::GiveBack(Stack stack) { free_.push_back(stack); }

// The layout is fixed by the Itanium C++ ABI.
Fiber::Exceptions* Fiber::HostExceptions() {
  return reinterpret_cast<Exceptions*>(abi::__cxa_get_globals());
}

struct Fiber::Entry {
  static void Run(boost::context::detail::transfer_t transfer) {
    const Trip* trip = static_cast<Trip*>(transfer.data);
    Fiber* self = trip->to;
    self->Arrived(transfer);
    self->entry_(self->argument_);
    PARLEY_CHECK(!"a fiber's entry returned instead of calling Exit");
  }
};

Fiber::Fiber() : host_exceptions_(HostExceptions()) {
#ifdef PARLEY_TSAN
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(Stack stack, void (*entry)(void*), void* argument)
    : stack_(stack), entry_(entry), argument_(argument), host_exceptions_(HostExceptions()) {
  context_ =
      boost::context::detail::make_fcontext(stack.bottom + stack.size, stack.size, Entry::Run);
#ifdef PARLEY_TSAN
  tsan_fiber_ = __tsan_create_fiber(0);
  owns_tsan_fiber_ = true;
#endif
}

Fiber::~Fiber() {
#ifdef PARLEY_TSAN
  if (owns_tsan_fiber_) __tsan_destroy_fiber(tsan_fiber_);
#endif
}

void Fiber::AnnounceLeaving([[maybe_unused]] Fiber& from, [[maybe_unused]] Fiber& to,
                            [[maybe_unused]] bool for_ever) {
#ifdef PARLEY_ASAN
  __sanitizer_start_switch_fiber(for_ever ? nullptr : &from.fake_stack_, to.stack_.bottom,
                                 to.stack_.size);
#endif
#ifdef PARLEY_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber_, 0);
#endif
}

void Fiber::AnnounceArrival([[maybe_unused]] Fiber& from) {
#ifdef PARLEY_ASAN
  const void* bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &size);
  if (from.stack_.bottom == nullptr) {  // the host thread's own stack, seen for the first time
    from.stack_.bottom = static_cast<std::byte*>(const_cast<void*>(bottom));
    from.stack_.size = size;
  }
#endif
}

void Fiber::Exit(Fiber& from, Fiber& to) {
  Jump(from, to, true);
  PARLEY_CHECK(!"a fiber that is over was switched to");
  __builtin_unreachable();
}

void Fiber::ArriveByRescue(Fiber& rescue) {
  *rescue.host_exceptions_ = {};
#ifdef PARLEY_ASAN
  void* abandoned = nullptr;
  __sanitizer_start_switch_fiber(&abandoned, rescue.stack_.bottom, rescue.stack_.size);
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
#ifdef PARLEY_TSAN
  __tsan_switch_to_fiber(rescue.tsan_fiber_, 0);
#endif
}

}  // namespace parley::sim
