// The memory behind all regions of a simulation: one memfd, handed out in runs of pages, mapped as
// often as wanted.
//
// The file is made at the first use. A run given back loses its pages at once and is never handed
// out again, so that a mapping that is left of it cannot show somebody else's data. Not
// thread-safe.
#ifndef PARLEY_KERNEL_SIM_SIM_ARENA_H_
#define PARLEY_KERNEL_SIM_SIM_ARENA_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "kernel-sim/kernel.h"

namespace parley::sim {

class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A run of `bytes` zeroed bytes (a multiple of pages); returns its offset. kQuotaExhausted: the
  // host has no more.
  absl::StatusOr<uint64_t> Allocate(uint64_t bytes);
  void Release(uint64_t offset, uint64_t bytes);

  // Maps a run, or a part of one, with the protection of `rights` (neither read nor write: no
  // access).
  absl::StatusOr<std::byte*> Map(uint64_t offset, uint64_t bytes, Rights rights);
  static void Protect(std::byte* address, uint64_t bytes, Rights rights);
  static void Unmap(std::byte* address, uint64_t bytes);

  // Puts another run of the same size under a mapping, in place.
  absl::Status Remap(std::byte* address, uint64_t offset, uint64_t bytes, Rights rights);
  // Puts private memory with the run's present contents under a mapping, in place. May be called in
  // signal context. False: the host has no memory for it.
  bool Detach(std::byte* address, uint64_t offset, uint64_t bytes);

  void Read(uint64_t offset, std::byte* to, uint64_t bytes) const;

 private:
  int file_ = -1;
  uint64_t end_ = 0;
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_ARENA_H_
