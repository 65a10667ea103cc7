// Words, as a remote control has buttons. See remote.h.
#include "apps/cinema/remote.h"

#include <cmath>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace cinema {
namespace {

constexpr double kMostSeconds = 1e6;
constexpr size_t kMostShown = 32;  // of what was typed

absl::Status Unknown(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(what, "; there is: ", kRemoteHelp));
}

}  // namespace

absl::StatusOr<Order> ParseOrder(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
  if (words.empty()) return Unknown("nothing typed");
  if (words[0] != "seek" && words.size() > 1)
    return Unknown(absl::StrCat("not known: ", words[1].substr(0, kMostShown)));
  if (words[0] == "pause") return Order{.kind = Order::Kind::kPause};
  if (words[0] == "play") return Order{.kind = Order::Kind::kPlay};
  if (words[0] == "quit") return Order{.kind = Order::Kind::kQuit};
  if (words[0] != "seek")
    return Unknown(absl::StrCat("not known: ", words[0].substr(0, kMostShown)));
  double seconds = 0;
  if (words.size() != 2 || words[1].find_first_not_of("+-.0123456789") != words[1].npos ||
      !absl::SimpleAtod(words[1], &seconds) || !(std::abs(seconds) <= kMostSeconds)) {
    return Unknown("seek where?");
  }
  return Order{.kind = Order::Kind::kSeek,
               .seek = absl::Seconds(seconds),
               .relative = absl::StartsWith(words[1], "+") || absl::StartsWith(words[1], "-")};
}

std::string PositionText(int64_t position_ns, int64_t length_ns) {
  return absl::StrFormat("%.2f s of %.2f s", static_cast<double>(position_ns) / 1e9,
                         static_cast<double>(length_ns) / 1e9);
}

}  // namespace cinema
