// Rectangles that are merged where that costs nothing, or where they become too many.
#include "servers/gfxd/damage.h"

#include <algorithm>

namespace gfxd {

void Damage::Add(Rect rect) {
  rect = Intersect(rect, bounds_);
  if (IsEmpty(rect)) return;
  const auto merges = [&rect](const Rect& other) {
    return AreaOf(Union(rect, other)) <= AreaOf(rect) + AreaOf(other);
  };
  // One that has grown may now merge with another.
  for (auto found = std::find_if(rects_.begin(), rects_.end(), merges); found != rects_.end();
       found = std::find_if(rects_.begin(), rects_.end(), merges)) {
    rect = Union(rect, *found);
    rects_.erase(found);
  }
  if (rects_.size() == kMaxRects) {
    for (const Rect& other : rects_) rect = Union(rect, other);
    rects_.clear();
  }
  rects_.push_back(rect);
}

}  // namespace gfxd
