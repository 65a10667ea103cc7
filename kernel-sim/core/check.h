// PARLEY_CHECK: an assertion that stays on in release builds. Its failure is a bug of the kernel,
// never of a caller.
#ifndef PARLEY_KERNEL_SIM_CORE_CHECK_H_
#define PARLEY_KERNEL_SIM_CORE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace parley {

[[noreturn]] inline void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
  std::abort();
}

}  // namespace parley

#define PARLEY_CHECK(condition)                         \
  (__builtin_expect(static_cast<bool>(condition), true) \
       ? static_cast<void>(0)                           \
       : ::parley::CheckFailed(#condition, __FILE__, __LINE__))

#endif  // PARLEY_KERNEL_SIM_CORE_CHECK_H_
