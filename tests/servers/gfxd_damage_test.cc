// Tests of servers/gfxd/damage.h and of composing what is damaged only.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <random>

#include "servers/gfxd/compositor.h"
#include "servers/gfxd/damage.h"

namespace gfxd {
namespace {

constexpr int kWidth = 48, kHeight = 32;
using Bitmap = std::vector<bool>;

void Mark(Bitmap& bitmap, const Rect& rect) {
  const Rect seen = Intersect(rect, {0, 0, kWidth, kHeight});
  for (int y = seen.y; y < seen.y + seen.height; ++y) {
    for (int x = seen.x; x < seen.x + seen.width; ++x) {
      bitmap[static_cast<size_t>(y * kWidth + x)] = true;
    }
  }
}

TEST_CASE(
    "two parts that make up one rectangle are one, and what lies inside another is not kept") {
  Damage damage;
  damage.Add({0, 0, 4, 4});
  damage.Add({4, 0, 2, 4});
  damage.Add({1, 1, 2, 2});
  damage.Add({9, 9, 0, 5});
  CHECK(damage.rects() == std::vector<Rect>{{0, 0, 6, 4}});
  damage.Clear();
  CHECK(damage.rects().empty());
}

TEST_CASE("whatever is added is covered, by few rectangles, and far parts are left alone") {
  std::mt19937 random(7);
  for (int run = 0; run < 200; ++run) {
    Damage damage;
    Bitmap added(kWidth * kHeight), covered(kWidth * kHeight);
    for (int i = 0; i < 40; ++i) {
      const auto below = [&](int bound) { return static_cast<int>(random() % bound); };
      const Rect rect = {below(kWidth), below(kHeight), 1 + below(3), 1 + below(3)};
      damage.Add(rect);
      Mark(added, rect);
      REQUIRE(damage.rects().size() <= Damage::kMaxRects);
    }
    for (const Rect& rect : damage.rects()) Mark(covered, rect);
    for (size_t i = 0; i < added.size(); ++i) CHECK((!added[i] || covered[i]));
  }
  Damage bounded({0, 0, 4, 4});
  bounded.Add({-3, 2, 5, 9});
  bounded.Add({INT_MAX, INT_MIN, INT_MAX, INT_MAX});
  CHECK(bounded.rects() == std::vector<Rect>{{0, 2, 2, 2}});
  Damage corners;
  corners.Add({0, 0, 1, 1});
  corners.Add({kWidth - 1, kHeight - 1, 1, 1});
  CHECK(corners.rects().size() == 2);
}

// -- Composing

// A surface whose frames are the test's, with what has changed between two of them.
class Painter {
 public:
  Painter(SurfaceScene& scene, uint64_t owner, const CreateSurfaceRequest& request)
      : scene_(scene), owner_(owner), layer_(MakeLayer(request).value()) {
    bytes_.resize(layer_.frame_bytes());
    surface_ = scene.Create(owner, MakeLayer(request).value()).value();
  }

  // Changes some pixels; of YUV, of the luma and of the chroma below it.
  // For this time; it may come later than the next one does.
  void Paint(std::mt19937& random, bool whole, int64_t now_ns) {
    const auto below = [&](int bound) { return static_cast<int>(random() % bound); };
    Rect changed = {below(layer_.width), below(layer_.height), 0, 0};
    changed.width = 1 + below(layer_.width - changed.x);
    changed.height = 1 + below(layer_.height - changed.y);
    const bool yuv = layer_.frame_bytes() == YuvBytes(layer_.width, layer_.height);
    const size_t size = yuv ? 1 : bytes_.size() / static_cast<size_t>(layer_.width * layer_.height);
    for (int y = changed.y; y < changed.y + changed.height; ++y) {
      for (int x = changed.x; x < changed.x + changed.width; ++x) {
        const size_t at = static_cast<size_t>(y * layer_.width + x) * size;
        for (size_t i = 0; i < size; ++i) bytes_[at + i] = static_cast<std::byte>(random());
        if (!yuv) continue;
        const int chroma_width = (layer_.width + 1) / 2, luma = layer_.width * layer_.height;
        bytes_[static_cast<size_t>(luma + y / 2 * chroma_width + x / 2)] =
            static_cast<std::byte>(random());
      }
    }
    SurfaceFrame frame;
    frame.copy = bytes_;
    if (!whole) frame.changed = changed;
    if (!late_ && random() % 4 == 0) {
      late_.emplace(now_ns, std::move(frame));
      return;
    }
    Present(now_ns, std::move(frame));
    if (late_ && random() % 2 == 0) {
      Present(late_->first, std::move(late_->second));
      late_.reset();
    }
  }

