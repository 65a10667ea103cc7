// Composition straight from the clients' memory. See compositor.h.
#include "servers/gfxd/compositor.h"

#include <cstdlib>

namespace gfxd {
namespace {

// CPU time for a pixel that is drawn: of an embedded core of about 400 MHz without a graphics unit.
constexpr double kFillNs = 3;
constexpr double kBlendNs = 10;
constexpr double kConvertNs = 40;  // YUV to RGB, scaled

constexpr Pixel kBackground = Rgba(16, 16, 24);

bool IsSide(int side) { return side >= 1 && side <= kMaxSide; }

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
  if (layer.format == Format::kRgba) {
    const auto* pixels = reinterpret_cast<const Pixel*>(bytes.data());
    BlendOver(canvas, {pixels, layer.width, layer.height}, layer.place.x, layer.place.y);
    return area * kBlendNs;
  }
  const Matrix matrix = layer.format == Format::kYuv420Bt601 ? Matrix::kBt601 : Matrix::kBt709;
  const auto* samples = reinterpret_cast<const uint8_t*>(bytes.data());
  DrawYuv(canvas, {samples, layer.width, layer.height, matrix}, layer.place);
  return area * kConvertNs;
}

}  // namespace

uint64_t SurfaceLayer::frame_bytes() const {
  if (format != Format::kRgba) return YuvBytes(width, height);
  return static_cast<uint64_t>(width) * static_cast<uint64_t>(height) * sizeof(Pixel);
}

absl::StatusOr<SurfaceLayer> MakeLayer(const CreateSurfaceRequest& request) {
  if (request.format > Format::kYuv420Bt709) {
    return absl::InvalidArgumentError("an unknown pixel format");
  }
  const bool rgba = request.format == Format::kRgba;
  const int shown_width = rgba ? request.width : request.shown_width;
  const int shown_height = rgba ? request.height : request.shown_height;
  if (!IsSide(request.width) || !IsSide(request.height) || !IsSide(shown_width) ||
      !IsSide(shown_height)) {
    return absl::InvalidArgumentError("a surface is 1 to 8192 pixels wide and high");
  }
  if (std::abs(int64_t{request.x}) > kMaxSide || std::abs(int64_t{request.y}) > kMaxSide) {
    return absl::InvalidArgumentError("a surface lies at most 8192 pixels off the screen");
  }
  SurfaceLayer layer;
  layer.depth = request.depth;
  layer.width = request.width;
  layer.height = request.height;
  layer.format = request.format;
  layer.place = {request.x, request.y, shown_width, shown_height};
  return layer;
}

absl::Duration Compose(SurfaceScene& scene, Canvas canvas) {
  Fill(canvas, canvas.bounds(), kBackground);
  double cost_ns = VisibleArea(canvas.bounds(), canvas) * kFillNs;
  for (const SurfaceScene::Surface* surface : scene.FromBelow()) {
    if (!surface->shown) continue;
    const ipc::ConstBytes bytes = BytesOfFrame(surface->layer, *surface->shown);
    if (!bytes.empty()) cost_ns += Draw(surface->layer, bytes, canvas);
  }
  return absl::Nanoseconds(cost_ns);
}

}  // namespace gfxd
