// Scattered and gathered bytes (S3): spans of spans, their lengths, and the copy between two of
// them (S2).
#ifndef PARLEY_KERNEL_SIM_CORE_BYTES_H_
#define PARLEY_KERNEL_SIM_CORE_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace parley {

using ConstBytes = absl::Span<const std::byte>;
using MutableBytes = absl::Span<std::byte>;
using ConstParts = absl::Span<const ConstBytes>;      // a gathered source
using MutableParts = absl::Span<const MutableBytes>;  // a scattered destination

template <typename Parts>
uint64_t TotalBytes(const Parts& parts) {
  uint64_t total = 0;
  for (const auto& part : parts) total += part.size();
  return total;
}

// Copies from `source` (skipping its first `source_offset` bytes) to `destination` (skipping its
// first `destination_offset` bytes) until either ends; returns the bytes copied. `copy(to, from,
// size)` moves one run and returns false to stop (an address that faults): then the result counts
// the runs before it.
template <typename Copy, typename SourceParts>
uint64_t CopyParts(MutableParts destination, uint64_t destination_offset, const SourceParts& source,
                   uint64_t source_offset, Copy copy) {
  if (destination.size() == 1 && source.size() == 1 && destination_offset == 0 &&
      source_offset == 0) {  // the usual case
    const uint64_t run = std::min<uint64_t>(source[0].size(), destination[0].size());
    return run > 0 && copy(destination[0].data(), source[0].data(), run) ? run : 0;
  }
  uint64_t copied = 0;
  size_t from = 0, to = 0;
  while (from < source.size() && to < destination.size()) {
    if (source_offset >= source[from].size()) {
      source_offset -= source[from++].size();
      continue;
    }
    if (destination_offset >= destination[to].size()) {
      destination_offset -= destination[to++].size();
      continue;
    }
    const uint64_t run = std::min<uint64_t>(source[from].size() - source_offset,
                                            destination[to].size() - destination_offset);
    if (!copy(destination[to].data() + destination_offset, source[from].data() + source_offset,
              run))
      break;
    copied += run;
    source_offset += run;
    destination_offset += run;
  }
  return copied;
}

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_BYTES_H_
