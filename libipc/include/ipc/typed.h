// Typed messages: a plain struct with a type and a version, checked on receipt.
//
//   struct AddRequest {
//     static constexpr ipc::MessageType kType{.code = 1, .version = 1};
//     int32_t a, b;
//   };
//
// On the wire: the MessageHeader (8 bytes), then the struct's bytes as they lie in memory. Both
// ends must be of one architecture; a struct changes only with its version.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_TYPED_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_TYPED_H_

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace ipc {

struct MessageType {
  uint32_t code = 0;     // what it is; a server's protocol.h numbers its own from 1
  uint16_t version = 1;  // of the struct's layout
  friend bool operator==(const MessageType&, const MessageType&) = default;
};

struct MessageHeader {
  uint32_t code = 0;
  uint16_t version = 0;
  uint16_t reserved = 0;  // 0
};
static_assert(sizeof(MessageHeader) == 8);

template <typename T>
concept TypedMessage =
    std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> && requires {
  { T::kType.code } -> std::convertible_to<uint32_t>;
  { T::kType.version } -> std::convertible_to<uint16_t>;
};

template <TypedMessage T>
constexpr MessageHeader HeaderOf() {
  return {T::kType.code, T::kType.version, 0};
}

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_TYPED_H_
