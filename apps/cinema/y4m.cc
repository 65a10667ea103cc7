// The header line of a YUV4MPEG2 file. See y4m.h.
#include "apps/cinema/y4m.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cinema {
namespace {

constexpr std::string_view kMagic = "YUV4MPEG2";
constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kMaxPeriodNs = 3600 * kSecondNs;
constexpr int64_t kMaxLengthNs = int64_t{365 * 24} * 3600 * kSecondNs;

absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("not a film that this player can show: ",
                                                 absl::string_view(what.data(), what.size())));
}

absl::Status ParseSide(absl::string_view text, int& side) {
  if (absl::SimpleAtoi(text, &side) && side >= 1 && side <= kMaxFilmSide) return absl::OkStatus();
  return Wrong("width and height must be 1 to 8192 pixels");
}

absl::Status ParseRate(absl::string_view text, int64_t& period_ns) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  int64_t frames = 0, seconds = 0;
  const bool numbers =
      absl::SimpleAtoi(parts.first, &frames) && absl::SimpleAtoi(parts.second, &seconds);
  if (!numbers || frames < 1 || seconds < 1 || seconds > kSecondNs || frames / seconds > 1000) {
    return Wrong("the frame rate must be FRAMES:SECONDS, at most 1000 a second");
  }
  period_ns = kSecondNs / frames * seconds + kSecondNs % frames * seconds / frames;
  if (period_ns > kMaxPeriodNs) return Wrong("a frame is shown for an hour at most");
  return absl::OkStatus();
}

absl::Status ParseField(absl::string_view field, Film& film) {
  const absl::string_view value = field.substr(1);
  switch (field.front()) {
    case 'W':
      return ParseSide(value, film.width);
    case 'H':
      return ParseSide(value, film.height);
    case 'F':
      return ParseRate(value, film.frame_period_ns);
    case 'C':
      if (absl::StartsWith(value, "420") && !absl::StartsWith(value, "420p"))
        return absl::OkStatus();
      if (value == "420paldv") return absl::OkStatus();
      return Wrong("only 8 bit 4:2:0 pixels are supported");
    default:
      return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<Film> ParseFilm(std::string_view head, uint64_t file_bytes) {
  const size_t end = head.substr(0, kMaxFilmHeaderBytes).find('\n');
  if (head.substr(0, kMagic.size()) != kMagic || end == std::string_view::npos) {
    return Wrong("it does not begin with a YUV4MPEG2 line");
  }
  Film film;
  const absl::string_view line(head.data() + kMagic.size(), end - kMagic.size());
  for (absl::string_view field : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
    if (absl::Status status = ParseField(field, film); !status.ok()) return status;
  }
  if (film.width == 0 || film.height == 0) return Wrong("width or height is missing");
  if (film.frame_period_ns == 0) return Wrong("the frame rate is missing");
  const uint64_t chroma =
      static_cast<uint64_t>((film.width + 1) / 2) * static_cast<uint64_t>((film.height + 1) / 2);
  film.frame_bytes =
      static_cast<uint64_t>(film.width) * static_cast<uint64_t>(film.height) + 2 * chroma;
  film.header_bytes = end + 1;
  film.frame_count = (file_bytes - film.header_bytes) / (kFrameMark.size() + film.frame_bytes);
  if (file_bytes < film.header_bytes || film.frame_count == 0)
    return Wrong("it has no whole frame");
  if (film.frame_count > static_cast<uint64_t>(kMaxLengthNs / film.frame_period_ns)) {
    return Wrong("it is longer than a year");
  }
  return film;
}

}  // namespace cinema
