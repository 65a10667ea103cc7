// Where the bytes of /dev/random come from: the host's kernel, or a seed, so that a simulated run
// is the same each time.
#ifndef PARLEY_SERVERS_DEVICES_RANDOM_SOURCE_H_
#define PARLEY_SERVERS_DEVICES_RANDOM_SOURCE_H_

#include <cstdint>
#include <optional>
#include <random>

#include "absl/status/status.h"
#include "ipc/bytes.h"

namespace devices {

class RandomSource {
 public:
  RandomSource() = default;  // getrandom(2)
  explicit RandomSource(uint64_t seed) : generator_(seed) {}

  // EIO: the host has none to give. Of a seed: the stream is the same however it is cut up.
  absl::Status Fill(ipc::MutableBytes bytes);

 private:
  std::optional<std::mt19937_64> generator_;
  uint64_t word_ = 0;  // of which so many bytes are left:
  int left_ = 0;
};

}  // namespace devices

#endif  // PARLEY_SERVERS_DEVICES_RANDOM_SOURCE_H_
