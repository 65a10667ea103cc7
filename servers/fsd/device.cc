// The modelled disk. See device.h.
#include "servers/fsd/device.h"

namespace fsd {

void Device::Submit(uint64_t ticket, int priority, uint64_t bytes, int64_t now_ns) {
  waiting_.emplace(std::pair(-priority, next_arrival_++), Transfer{ticket, bytes});
  if (!current_) Begin(now_ns);
}

std::optional<uint64_t> Device::TakeDone(int64_t now_ns) {
  if (!current_ || current_done_ns_ > now_ns) return std::nullopt;
  const uint64_t done = *current_;
  current_.reset();
  if (!waiting_.empty()) Begin(current_done_ns_);
  return done;
}

std::optional<int64_t> Device::next_done_ns() const {
  if (!current_) return std::nullopt;
  return current_done_ns_;
}

void Device::Begin(int64_t start_ns) {
  const auto first = waiting_.begin();
  current_ = first->second.ticket;
  const auto duration_ns = bytes_per_second_ == 0 ? __int128{0}
                                                  : static_cast<__int128>(first->second.bytes) *
                                                        1'000'000'000 / bytes_per_second_;
  current_done_ns_ = start_ns + static_cast<int64_t>(duration_ns);
  waiting_.erase(first);
}

}  // namespace fsd
