// What is on the screen: surfaces, the frames that wait to be shown on each, and the frame that is
// shown.
//
// Pure: `Frame` is whatever stands for a frame's pixels (the server's holds the client's message);
// time comes in as an argument. Not thread-safe. Invariants: (1) a surface belongs to one owner,
// and nobody else can name it; (2) a frame that goes in comes out once: as replaced, skipped, or
// left over at the end of its surface; (3) at most kMaxSurfaces surfaces, kMaxSurfacesOfOwner of
// one owner, kMaxQueuedFrames waiting frames on each.
#ifndef PARLEY_SERVERS_GFXD_SCENE_H_
#define PARLEY_SERVERS_GFXD_SCENE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "servers/gfxd/pixel.h"

namespace gfxd {

inline constexpr size_t kMaxSurfaces = 256;
inline constexpr size_t kMaxSurfacesOfOwner = 16;
inline constexpr size_t kMaxQueuedFrames = 16;  // of one surface

template <typename Layer, typename Frame>
class Scene {
 public:
  using Owner = uint64_t;

  struct Surface {
    Owner owner;
    Layer layer;  // size, format, depth and place; Layer has an int member `depth`
    std::optional<Frame> shown;
  };

  // kResourceExhausted: kMaxSurfaces, kMaxSurfacesOfOwner.
  absl::StatusOr<uint32_t> Create(Owner owner, Layer layer) {
    if (surfaces_.size() >= kMaxSurfaces) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", kMaxSurfaces, " surfaces"));
    }
    const auto of_owner = std::count_if(surfaces_.begin(), surfaces_.end(), [&](const auto& entry) {
      return entry.second.surface.owner == owner;
    });
    if (static_cast<size_t>(of_owner) >= kMaxSurfacesOfOwner) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", kMaxSurfacesOfOwner, " surfaces of one client"));
    }
    const uint32_t id = next_id_++;
    surfaces_.emplace(id, Entry{{owner, std::move(layer), std::nullopt}, {}, 0});
    return id;
  }

  // kNotFound: no such surface of this owner.
  absl::StatusOr<Surface*> Find(Owner owner, uint32_t id) {
    const auto found = surfaces_.find(id);
    if (found == surfaces_.end() || found->second.surface.owner != owner) {
      return absl::NotFoundError(absl::StrCat("no surface ", id, " of this client"));
    }
    return &found->second.surface;
  }

  // Queues a frame to be shown from `target_ns` on. kNotFound; kResourceExhausted:
  // kMaxQueuedFrames; then `frame` is untouched.
  absl::Status Present(Owner owner, uint32_t id, int64_t target_ns, Frame&& frame) {
    if (auto surface = Find(owner, id); !surface.ok()) return surface.status();
    Entry& entry = surfaces_.at(id);
    if (entry.waiting.size() >= kMaxQueuedFrames) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", kMaxQueuedFrames, " frames wait on surface ", id));
    }
    entry.waiting.emplace(target_ns, std::move(frame));
    return absl::OkStatus();
  }

  // On each surface, shows the latest frame whose time has come; one that comes later than its
  // successor is not shown any more. `on_due(const Layer&, const Frame&)` is called for each whose
  // time has come, shown or not, in the order of their times. Returns the frames that are not
  // needed any more.
  template <typename OnDue>
  std::vector<Frame> Advance(int64_t now_ns, OnDue on_due) {
    std::vector<Frame> retired;
    for (auto& [id, entry] : surfaces_) {
      while (!entry.waiting.empty() && entry.waiting.begin()->first <= now_ns) {
        auto [target_ns, frame] = std::move(*entry.waiting.begin());
        entry.waiting.erase(entry.waiting.begin());
        on_due(std::as_const(entry.surface.layer), std::as_const(frame));
        std::optional<Frame>& shown = entry.surface.shown;
        const bool too_late = target_ns != 0 && target_ns < entry.shown_target_ns;
        if (too_late || shown) retired.push_back(too_late ? std::move(frame) : *std::move(shown));
        if (too_late) continue;
        shown.emplace(std::move(frame));
        entry.shown_target_ns = std::max(entry.shown_target_ns, target_ns);
      }
    }
    return retired;
  }

  // Ends a surface; returns its frames. kNotFound.
  absl::StatusOr<std::vector<Frame>> Destroy(Owner owner, uint32_t id) {
    if (auto surface = Find(owner, id); !surface.ok()) return surface.status();
    std::vector<Frame> frames = TakeFrames(surfaces_.at(id));
    surfaces_.erase(id);
    return frames;
  }

  // Ends all surfaces of an owner; returns their frames.
  std::vector<Frame> DropOwner(Owner owner) {
    std::vector<Frame> frames;
    for (auto entry = surfaces_.begin(); entry != surfaces_.end();) {
      if (entry->second.surface.owner != owner) {
        ++entry;
        continue;
      }
      for (Frame& frame : TakeFrames(entry->second)) frames.push_back(std::move(frame));
      entry = surfaces_.erase(entry);
    }
    return frames;
  }

  // Calls visit(const Frame&) for each frame of the owner's, shown or waiting.
  template <typename Visit>
  void ForEachFrame(Owner owner, Visit visit) const {
    for (const auto& [id, entry] : surfaces_) {
      if (entry.surface.owner != owner) continue;
      if (entry.surface.shown) visit(*entry.surface.shown);
      for (const auto& [target_ns, frame] : entry.waiting) visit(frame);
    }
  }

  // All surfaces, the lowest depth first, the older first within a depth.
  std::vector<Surface*> FromBelow() {
    std::vector<Surface*> order;
    for (auto& [id, entry] : surfaces_) order.push_back(&entry.surface);
    std::stable_sort(order.begin(), order.end(), [](const Surface* a, const Surface* b) {
      return a->layer.depth < b->layer.depth;
    });
    return order;
  }

 private:
  struct Entry {
    Surface surface;
    std::multimap<int64_t, Frame> waiting;  // by target, in order of arrival within one
    int64_t shown_target_ns = 0;            // the latest of what was shown
  };

  static std::vector<Frame> TakeFrames(Entry& entry) {
    std::vector<Frame> frames;
    if (entry.surface.shown) frames.push_back(*std::move(entry.surface.shown));
    for (auto& [target_ns, frame] : entry.waiting) frames.push_back(std::move(frame));
    return frames;
  }

  std::map<uint32_t, Entry> surfaces_;
  uint32_t next_id_ = 1;
};

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_SCENE_H_
