// What a person types to the player, and what it answers.
#ifndef PARLEY_APPS_CINEMA_REMOTE_H_
#define PARLEY_APPS_CINEMA_REMOTE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cinema {

inline constexpr char kRemoteHelp[] =
    "pause, play, seek SECONDS, seek +SECONDS, seek -SECONDS, quit";

struct Order {
  enum class Kind { kPause, kPlay, kSeek, kQuit };
  Kind kind = Kind::kPause;
  absl::Duration seek = {};  // kSeek: to here,
  bool relative = false;     //   or from where it is
};

// Of one line. kInvalidArgument: one line, for the person, that says what it may be.
absl::StatusOr<Order> ParseOrder(absl::string_view line);

// "3.20 s of 10.00 s".
std::string PositionText(int64_t position_ns, int64_t length_ns);

}  // namespace cinema

#endif  // PARLEY_APPS_CINEMA_REMOTE_H_
