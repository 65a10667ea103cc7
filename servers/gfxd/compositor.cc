// Composition straight from the clients' memory. See compositor.h.
#include "servers/gfxd/compositor.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace gfxd {
namespace {

// CPU time for a pixel that is drawn: of an embedded core of about 400 MHz without a graphics unit.
constexpr double kFillNs = 3;
constexpr double kBlendNs = 10;
constexpr double kConvertNs = 40;  // YUV to RGB, scaled

constexpr Pixel kBackground = Rgba(16, 16, 24);

bool IsSide(int side) { return side >= 1 && side <= kMaxSide; }

bool IsYuv(Format format) {
  return format == Format::kYuv420Bt601 || format == Format::kYuv420Bt709;
}

// REQUIRES: no YUV.
PixelFormat PixelFormatOf(Format format) {
  if (format == Format::kBgra) return PixelFormat::kBgra;
  if (format == Format::kRgb565) return PixelFormat::kRgb565;
  return format == Format::kGray8 ? PixelFormat::kGray8 : PixelFormat::kRgba;
}

ipc::ConstBytes BytesOfFrame(const SurfaceLayer& layer, const SurfaceFrame& frame) {
  const uint64_t size = layer.frame_bytes();
  ipc::ConstBytes bytes = frame.copy;
  if (frame.lease) {
    bytes = frame.lease->read();
  } else if (layer.granted && frame.copy.empty()) {
    bytes = layer.granted->read();
    if (frame.offset > bytes.size()) return {};
    bytes = bytes.subspan(frame.offset);
  }
  return bytes.size() >= size ? bytes.first(size) : ipc::ConstBytes();
}

double VisibleArea(const Rect& place, Canvas canvas) {
  const Rect visible = Intersect(place, canvas.bounds());
  return static_cast<double>(visible.width) * visible.height;
}

// Returns the CPU time in nanoseconds.
double Draw(const SurfaceLayer& layer, ipc::ConstBytes bytes, Canvas canvas) {
  const double area = VisibleArea(layer.place, canvas);
  if (IsYuv(layer.format)) {
    const Matrix matrix = layer.format == Format::kYuv420Bt601 ? Matrix::kBt601 : Matrix::kBt709;
    const auto* samples = reinterpret_cast<const uint8_t*>(bytes.data());
    DrawYuv(canvas, {samples, layer.width, layer.height, matrix}, layer.place);
    return area * kConvertNs;
  }
  Blend(canvas, {bytes.data(), layer.width, layer.height, PixelFormatOf(layer.format)},
        layer.place);
  return area * (layer.IsScaled() ? kConvertNs : kBlendNs);
}

// The pixels that it shows now; none, if it shows nothing.
ipc::ConstBytes BytesOf(const SurfaceScene::Surface& surface) {
  return surface.shown ? BytesOfFrame(surface.layer, *surface.shown) : ipc::ConstBytes();
}

// How far a changed sample shows in a picture that is scaled: to the samples beside it, and a
// chroma sample is two pixels wide.
int SpreadOf(const SurfaceLayer& layer) {
  if (IsYuv(layer.format)) return 4;
  return layer.IsScaled() ? 1 : 0;
}

// Of `from`..`from + length` in `in_size` samples: where that lies in `out_size`, rounded outwards.
std::pair<int, int> Stretch(int64_t from, int64_t length, int in_size, int out_size) {
  from = std::clamp<int64_t>(from, 0, in_size);
  const int64_t to = std::clamp<int64_t>(from + length, from, in_size);
  const int64_t first = from * out_size / in_size;
  return {static_cast<int>(first),
          static_cast<int>((to * out_size + in_size - 1) / in_size - first)};
}

}  // namespace

uint64_t SurfaceLayer::frame_bytes() const {
  if (IsYuv(format)) return YuvBytes(width, height);
  return static_cast<uint64_t>(width) * static_cast<uint64_t>(height) *
         BytesPerPixel(PixelFormatOf(format));
}

absl::StatusOr<SurfaceLayer> MakeLayer(const CreateSurfaceRequest& request) {
  if (request.format > Format::kGray8) {
    return absl::InvalidArgumentError("an unknown pixel format");
  }
  if (!IsSide(request.width) || !IsSide(request.height)) {
    return absl::InvalidArgumentError("a surface is 1 to 8192 pixels wide and high");
  }
  SurfaceLayer layer;
  layer.width = request.width;
  layer.height = request.height;
  layer.format = request.format;
  const PlaceSurfaceRequest place = {.x = request.x,
                                     .y = request.y,
                                     .shown_width = request.shown_width,
                                     .shown_height = request.shown_height,
                                     .depth = request.depth};
  if (absl::Status placed = PlaceLayer(place, layer); !placed.ok()) return placed;
  return layer;
}

absl::Status PlaceLayer(const PlaceSurfaceRequest& request, SurfaceLayer& layer) {
  const int width = request.shown_width == 0 ? layer.width : request.shown_width;
  const int height = request.shown_height == 0 ? layer.height : request.shown_height;
  if (!IsSide(width) || !IsSide(height)) {
    return absl::InvalidArgumentError("a surface is shown 1 to 8192 pixels wide and high");
  }
  if (std::abs(int64_t{request.x}) > kMaxSide || std::abs(int64_t{request.y}) > kMaxSide) {
    return absl::InvalidArgumentError("a surface lies at most 8192 pixels off the screen");
  }
  layer.depth = request.depth;
  layer.place = {request.x, request.y, width, height};
  return absl::OkStatus();
}

Rect DamageOf(const SurfaceLayer& layer, const SurfaceFrame& frame) {
  const Rect& changed = frame.changed;
  if (IsEmpty(changed)) return layer.place;
  const int64_t spread = SpreadOf(layer);
  const auto [x, width] =
      Stretch(changed.x - spread, changed.width + 2 * spread, layer.width, layer.place.width);
  const auto [y, height] =
      Stretch(changed.y - spread, changed.height + 2 * spread, layer.height, layer.place.height);
  return {layer.place.x + x, layer.place.y + y, width, height};
}

void AddAppearances(SurfaceScene& scene, Damage& damage) {
  for (SurfaceScene::Surface* surface : scene.FromBelow()) {
    const bool drawn = !BytesOf(*surface).empty();
    if (std::exchange(surface->layer.drawn, drawn) != drawn) damage.Add(surface->layer.place);
  }
}

absl::Duration Compose(SurfaceScene& scene, const Damage& damage, Canvas canvas) {
  const std::vector<SurfaceScene::Surface*> surfaces = scene.FromBelow();
  double cost_ns = 0;
  for (const Rect& rect : damage.rects()) {
    canvas.clip = rect;
    Fill(canvas, rect, kBackground);
    cost_ns += VisibleArea(rect, canvas) * kFillNs;
    for (const SurfaceScene::Surface* surface : surfaces) {
      const ipc::ConstBytes bytes = BytesOf(*surface);
      if (!bytes.empty()) cost_ns += Draw(surface->layer, bytes, canvas);
    }
  }
  return absl::Nanoseconds(cost_ns);
}

}  // namespace gfxd
