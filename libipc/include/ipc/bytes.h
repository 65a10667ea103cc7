// Spans of bytes, and spans of those: what messages are made of (S3).
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_BYTES_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_BYTES_H_

#include <cstddef>
#include <type_traits>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace ipc {

using ConstBytes = absl::Span<const std::byte>;
using MutableBytes = absl::Span<std::byte>;
using ConstParts = absl::Span<const ConstBytes>;      // gathered, in order
using MutableParts = absl::Span<const MutableBytes>;  // scattered, in order

// A view on something, whose own bytes are a pointer and a length.
template <typename T>
concept View = requires(const T& view) {
  T(view.data(), view.size());
};

// The bytes of an object without pointers. Padding travels as it is: zero it where that matters.
template <typename T>
ConstBytes BytesOf(const T& object) {
  static_assert(std::is_trivially_copyable_v<T>,
                "only plain data has bytes that mean something elsewhere");
  static_assert(!View<T>, "of a view, what it shows is meant: BytesOfText, or the span itself");
  return {reinterpret_cast<const std::byte*>(&object), sizeof(T)};
}
template <typename T>
MutableBytes MutableBytesOf(T& object) {
  static_assert(std::is_trivially_copyable_v<T>,
                "only plain data has bytes that mean something elsewhere");
  return {reinterpret_cast<std::byte*>(&object), sizeof(T)};
}
inline ConstBytes BytesOfText(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline absl::string_view TextOf(ConstBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_BYTES_H_
