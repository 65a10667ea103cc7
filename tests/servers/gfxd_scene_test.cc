// Tests of servers/gfxd/scene.h.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "servers/gfxd/scene.h"

namespace gfxd {
namespace {

struct Layer {
  int depth = 0;
};
using TestScene = Scene<Layer, int>;
using Frames = std::vector<int>;

constexpr uint64_t kOwner = 7, kStranger = 8;

Frames Advance(TestScene& scene, int64_t now_ns) {
  return scene.Advance(now_ns, [](const Layer&, int) {});
}

TEST_CASE("a frame is shown from its time on and leaves when the next one is shown") {
  TestScene scene;
  const uint32_t id = scene.Create(kOwner, {}).value();
  REQUIRE(scene.Present(kOwner, id, 100, 1).ok());
  REQUIRE(scene.Present(kOwner, id, 200, 2).ok());
  CHECK(Advance(scene, 99) == Frames{});
  CHECK_FALSE(scene.Find(kOwner, id).value()->shown.has_value());
  CHECK(Advance(scene, 100) == Frames{});
  CHECK(scene.Find(kOwner, id).value()->shown == 1);
  CHECK(Advance(scene, 250) == Frames{1});
  CHECK(scene.Find(kOwner, id).value()->shown == 2);
}

TEST_CASE("of several frames whose time has come the latest is shown and the others are skipped") {
  TestScene scene;
  const uint32_t id = scene.Create(kOwner, {}).value();
  for (int frame = 1; frame <= 3; ++frame) {
    REQUIRE(scene.Present(kOwner, id, 10 * frame, int{frame}).ok());
  }
  CHECK(Advance(scene, 30) == Frames{1, 2});
  CHECK(scene.Find(kOwner, id).value()->shown == 3);
}

TEST_CASE("a frame that comes later than its successor is not shown, one without a time is") {
  TestScene scene;
  const uint32_t id = scene.Create(kOwner, {}).value();
  REQUIRE(scene.Present(kOwner, id, 200, 2).ok());
  CHECK(Advance(scene, 250) == Frames{});
  REQUIRE(scene.Present(kOwner, id, 100, 1).ok());
  CHECK(Advance(scene, 251) == Frames{1});
  CHECK(scene.Find(kOwner, id).value()->shown == 2);
  REQUIRE(scene.Present(kOwner, id, 0, 3).ok());
  CHECK(Advance(scene, 252) == Frames{2});
  REQUIRE(scene.Present(kOwner, id, 150, 4).ok());
  CHECK(Advance(scene, 253) == Frames{4});
  CHECK(scene.Find(kOwner, id).value()->shown == 3);
}

TEST_CASE("each frame that is due is told of, those that are not shown too, in order") {
  TestScene scene;
  const uint32_t id = scene.Create(kOwner, {}).value();
  for (int frame = 1; frame <= 3; ++frame) {
    REQUIRE(scene.Present(kOwner, id, 10 * frame, int{frame}).ok());
  }
  Frames due;
  const auto note = [&](const Layer&, int frame) { due.push_back(frame); };
  scene.Advance(20, note);
  CHECK(due == Frames{1, 2});
  scene.Advance(25, note);
  CHECK(due == Frames{1, 2});
  REQUIRE(scene.Present(kOwner, id, 15, 4).ok());
  scene.Advance(26, note);
  CHECK(due == Frames{1, 2, 4});
}

TEST_CASE("frames are shown by their times, not by their arrival; equal times by arrival") {
  TestScene scene;
  const uint32_t id = scene.Create(kOwner, {}).value();
  REQUIRE(scene.Present(kOwner, id, 20, 2).ok());
  REQUIRE(scene.Present(kOwner, id, 10, 1).ok());
  REQUIRE(scene.Present(kOwner, id, 20, 3).ok());
  CHECK(Advance(scene, 10) == Frames{});
  CHECK(Advance(scene, 20) == Frames{1, 2});
}

TEST_CASE("nobody can name a surface of somebody else") {
  TestScene scene;
  const uint32_t id = scene.Create(kOwner, {}).value();
  CHECK(scene.Find(kStranger, id).status().code() == absl::StatusCode::kNotFound);
  CHECK(scene.Present(kStranger, id, 0, 1).code() == absl::StatusCode::kNotFound);
  CHECK(scene.Destroy(kStranger, id).status().code() == absl::StatusCode::kNotFound);
  CHECK(scene.DropOwner(kStranger).empty());
  CHECK(scene.Find(kOwner, id).ok());
}

TEST_CASE("a surface that ends gives back the frame it shows and those that wait") {
  TestScene scene;
  const uint32_t id = scene.Create(kOwner, {}).value();
  REQUIRE(scene.Present(kOwner, id, 0, 1).ok());
  REQUIRE(scene.Present(kOwner, id, 50, 2).ok());
  Advance(scene, 0);
  CHECK(scene.Destroy(kOwner, id).value() == Frames{1, 2});
  CHECK(scene.Find(kOwner, id).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("surfaces lie by depth, and by age within a depth") {
  TestScene scene;
  for (const int depth : {5, 1, 5, 0}) REQUIRE(scene.Create(kOwner, {depth}).ok());
  std::vector<int> depths;
  for (const auto* surface : scene.FromBelow()) depths.push_back(surface->layer.depth);
  CHECK(depths == std::vector<int>{0, 1, 5, 5});
}

TEST_CASE("past its bounds the scene refuses and changes nothing") {
  TestScene scene;
  const uint32_t id = scene.Create(kOwner, {}).value();
  for (size_t i = 1; i < kMaxSurfacesOfOwner; ++i) REQUIRE(scene.Create(kOwner, {}).ok());
  CHECK(scene.Create(kOwner, {}).status().code() == absl::StatusCode::kResourceExhausted);
  for (size_t i = kMaxSurfacesOfOwner; i < kMaxSurfaces; ++i) {
    REQUIRE(scene.Create(kOwner + i / kMaxSurfacesOfOwner, {}).ok());
  }
  CHECK(scene.Create(kOwner - 1, {}).status().code() == absl::StatusCode::kResourceExhausted);
  for (size_t i = 0; i < kMaxQueuedFrames; ++i) REQUIRE(scene.Present(kOwner, id, 5, 1).ok());
  CHECK(scene.Present(kOwner, id, 5, 2).code() == absl::StatusCode::kResourceExhausted);
  CHECK(scene.DropOwner(kOwner) == Frames(kMaxQueuedFrames, 1));
}

TEST_CASE("whatever happens, each frame that goes in comes out once") {
  std::mt19937 random(20);
  TestScene scene;
  std::vector<int> outcomes;  // by frame: how often it has come out
  const auto retire = [&](const Frames& frames) {
    for (const int frame : frames) ++outcomes[static_cast<size_t>(frame)];
  };
  int64_t now_ns = 0;
  uint32_t newest = 1;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t owner = random() % 3;
    const uint32_t id = newest - std::min<uint32_t>(newest, random() % 8);
    switch (random() % 8) {
      case 0:
        if (random() % 4 == 0) newest = scene.Create(owner, {}).value_or(newest);
        break;
      case 1:
        retire(Advance(scene, now_ns += static_cast<int64_t>(random() % 10)));
        break;
      case 2:
        if (random() % 10 == 0) retire(scene.DropOwner(owner));
        break;
      case 3:
        if (auto frames = scene.Destroy(owner, id); frames.ok()) retire(*frames);
        break;
      default: {
        const int frame = static_cast<int>(outcomes.size());
        const int64_t target_ns = now_ns + static_cast<int64_t>(random() % 20);
        if (scene.Present(owner, id, target_ns, int{frame}).ok()) outcomes.push_back(0);
      }
    }
  }
  for (uint64_t owner = 0; owner < 3; ++owner) retire(scene.DropOwner(owner));
  REQUIRE(outcomes.size() > 1000);
  for (const int count : outcomes) REQUIRE(count == 1);
}

}  // namespace
}  // namespace gfxd
