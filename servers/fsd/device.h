// A disk as a queue: one transfer at a time, the highest priority first, in order of arrival within
// a priority.
//
// Pure: time comes in as an argument. Invariants: (1) a transfer that has begun is not overtaken;
// (2) while requests wait, one is under way; (3) every ticket that goes in comes out once.
#ifndef PARLEY_SERVERS_FSD_DEVICE_H_
#define PARLEY_SERVERS_FSD_DEVICE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace fsd {

class Device {
 public:
  // 0 is a device that takes no time.
  explicit Device(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // Queues the transfer `ticket`.
  void Submit(uint64_t ticket, int priority, uint64_t bytes, int64_t now_ns);

  // The ticket of a transfer that is over at `now_ns`, if there is one; then the next begins when
  // that one ended.
  std::optional<uint64_t> TakeDone(int64_t now_ns);

  // When the transfer under way is over.
  std::optional<int64_t> next_done_ns() const;

 private:
  struct Transfer {
    uint64_t ticket;
    uint64_t bytes;
  };
  void Begin(int64_t start_ns);

  const uint64_t bytes_per_second_;
  uint64_t next_arrival_ = 0;
  std::map<std::pair<int, uint64_t>, Transfer> waiting_;  // by (-priority, arrival)
  std::optional<uint64_t> current_;
  int64_t current_done_ns_ = 0;
};

}  // namespace fsd

#endif  // PARLEY_SERVERS_FSD_DEVICE_H_
