// Tests of apps/cinema/remote.h and apps/cinema/playback.h.
#include <doctest/doctest.h>

#include "absl/strings/match.h"
#include "apps/cinema/playback.h"
#include "apps/cinema/remote.h"

namespace cinema {
namespace {

TEST_CASE("each order is understood, with any blanks around it") {
  CHECK(ParseOrder("pause\n")->kind == Order::Kind::kPause);
  CHECK(ParseOrder("  play ")->kind == Order::Kind::kPlay);
  CHECK(ParseOrder("quit\r\n")->kind == Order::Kind::kQuit);
  const Order to = ParseOrder("seek 2.5").value();
  CHECK(to.kind == Order::Kind::kSeek);
  CHECK(to.seek == absl::Milliseconds(2500));
  CHECK_FALSE(to.relative);
  CHECK(ParseOrder("seek\t+1")->relative);
  CHECK(ParseOrder("seek -1")->seek == -absl::Seconds(1));
}

TEST_CASE("what is no order is answered with what there is") {
  for (const char* line : {"", "\n", "stop", "pause now", "seek", "seek x", "seek 1 2", "seek nan",
                           "seek inf", "seek 1e300", "seek 0x10", "PAUSE"}) {
    const auto order = ParseOrder(line);
    CHECK(order.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(absl::StrContains(order.status().message(), kRemoteHelp));
  }
}

TEST_CASE("a film plays at its rate from its first frame to its last") {
  Playback playback(3, 10, 1000);
  for (uint64_t index = 0; index < 3; ++index) {
    CHECK_FALSE(playback.is_over());
    const auto frame = playback.Take();
    REQUIRE(frame.has_value());
    CHECK(frame->index == index);
    CHECK(frame->target_ns == 1000 + static_cast<int64_t>(index) * 10);
  }
  CHECK(playback.is_over());
  CHECK_FALSE(playback.Take().has_value());
  CHECK(playback.length_ns() == 30);
}

TEST_CASE("paused, no frame comes; then the next one does, at the time that is given") {
  Playback playback(9, 10, 0);
  playback.Take();
  playback.Pause();
  CHECK(playback.is_paused());
  CHECK_FALSE(playback.Take().has_value());
  CHECK_FALSE(playback.is_over());
  CHECK(playback.position_ns() == 10);
  playback.Play(500);
  CHECK(playback.Take()->target_ns == 500);
  const auto next = playback.Take();
  CHECK(next->index == 2);
  CHECK(next->target_ns == 510);
}

TEST_CASE("a film is sought within its bounds, and stays paused or playing") {
  Playback playback(9, 10, 0);
  playback.Seek(36, 100);
  const auto frame = playback.Take();
  CHECK(frame->index == 4);
  CHECK(frame->target_ns == 100);
  playback.Pause();
  playback.Seek(-50, 200);
  CHECK(playback.position_ns() == 0);
  playback.Seek(1'000'000, 300);
  CHECK(playback.position_ns() == 80);
  playback.Play(400);
  CHECK(playback.Take()->index == 8);
  CHECK(playback.is_over());
}

TEST_CASE("paused, the frame that was sought is shown alone, and once more when it goes on") {
  Playback playback(9, 10, 0);
  playback.Pause();
  playback.Seek(30, 100);
  const auto still = playback.Take();
  REQUIRE(still.has_value());
  CHECK(still->index == 3);
  CHECK(still->target_ns == 100);
  CHECK_FALSE(playback.Take().has_value());
  CHECK(playback.position_ns() == 30);
  playback.Play(200);
  CHECK(playback.Take()->index == 3);
}

TEST_CASE("whatever is ordered, frames are shown in the order in which they were taken") {
  Playback playback(100, 500, 0);
  int64_t last_ns = -1;
  const auto take = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto frame = playback.Take();
      if (!frame) continue;
      CHECK(frame->target_ns > last_ns);
      last_ns = frame->target_ns;
    }
  };
  take(4);  // up to 1500, long after the times below
  playback.Seek(20'000, 300);
  take(3);
  playback.Pause();
  playback.Seek(0, 310);
  take(2);
  playback.Play(320);
  take(3);
  CHECK(playback.last_target_ns() == last_ns);
}

TEST_CASE("what is stopped is over for good") {
  Playback playback(9, 10, 0);
  playback.Stop();
  CHECK(playback.is_over());
  playback.Seek(0, 100);
  playback.Play(100);
  CHECK_FALSE(playback.Take().has_value());
}

}  // namespace
}  // namespace cinema
