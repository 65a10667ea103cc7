// Collecting the timeline.
#include "apps/parley/timeline.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "apps/parley/text.h"

namespace parley_tool {

using parley::ThreadState;
using parley::TraceEvent;
using parley::TraceKind;

absl::StatusOr<Timeline::Window> Timeline::ParseWindow(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, "..");
  absl::Duration begin, end;
  if (parts.size() != 2 || !absl::ParseDuration(parts[0], &begin) ||
      !absl::ParseDuration(parts[1], &end) || begin < absl::ZeroDuration() || end <= begin) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeline-window=", text, ": expected BEGIN..END such as 10ms..60ms"));
  }
  return Window{absl::ToInt64Nanoseconds(begin), absl::ToInt64Nanoseconds(end)};
}

Timeline::Timeline(std::optional<Window> window)
    : follows_remarks_(!window.has_value()), window_(window.value_or(Window())) {}

void Timeline::OnProcess(parley::ProcessId process, std::string_view name) {
  processes_[process] = std::string(name);
}

void Timeline::OnThread(parley::ThreadId thread, parley::ProcessId process, std::string_view name) {
  const size_t lane = picture_.lanes.size();
  lane_by_thread_[thread] = lane;
  first_lane_.try_emplace(process, lane);
  const std::string& owner = processes_[process];
  picture_.lanes.emplace_back().name =
      name == "main" ? owner : absl::StrCat(owner, "/", std::string(name));
  open_.emplace_back();
}

void Timeline::OnChannel(parley::ChannelId channel, parley::ProcessId, std::string_view name) {
  channels_[channel] = std::string(name);
}

// What befell a process as a whole shows in the lane of its first thread.
size_t Timeline::LaneOf(const TraceEvent& event) const {
  if (auto found = lane_by_thread_.find(event.thread); found != lane_by_thread_.end()) {
    return found->second;
  }
  auto first = first_lane_.find(event.process);
  return first != first_lane_.end() ? first->second : picture_.lanes.size();
}

void Timeline::OnEvent(const TraceEvent& event) {
  if (!frozen_ && elements_ >= kMaxElements) Freeze(event.time_ns);
  if (!frozen_ && event.time_ns > window_.end_ns) Freeze(window_.end_ns);
  const size_t lane = LaneOf(event);
  switch (event.kind) {
    case TraceKind::kState:
      return OnState(lane, event);
    case TraceKind::kPriority:
      return OnPriority(lane, event);
    case TraceKind::kSend:
    case TraceKind::kReceive:
    case TraceKind::kReply:
    case TraceKind::kSendFailed:
      return OnMessage(lane, event);
    case TraceKind::kPulseSent:
    case TraceKind::kPulseReceived:
      return OnPulse(lane, event);
    case TraceKind::kProcessExit:
      // A service that ends with the run is killed too, which is no news.
      if (event.state <= static_cast<uint8_t>(parley::ExitKind::kKilled)) return;
      return OnRemark(lane, event);
    case TraceKind::kMark:
    case TraceKind::kFault:
      return OnRemark(lane, event);
    default:
      return;
  }
}

void Timeline::OnState(size_t lane, const TraceEvent& event) {
  if (lane == picture_.lanes.size()) return;
  CloseSegment(lane, event.time_ns);
  auto channel = channels_.find(event.object);
  open_[lane] = {event.time_ns, 0, static_cast<ThreadState>(event.state),
                 channel == channels_.end() ? "" : channel->second};
}

void Timeline::CloseSegment(size_t lane, int64_t now_ns) {
  if (frozen_) return;
  Picture::Segment segment = open_[lane];
  segment.begin_ns = std::max(segment.begin_ns, window_.begin_ns);
  segment.end_ns = now_ns;
  if (segment.end_ns <= segment.begin_ns || !IsDrawn(segment.state)) return;
  picture_.lanes[lane].segments.push_back(std::move(segment));
  ++elements_;
}

void Timeline::OnPriority(size_t lane, const TraceEvent& event) {
  if (lane == picture_.lanes.size() || frozen_) return;
  Picture::Lane& its = picture_.lanes[lane];
  its.base_priority = static_cast<int>(event.value);
  if (event.time_ns <= window_.begin_ns) its.steps.clear();
  if (!its.steps.empty() && its.steps.back().at_ns == event.time_ns) its.steps.pop_back();
  its.steps.push_back({event.time_ns, event.priority});
}

void Timeline::OnMessage(size_t lane, const TraceEvent& event) {
  if (event.kind == TraceKind::kSend) {
    sent_[event.serial] = {lane, event.time_ns};
    return;
  }
  auto sent = sent_.find(event.serial);
  if (sent == sent_.end()) return;
  if (event.kind == TraceKind::kReceive) {
    return AddArrow(Picture::ArrowKind::kRequest, sent->second, lane, event.time_ns);
  }
  if (event.kind == TraceKind::kReply) {
    AddArrow(Picture::ArrowKind::kReply, {lane, event.time_ns}, sent->second.lane, event.time_ns);
  }
  sent_.erase(sent);
}

