// What a timeline shows, as values, and its drawing as SVG.
//
// One lane a thread: a bar for each state, as thick as the thread is busy, and above the bars the
// effective priority as a step line. Needs no script; follows the viewer's light or dark scheme.
#ifndef PARLEY_APPS_PARLEY_TIMELINE_PICTURE_H_
#define PARLEY_APPS_PARLEY_TIMELINE_PICTURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "libipc/machine.h"

namespace parley_tool {

struct Picture {
  struct Segment {
    int64_t begin_ns = 0;
    int64_t end_ns = 0;
    parley::ThreadState state = parley::ThreadState::kStopped;
    std::string on;  // the channel it waits on, if any
  };
  struct Step {
    int64_t at_ns = 0;
    int priority = 0;  // effective, from here on
  };
  struct Mark {
    int64_t at_ns = 0;
    std::string text;
  };
  struct Lane {
    std::string name;
    int base_priority = 0;  // 0: not known
    std::vector<Segment> segments;
    std::vector<Step> steps;
    std::vector<Mark> marks;
  };
  enum class ArrowKind { kRequest, kReply, kPulse };
  struct Arrow {
    ArrowKind kind = ArrowKind::kRequest;
    size_t from = 0, to = 0;  // lanes
    int64_t at_ns = 0, arrives_ns = 0;
  };

  std::string title;
  std::string subtitle;
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
  std::vector<Lane> lanes;  // from the top
  std::vector<Arrow> arrows;
};

// States that a picture shows; a thread that is STOPPED or DEAD leaves its lane empty.
bool IsDrawn(parley::ThreadState state);

// The same text for the same picture. REQUIRES: every arrow's lanes exist.
std::string DrawSvg(const Picture& picture);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_TIMELINE_PICTURE_H_
