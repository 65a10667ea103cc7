// Reading what another process may write at any time: once, into memory of one's own.
//
// A plain read does not promise that: a compiler may look again instead of keeping what it has
// read, and then what was checked is not what is used.
#ifndef PARLEY_KERNEL_SIM_HOST_READ_ONCE_H_
#define PARLEY_KERNEL_SIM_HOST_READ_ONCE_H_

#include <cstring>
#include <type_traits>

namespace parley::host {

// A struct may be read while it is being written, and be of neither state: check it as a whole.
template <typename T>
T ReadOnce(const T& shared) {
  static_assert(std::is_trivially_copyable_v<T>);
  if constexpr (std::is_scalar_v<T>) {
    return *const_cast<const volatile T*>(&shared);
  } else {
    T copy;
    std::memcpy(&copy, &shared, sizeof(copy));
    asm volatile("" : "+m"(copy));
    return copy;
  }
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_READ_ONCE_H_