// Pulses that coalesce are one arrow, from the last of them. Those of timers and of the kernel come
// from no lane.
void Timeline::OnPulse(size_t lane, const TraceEvent& event) {
  const PulseKey key = {event.object, event.state, event.value};
  if (event.kind == TraceKind::kPulseSent) {
    if (event.thread == parley::ThreadId::kNone) return;
    pulses_[key] = {lane, event.time_ns};
    return;
  }
  auto sent = pulses_.find(key);
  if (sent == pulses_.end()) return;
  AddArrow(Picture::ArrowKind::kPulse, sent->second, lane, event.time_ns);
  pulses_.erase(sent);
}

void Timeline::AddArrow(Picture::ArrowKind kind, const Sent& from, size_t to, int64_t now_ns) {
  const size_t none = picture_.lanes.size();
  if (frozen_ || from.at_ns < window_.begin_ns || from.lane == to) return;
  if (from.lane == none || to == none) return;
  picture_.arrows.push_back({kind, from.lane, to, from.at_ns, now_ns});
  ++elements_;
}

void Timeline::OnRemark(size_t lane, const TraceEvent& event) {
  if (follows_remarks_ && event.text == "timeline:begin") return Begin(event.time_ns);
  if (follows_remarks_ && event.text == "timeline:end") return Freeze(event.time_ns);
  if (lane == picture_.lanes.size() || frozen_ || event.time_ns < window_.begin_ns) return;
  picture_.lanes[lane].marks.push_back({event.time_ns, std::string(event.text)});
  ++elements_;
}

void Timeline::Begin(int64_t now_ns) {
  window_.begin_ns = now_ns;
  frozen_ = false;
  elements_ = 0;
  picture_.arrows.clear();
  for (Picture::Lane& lane : picture_.lanes) {
    lane.segments.clear();
    lane.marks.clear();
    if (lane.steps.size() > 1) lane.steps.erase(lane.steps.begin(), lane.steps.end() - 1);
  }
}

void Timeline::Freeze(int64_t now_ns) {
  if (frozen_) return;
  for (size_t lane = 0; lane < picture_.lanes.size(); ++lane) CloseSegment(lane, now_ns);
  window_.end_ns = now_ns;
  frozen_ = true;
}

// Threads that did not live in the window have no lane; the name server, which is in every run,
// comes last; beyond kMaxLanes the rest is left out.
void Timeline::ArrangeLanes() {
  std::vector<size_t> order;
  for (size_t i = 0; i < picture_.lanes.size(); ++i) {
    if (!picture_.lanes[i].segments.empty()) order.push_back(i);
  }
  std::stable_partition(order.begin(), order.end(),
                        [&](size_t i) { return picture_.lanes[i].name != "nameserver"; });
  if (order.size() > kMaxLanes) order.resize(kMaxLanes);
  absl::flat_hash_map<size_t, size_t> place;
  std::vector<Picture::Lane> lanes;
  for (size_t i : order) {
    place[i] = lanes.size();
    lanes.push_back(std::move(picture_.lanes[i]));
    // What a run's end does to priorities is no part of the run.
    std::vector<Picture::Step>& steps = lanes.back().steps;
    while (steps.size() > 1 && steps.back().at_ns >= window_.end_ns) steps.pop_back();
  }
  picture_.lanes = std::move(lanes);
  std::vector<Picture::Arrow> arrows;
  for (Picture::Arrow arrow : picture_.arrows) {
    if (!place.contains(arrow.from) || !place.contains(arrow.to)) continue;
    arrow.from = place[arrow.from];
    arrow.to = place[arrow.to];
    arrows.push_back(arrow);
  }
  picture_.arrows = std::move(arrows);
}

std::string Timeline::Subtitle(int64_t run_end_ns, bool real_time, size_t all_lanes) const {
  const bool whole = window_.begin_ns == 0 && window_.end_ns >= run_end_ns;
  std::string text =
      whole ? absl::StrCat("the whole run, ", FormatNs(run_end_ns))
            : absl::StrCat(FormatNs(window_.begin_ns), " to ", FormatNs(window_.end_ns),
                           " of a run of ", FormatNs(run_end_ns));
  absl::StrAppend(&text, real_time ? " of real time" : " of virtual time");
  if (elements_ >= kMaxElements) absl::StrAppend(&text, "; cut where the picture is full");
  if (all_lanes > kMaxLanes) {
    absl::StrAppend(&text, "; ", kMaxLanes, " of ", all_lanes, " threads");
  }
  return text;
}

std::string Timeline::Draw(const std::string& title, int64_t end_ns, bool real_time) {
  Freeze(std::min(end_ns, window_.end_ns));
  const auto alive = std::count_if(picture_.lanes.begin(), picture_.lanes.end(),
                                   [](const auto& lane) { return !lane.segments.empty(); });
  ArrangeLanes();
  picture_.title = title;
  picture_.subtitle = Subtitle(end_ns, real_time, static_cast<size_t>(alive));
  picture_.begin_ns = window_.begin_ns;
  picture_.end_ns = window_.end_ns;
  return DrawSvg(picture_);
}

}  // namespace parley_tool
