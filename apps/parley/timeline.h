// The timeline picture: what every thread did, drawn as SVG.
//
// One lane a thread: a bar coloured by state, above it the effective priority as a step line.
// Arrows from send to receive, and from reply back to the client. Legible in light and dark; needs
// no script.
#ifndef PARLEY_APPS_PARLEY_TIMELINE_H_
#define PARLEY_APPS_PARLEY_TIMELINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "libipc/machine.h"

namespace parley_tool {

class Timeline : public parley::TraceSink {
 public:
  struct Window {
    int64_t begin_ns = 0;
    int64_t end_ns = parley::kNever;  // never: as much as can be drawn legibly
  };
  // "10ms..60ms"; empty is from the start on. InvalidArgument.
  static absl::StatusOr<Window> ParseWindow(const std::string& text);

  explicit Timeline(const Window& window) : window_(window) {}

  void OnProcess(parley::ProcessId process, std::string_view name) override;
  void OnThread(parley::ThreadId thread, parley::ProcessId process, std::string_view name) override;
  void OnChannel(parley::ChannelId, parley::ProcessId, std::string_view) override {}
  void OnEvent(const parley::TraceEvent& event) override;

  // The whole picture. `end_ns`: when the run ended.
  std::string Draw(const std::string& title, int64_t end_ns);

 private:
  struct Segment {
    int64_t begin_ns = 0;
    int64_t end_ns = 0;
    parley::ThreadState state = parley::ThreadState::kStopped;
  };
  struct Step {
    int64_t at_ns = 0;
    int priority = 0;
  };
  struct Mark {
    int64_t at_ns = 0;
    std::string text;
  };
  struct Lane {
    std::string name;
    Segment open;  // the state it is in
    std::vector<Segment> segments;
    std::vector<Step> steps;
    std::vector<Mark> marks;
    double top = 0;
  };
  struct Arrow {
    size_t from = 0, to = 0;  // lanes
    int64_t at_ns = 0, arrives_ns = 0;
    bool reply = false;
  };
  struct Sent {
    size_t lane = 0;
    int64_t at_ns = 0;
  };
  class Painter;

  bool Full() const { return elements_ >= kMaxElements; }
  size_t LaneOf(parley::ThreadId thread);
  void CloseSegment(Lane& lane, int64_t now_ns);

  static constexpr int kMaxElements = 3000;
  const Window window_;
  int64_t stopped_ns_ = parley::kNever;  // when the picture was full
  int elements_ = 0;
  absl::flat_hash_map<parley::ProcessId, std::string> processes_;
  absl::flat_hash_map<parley::ThreadId, size_t> lane_by_thread_;
  std::vector<Lane> lanes_;
  std::vector<Arrow> arrows_;
  absl::flat_hash_map<uint64_t, Sent> sent_;  // by serial
};

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_TIMELINE_H_
