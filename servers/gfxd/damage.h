// Damage: which parts of a picture have to be drawn again.
//
// A few rectangles that cover at least what was added, and some of what lies between if that is
// many. They may overlap: composing a part twice gives the same picture. Not thread-safe.
#ifndef PARLEY_SERVERS_GFXD_DAMAGE_H_
#define PARLEY_SERVERS_GFXD_DAMAGE_H_

#include <vector>

#include "servers/gfxd/pixel.h"

namespace gfxd {

class Damage {
 public:
  static constexpr size_t kMaxRects = 16;

  void Add(Rect rect);
  void Add(const Damage& other) {
    for (const Rect& rect : other.rects_) Add(rect);
  }
  void Clear() { rects_.clear(); }
  const std::vector<Rect>& rects() const { return rects_; }

 private:
  std::vector<Rect> rects_;  // at most kMaxRects, none of them empty
};

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_DAMAGE_H_
