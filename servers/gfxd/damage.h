// Damage: which parts of a picture have to be drawn again.
//
// A few rectangles that cover at least what was added, and some of what lies between if that is
// many. They may overlap: composing a part twice gives the same picture. Not thread-safe.
#ifndef PARLEY_SERVERS_GFXD_DAMAGE_H_
#define PARLEY_SERVERS_GFXD_DAMAGE_H_

#include <climits>
#include <vector>

#include "servers/gfxd/pixel.h"

namespace gfxd {

class Damage {
 public:
  static constexpr size_t kMaxRects = 16;

  Damage() = default;
  // Of what lies within these bounds.
  explicit Damage(const Rect& bounds) : bounds_(bounds) {}

  void Add(Rect rect);
  void Add(const Damage& other) {
    for (const Rect& rect : other.rects_) Add(rect);
  }
  void Clear() { rects_.clear(); }
  const std::vector<Rect>& rects() const { return rects_; }

 private:
  Rect bounds_ = {INT_MIN / 2, INT_MIN / 2, INT_MAX, INT_MAX};
  std::vector<Rect> rects_;  // at most kMaxRects, none of them empty
};

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_DAMAGE_H_