  bool is_waited_for() const { return late_.has_value(); }

  void Move(std::mt19937& random, Damage& damage) {
    SurfaceLayer& layer = scene_.Find(owner_, surface_).value()->layer;
    damage.Add(layer.place);
    const PlaceSurfaceRequest place = {.x = static_cast<int>(random() % kWidth) - 8,
                                       .y = static_cast<int>(random() % kHeight) - 8,
                                       .shown_width = static_cast<int>(random() % 30),
                                       .shown_height = static_cast<int>(random() % 20),
                                       .depth = static_cast<int>(random() % 4)};
    REQUIRE(PlaceLayer(place, layer).ok());
    damage.Add(layer.place);
  }

 private:
  void Present(int64_t target_ns, SurfaceFrame frame) {
    REQUIRE(scene_.Present(owner_, surface_, target_ns, std::move(frame)).ok());
  }

  SurfaceScene& scene_;
  const uint64_t owner_;
  const SurfaceLayer layer_;
  uint32_t surface_ = 0;
  std::vector<std::byte> bytes_;
  std::optional<std::pair<int64_t, SurfaceFrame>> late_;
};

TEST_CASE("a picture that is composed where there is damage is the picture composed whole") {
  int compared = 0;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    SurfaceScene scene;
    std::deque<Painter> painters;
    for (int format = 0; format <= static_cast<int>(Format::kGray8); ++format) {
      CreateSurfaceRequest request;
      request.width = 2 + static_cast<int>(random() % 20);
      request.height = 2 + static_cast<int>(random() % 20);
      request.x = static_cast<int>(random() % kWidth) - 5;
      request.y = static_cast<int>(random() % kHeight) - 5;
      if (format % 2 == 1) request.shown_width = request.shown_height = 13;
      request.depth = static_cast<int>(random() % 4);
      request.format = static_cast<Format>(format);
      painters.emplace_back(scene, seed, request);
    }
    const size_t size = kWidth * kHeight;
    std::vector<Pixel> kept(size), whole(size);
    Damage all, damage;
    all.Add({0, 0, kWidth, kHeight});
    int64_t now_ns = 1;
    Compose(scene, all, {kept.data(), kWidth, kHeight});
    for (int step = 0; step < 100; ++step) {
      Painter& painter = painters[random() % painters.size()];
      if (random() % 5 == 0) {
        painter.Move(random, damage);
      } else {
        painter.Paint(random, random() % 5 == 0, ++now_ns);
      }
      if (random() % 3 == 0) continue;  // a later one overtakes it
      scene.Advance(now_ns, [&](const SurfaceLayer& layer, const SurfaceFrame& frame) {
        damage.Add(DamageOf(layer, frame));
      });
      AddAppearances(scene, damage);
      Compose(scene, damage, {kept.data(), kWidth, kHeight});
      damage.Clear();
      Compose(scene, all, {whole.data(), kWidth, kHeight});
      // A frame that is not there yet is missing in what the next one has changed.
      const bool complete = std::none_of(painters.begin(), painters.end(),
                                         [](const Painter& p) { return p.is_waited_for(); });
      if (!complete) continue;
      REQUIRE(kept == whole);
      ++compared;
    }
  }
  CHECK(compared > 50);
}

}  // namespace
}  // namespace gfxd
