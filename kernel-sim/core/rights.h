// Rights over a channel or a region (R2). Granting can only narrow them.
#ifndef PARLEY_KERNEL_SIM_CORE_RIGHTS_H_
#define PARLEY_KERNEL_SIM_CORE_RIGHTS_H_

#include <cstdint>

namespace parley {

enum class Rights : uint8_t { kNone = 0, kRead = 1, kWrite = 2, kGrant = 4, kConnect = 8 };

constexpr Rights operator|(Rights a, Rights b) {
  return static_cast<Rights>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr Rights operator&(Rights a, Rights b) {
  return static_cast<Rights>(static_cast<uint8_t>(a) & static_cast<uint8_t>(b));
}
constexpr bool Includes(Rights all, Rights some) { return (all & some) == some; }

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_RIGHTS_H_
