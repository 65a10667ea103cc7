// Bytes that are not zeroed before they are written; a few of them need no allocation.
#ifndef PARLEY_LIBIPC_SRC_BYTE_BUFFER_H_
#define PARLEY_LIBIPC_SRC_BYTE_BUFFER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>

#include "ipc/bytes.h"

namespace ipc {

class ByteBuffer {
 public:
  ByteBuffer() {}  // the inline bytes are not zeroed
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;

  // Has room for `bytes` from now on; the first `kept` of them stay as they are.
  void Grow(size_t bytes, size_t kept) {
    if (bytes <= capacity_) return;
    capacity_ = std::max(bytes, 2 * capacity_);
    auto grown = std::make_unique_for_overwrite<std::byte[]>(capacity_);
    std::memcpy(grown.get(), data(), kept);
    heap_ = std::move(grown);
  }
  // REQUIRES: there is so much room.
  MutableBytes Range(size_t offset, size_t bytes) { return {data() + offset, bytes}; }
  ConstBytes Range(size_t offset, size_t bytes) const {
    return ConstBytes(heap_ ? heap_.get() : inline_.data(), offset + bytes).subspan(offset);
  }

 private:
  std::byte* data() { return heap_ ? heap_.get() : inline_.data(); }
  size_t capacity_ = 256;
  std::unique_ptr<std::byte[]> heap_;
  std::array<std::byte, 256> inline_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_BYTE_BUFFER_H_
