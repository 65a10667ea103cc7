// Names of kernel objects as values: system-wide ids, per-process handles, tokens.
//
// An id is unique in one kernel for all time (never reused). A handle means something only inside
// the process that it was given to, like a file descriptor. Zero is "none" in every one of them.
#ifndef PARLEY_KERNEL_SIM_CORE_IDS_H_
#define PARLEY_KERNEL_SIM_CORE_IDS_H_

#include <cstdint>
#include <type_traits>
#include <utility>

namespace parley {

enum class ProcessId : uint32_t { kNone = 0 };
enum class ThreadId : uint32_t { kNone = 0 };
enum class ChannelId : uint32_t { kNone = 0 };
enum class RegionId : uint32_t { kNone = 0 };
enum class CapabilityId : uint64_t { kNone = 0 };

enum class ChannelHandle : uint32_t { kNone = 0 };
enum class ConnectionHandle : uint32_t { kNone = 0 };
enum class RegionHandle : uint32_t { kNone = 0 };
enum class TimerHandle : uint32_t { kNone = 0 };
enum class WatchHandle : uint32_t { kNone = 0 };
enum class MutexHandle : uint32_t { kNone = 0 };
enum class CondVarHandle : uint32_t { kNone = 0 };
enum class ThreadHandle : uint32_t { kNone = 0 };
enum class ChildHandle : uint32_t { kNone = 0 };

// The integer behind an id or a handle, for printing, indexing and hashing.
template <typename Id>
constexpr auto Raw(Id id) {
  return static_cast<std::underlying_type_t<Id>>(id);
}

// A received, unanswered message. `serial` is unique for every send a kernel ever saw (S4), so a
// stale handle can never reach a later request of the same client.
struct MessageHandle {
  uint32_t slot = 0;
  uint64_t serial = 0;
  friend bool operator==(const MessageHandle&, const MessageHandle&) = default;
};

// 128 bits that name one capability for one holder (R3). Unguessable: whoever makes one draws it at
// random.
struct Token {
  uint64_t high = 0;
  uint64_t low = 0;
  friend bool operator==(const Token&, const Token&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Token& token) {
    return H::combine(std::move(state), token.high, token.low);
  }
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_IDS_H_
