// Collects from a trace what the timeline picture shows: a window of the run, bounded in size.
//
// Invariants:
//   1. The states, priorities and sends in progress are followed throughout, so that a window that
//      begins late begins with what was the case then.
//   2. Once frozen nothing more is recorded, until a remark begins a window anew.
#ifndef PARLEY_APPS_PARLEY_TIMELINE_H_
#define PARLEY_APPS_PARLEY_TIMELINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "apps/parley/timeline_picture.h"
#include "libipc/machine.h"

namespace parley_tool {

class Timeline : public parley::TraceSink {
 public:
  struct Window {
    int64_t begin_ns = 0;
    int64_t end_ns = parley::kNever;
  };
  // "10ms..60ms". InvalidArgument.
  static absl::StatusOr<Window> ParseWindow(const std::string& text);

  // Without a window: from a program's remark "timeline:begin" to "timeline:end", or from the
  // start; in each case as much as a legible picture holds.
  explicit Timeline(std::optional<Window> window);

  void OnProcess(parley::ProcessId process, std::string_view name) override;
  void OnThread(parley::ThreadId thread, parley::ProcessId process, std::string_view name) override;
  void OnChannel(parley::ChannelId channel, parley::ProcessId process,
                 std::string_view name) override;
  void OnEvent(const parley::TraceEvent& event) override;

  // The picture; says in its subtitle which part of the run it shows. `end_ns`: when the run ended.
  std::string Draw(const std::string& title, int64_t end_ns, bool real_time = false);

  static constexpr size_t kMaxElements = 4000;  // bars, arrows and remarks
  static constexpr size_t kMaxLanes = 48;

 private:
  struct Sent {
    size_t lane = 0;
    int64_t at_ns = 0;
  };
  using PulseKey = std::tuple<parley::ChannelId, uint8_t, uint64_t>;  // channel, code, value

  size_t LaneOf(const parley::TraceEvent& event) const;  // lanes count: none
  void OnState(size_t lane, const parley::TraceEvent& event);
  void OnPriority(size_t lane, const parley::TraceEvent& event);
  void OnMessage(size_t lane, const parley::TraceEvent& event);
  void OnPulse(size_t lane, const parley::TraceEvent& event);
  void OnRemark(size_t lane, const parley::TraceEvent& event);
  void AddArrow(Picture::ArrowKind kind, const Sent& from, size_t to, int64_t now_ns);
  void CloseSegment(size_t lane, int64_t now_ns);
  void Begin(int64_t now_ns);
  void Freeze(int64_t now_ns);
  void ArrangeLanes();
  std::string Subtitle(int64_t run_end_ns, bool real_time, size_t all_lanes) const;

  const bool follows_remarks_;
  Window window_;
  bool frozen_ = false;
  size_t elements_ = 0;
  Picture picture_;
  std::vector<Picture::Segment> open_;  // by lane: the state it is in
  absl::flat_hash_map<parley::ProcessId, std::string> processes_;
  absl::flat_hash_map<parley::ProcessId, size_t> first_lane_;
  absl::flat_hash_map<parley::ChannelId, std::string> channels_;
  absl::flat_hash_map<parley::ThreadId, size_t> lane_by_thread_;
  absl::flat_hash_map<uint64_t, Sent> sent_;  // by serial
  absl::flat_hash_map<PulseKey, Sent> pulses_;
};

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_TIMELINE_H_
