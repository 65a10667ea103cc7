// Frames counted from where it was set going last. See playback.h.
#include "apps/cinema/playback.h"

#include <algorithm>
#include <utility>

namespace cinema {

std::optional<Playback::Frame> Playback::Take() {
  if (is_over()) return std::nullopt;
  if (paused_) {
    if (!std::exchange(still_, false)) return std::nullopt;
    last_ns_ = anchor_.target_ns;
    return anchor_;
  }
  const auto since_anchor = static_cast<int64_t>(next_ - anchor_.index);
  last_ns_ = anchor_.target_ns + since_anchor * period_ns_;
  return Frame{next_++, last_ns_};
}

Playback::Frame Playback::AnchorAt(int64_t first_ns) const {
  return {next_, std::max(first_ns, last_ns_ + period_ns_)};
}

void Playback::Play(int64_t first_ns) {
  paused_ = still_ = false;
  anchor_ = AnchorAt(first_ns);
}

void Playback::Seek(int64_t film_ns, int64_t first_ns) {
  const auto last = static_cast<int64_t>(frames_ - 1);
  next_ =
      static_cast<uint64_t>(std::clamp<int64_t>((film_ns + period_ns_ / 2) / period_ns_, 0, last));
  anchor_ = AnchorAt(first_ns);
  still_ = paused_;
}

}  // namespace cinema
