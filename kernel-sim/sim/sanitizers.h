// Which sanitizers this build has: they want to be told of fibers and abandoned stacks.
#ifndef PARLEY_KERNEL_SIM_SIM_SANITIZERS_H_
#define PARLEY_KERNEL_SIM_SIM_SANITIZERS_H_

#if defined(__SANITIZE_ADDRESS__)
#define PARLEY_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PARLEY_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PARLEY_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PARLEY_TSAN 1
#endif
#endif

namespace parley::sim {
#if defined(PARLEY_ASAN) || defined(PARLEY_TSAN)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_SANITIZERS_H_
