// Frames counted from where it was set going last. See playback.h.
#include "apps/cinema/playback.h"

#include <algorithm>

namespace cinema {

std::optional<Playback::Frame> Playback::Take() {
  if (paused_ || is_over()) return std::nullopt;
  const auto since_anchor = static_cast<int64_t>(next_ - anchor_.index);
  return Frame{next_++, anchor_.target_ns + since_anchor * period_ns_};
}

void Playback::Play(int64_t first_ns) {
  paused_ = false;
  anchor_ = {next_, first_ns};
}

void Playback::Seek(int64_t film_ns, int64_t first_ns) {
  const auto last = static_cast<int64_t>(frames_ - 1);
  next_ =
      static_cast<uint64_t>(std::clamp<int64_t>((film_ns + period_ns_ / 2) / period_ns_, 0, last));
  anchor_ = {next_, first_ns};
}

}  // namespace cinema
