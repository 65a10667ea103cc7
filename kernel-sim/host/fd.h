// File descriptors and mappings that close themselves.
#ifndef PARLEY_KERNEL_SIM_HOST_FD_H_
#define PARLEY_KERNEL_SIM_HOST_FD_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel-sim/unique_fd.h"

namespace parley::host {

using Fds = std::vector<UniqueFd>;

// A range of shared memory in this process.
class SharedMapping {
 public:
  SharedMapping() = default;
  SharedMapping(std::byte* address, size_t bytes) : address_(address), bytes_(bytes) {}
  SharedMapping(SharedMapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), bytes_(other.bytes_) {}
  SharedMapping& operator=(SharedMapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~SharedMapping() {
    if (address_ != nullptr) munmap(address_, bytes_);
  }
  std::byte* address() const { return address_; }
  size_t bytes() const { return bytes_; }
  template <typename T>
  T* As() const {
    return reinterpret_cast<T*>(address_);
  }

 private:
  std::byte* address_ = nullptr;
  size_t bytes_ = 0;
};

// A file in memory of this size, zeroed, sealed against growing, shrinking and further seals beyond
// F_SEAL_FUTURE_WRITE. kQuotaExhausted: no memory, no descriptor.
absl::StatusOr<UniqueFd> MakeSharedMemory(const char* name, uint64_t bytes);
// Maps `bytes` of it. kInvalidArgument: it is not such a file, or another size: a shorter one could
// fault under its reader. kQuotaExhausted.
absl::StatusOr<SharedMapping> MapShared(const UniqueFd& memory, uint64_t bytes, bool writable);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_FD_H_
