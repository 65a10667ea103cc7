// Tests of apps/cinema/y4m.h.
#include <doctest/doctest.h>

#include <string>

#include "absl/strings/match.h"
#include "apps/cinema/y4m.h"

namespace cinema {
namespace {

constexpr std::string_view kHeader = "YUV4MPEG2 W3 H2 F30:1 Ip A1:1 C420jpeg XYSCSS=420JPEG\n";
constexpr uint64_t kFrameBytes = 3 * 2 + 2 * 2;
constexpr uint64_t kFileBytes = kHeader.size() + 3 * (6 + kFrameBytes);

TEST_CASE("a film's header gives its size, its rate, and where each frame is") {
  const Film film = ParseFilm(kHeader, kFileBytes).value();
  CHECK(film.width == 3);
  CHECK(film.height == 2);
  CHECK(film.frame_period_ns == 33'333'333);
  CHECK(film.frame_bytes == kFrameBytes);
  CHECK(film.frame_count == 3);
  CHECK(film.FrameOffset(0) == kHeader.size());
  CHECK(film.FrameOffset(2) == kHeader.size() + 2 * (6 + kFrameBytes));
}

TEST_CASE("a frame that is cut off at the file's end does not count") {
  CHECK(ParseFilm(kHeader, kFileBytes - 1).value().frame_count == 2);
}

TEST_CASE("a rate in thousandths is exact to the nanosecond") {
  CHECK(ParseFilm("YUV4MPEG2 W2 H2 F30000:1001\n", 1000).value().frame_period_ns == 33'366'666);
}

TEST_CASE("what is no film, or none that can be shown, is refused in one line") {
  for (const std::string_view head :
       {"", "RIFF", "YUV4MPEG2 W2 H2 F30:1", "YUV4MPEG2 H2 F30:1\n", "YUV4MPEG2 W2 H2\n",
        "YUV4MPEG2 W0 H2 F30:1\n", "YUV4MPEG2 W2 H-2 F30:1\n", "YUV4MPEG2 W9000 H2 F30:1\n",
        "YUV4MPEG2 W2 H2 F0:0\n", "YUV4MPEG2 W2 H2 F30\n", "YUV4MPEG2 W2 H2 F30:1 C444\n",
        "YUV4MPEG2 W2 H2 F30:1 C420p10\n", "YUV4MPEG2 W2 H2 F99999999999:1\n",
        "YUV4MPEG2 W2 H2 F1:3601\n", "YUV4MPEG2 W2 H2 F1:3600\n"}) {
    CAPTURE(std::string(head));
    const absl::Status status = ParseFilm(head, 1 << 20).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK_FALSE(absl::StrContains(status.message(), "\n"));
  }
  CHECK(ParseFilm(kHeader, kHeader.size() + 5).status().code() ==
        absl::StatusCode::kInvalidArgument);
  CHECK(ParseFilm(kHeader, 3).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a header line past its bound is refused") {
  const std::string head = "YUV4MPEG2 W2 H2 F30:1 X" + std::string(kMaxFilmHeaderBytes, 'x') + "\n";
  CHECK_FALSE(ParseFilm(head, 1 << 20).ok());
}

}  // namespace
}  // namespace cinema
