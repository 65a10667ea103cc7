// Collecting and drawing the timeline.
#include "apps/parley/timeline.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "apps/parley/text.h"

namespace parley_tool {
namespace {

using parley::ThreadState;

constexpr double kLeft = 190, kRight = 24, kTop = 74, kLaneHeight = 46, kBarHeight = 12;
constexpr double kPlotWidth = 1050;
constexpr double kPriorityHeight = 18;  // of 255 levels, above the bar

struct StateStyle {
  ThreadState state;
  const char* css;
  const char* light;
  const char* dark;
};
constexpr StateStyle kStates[] = {
    {ThreadState::kRunning, "run", "#2a9d5c", "#3fc47a"},
    {ThreadState::kReady, "rdy", "#f2a93b", "#f5b84f"},
    {ThreadState::kSend, "snd", "#d6483e", "#ef6a5f"},
    {ThreadState::kReply, "rpl", "#7a5cc4", "#a58bea"},
    {ThreadState::kReceive, "rcv", "#c9d8ea", "#2f4258"},
    {ThreadState::kSleep, "slp", "#e4e4e0", "#33363b"},
    {ThreadState::kMutex, "mtx", "#c2507f", "#e0789f"},
    {ThreadState::kCondVar, "cnd", "#9fc5c0", "#3d6b66"},
    {ThreadState::kJoin, "jon", "#b9b39c", "#6b6654"},
};

const StateStyle* StyleOf(ThreadState state) {
  for (const StateStyle& style : kStates) {
    if (style.state == state) return &style;
  }
  return nullptr;
}

// A round distance between two ticks, for about eight of them.
int64_t TickDistance(int64_t span_ns) {
  int64_t distance = 1;
  for (;;) {
    for (int64_t step : {1, 2, 5}) {
      if (span_ns / (distance * step) <= 10) return distance * step;
    }
    distance *= 10;
  }
}

std::string StyleSheet() {
  std::string css =
      "<style>\n"
      "svg{--bg:#fff;--fg:#1d2330;--dim:#5d6675;--grid:#e3e6ec;--pri:#1f5fae;--snd:#444c5a;--rep:#"
      "7a5cc4;"
      "font:12px system-ui,sans-serif}\n";
  std::string dark =
      "@media "
      "(prefers-color-scheme:dark){svg{--bg:#14181f;--fg:#e6e9ef;--dim:#98a1b0;--grid:#2a303a;"
      "--pri:#7db4f5;--snd:#b4bcc9;--rep:#b7a0f2}\n";
  for (const StateStyle& style : kStates) {
    absl::StrAppend(&css, ".", style.css, "{fill:", style.light, "}");
    absl::StrAppend(&dark, ".", style.css, "{fill:", style.dark, "}");
  }
  absl::StrAppend(
      &css,
      "\n.bg{fill:var(--bg)}text{fill:var(--fg)}.dim{fill:var(--dim);font-size:11px}"
      ".num{fill:var(--pri);font-size:10px}.grid{stroke:var(--grid)}"
      ".pri{fill:none;stroke:var(--pri);stroke-width:1.3}"
      ".a{stroke:var(--snd);stroke-width:.9;fill:none;marker-end:url(#s)}"
      ".r{stroke:var(--rep);stroke-width:.9;fill:none;stroke-dasharray:3 2;marker-end:url(#e)}"
      ".m{stroke:#d6483e;stroke-width:1}.mt{fill:#d6483e;font-size:10px}"
      ".hs{fill:var(--snd)}.hr{fill:var(--rep)}\n");
  return absl::StrCat(css, dark, "}\n</style>\n");
}

}  // namespace

absl::StatusOr<Timeline::Window> Timeline::ParseWindow(const std::string& text) {
  Window window;
  if (text.empty()) return window;
  const std::vector<std::string> parts = absl::StrSplit(text, "..");
  absl::Duration begin, end;
  if (parts.size() != 2 || !absl::ParseDuration(parts[0], &begin) ||
      !absl::ParseDuration(parts[1], &end) || begin < absl::ZeroDuration() || end <= begin) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeline-window=", text, ": expected BEGIN..END such as 10ms..60ms"));
  }
  window.begin_ns = absl::ToInt64Nanoseconds(begin);
  window.end_ns = absl::ToInt64Nanoseconds(end);
  return window;
}

void Timeline::OnProcess(parley::ProcessId process, std::string_view name) {
  processes_[process] = std::string(name);
}

void Timeline::OnThread(parley::ThreadId thread, parley::ProcessId process, std::string_view name) {
  lane_by_thread_[thread] = lanes_.size();
  const std::string& owner = processes_[process];
  Lane& lane = lanes_.emplace_back();
  lane.name = name == "main" ? owner : absl::StrCat(owner, "/", std::string(name));
}

size_t Timeline::LaneOf(parley::ThreadId thread) {
  auto found = lane_by_thread_.find(thread);
  return found == lane_by_thread_.end() ? lanes_.size() : found->second;
}

void Timeline::CloseSegment(Lane& lane, int64_t now_ns) {
  Segment segment = lane.open;
  segment.begin_ns = std::max(segment.begin_ns, window_.begin_ns);
  segment.end_ns = std::min(now_ns, window_.end_ns);
  if (segment.end_ns <= segment.begin_ns || StyleOf(segment.state) == nullptr) return;
  lane.segments.push_back(segment);
  ++elements_;
}

void Timeline::OnEvent(const parley::TraceEvent& event) {
  if (stopped_ns_ != parley::kNever) return;
  if (Full()) {
    stopped_ns_ = event.time_ns;
    return;
  }
  const size_t index = LaneOf(event.thread);
  if (index == lanes_.size()) return;
  Lane& lane = lanes_[index];
  const bool inside = event.time_ns >= window_.begin_ns && event.time_ns <= window_.end_ns;
  switch (event.kind) {
    case parley::TraceKind::kState:
      CloseSegment(lane, event.time_ns);
      lane.open = {event.time_ns, 0, static_cast<ThreadState>(event.state)};
      return;
    case parley::TraceKind::kPriority:
      if (event.time_ns <= window_.begin_ns) lane.steps.clear();
      if (event.time_ns <= window_.end_ns) lane.steps.push_back({event.time_ns, event.priority});
      return;
    case parley::TraceKind::kSend:
      sent_[event.serial] = {index, event.time_ns};
      return;
    case parley::TraceKind::kReceive:
    case parley::TraceKind::kReply: {
      const bool reply = event.kind == parley::TraceKind::kReply;
      auto sent = sent_.find(event.serial);
      if (sent == sent_.end()) return;
      const bool visible = inside && (reply || sent->second.at_ns >= window_.begin_ns);
      if (visible) {
        ++elements_;
        arrows_.push_back(
            reply ? Arrow{index, sent->second.lane, event.time_ns, event.time_ns, true}
                  : Arrow{sent->second.lane, index, sent->second.at_ns, event.time_ns, false});
      }
      if (reply) sent_.erase(sent);
      return;
    }
    case parley::TraceKind::kMark:
      if (inside) lane.marks.push_back({event.time_ns, std::string(event.text)});
      return;
    default:
      return;
  }
}

// Draws one timeline into text.
class Timeline::Painter {
 public:
  Painter(int64_t begin_ns, int64_t end_ns, size_t lanes)
      : begin_ns_(begin_ns),
        end_ns_(std::max(end_ns, begin_ns + 1)),
        bottom_(kTop + kLaneHeight * static_cast<double>(lanes)) {}

  double X(int64_t ns) const {
    const double share = static_cast<double>(std::clamp(ns, begin_ns_, end_ns_) - begin_ns_) /
                         static_cast<double>(end_ns_ - begin_ns_);
    return kLeft + share * kPlotWidth;
  }

  void Head(const std::string& title, const std::string& subtitle) {
    const double width = kLeft + kPlotWidth + kRight, height = bottom_ + 62;
    absl::StrAppendFormat(&svg_,
                          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" "
                          "width=\"%g\" height=\"%g\">\n",
                          width, height, width, height);
    absl::StrAppend(&svg_, StyleSheet(), "<defs>");
    for (auto [id, css] : {std::pair{"s", "hs"}, {"e", "hr"}}) {
      absl::StrAppendFormat(
          &svg_,
          "<marker id=\"%s\" viewBox=\"0 0 6 6\" refX=\"5.5\" refY=\"3\" markerWidth=\"6\" "
          "markerHeight=\"6\" orient=\"auto\"><path class=\"%s\" d=\"M0 0L6 3L0 6z\"/></marker>",
          id, css);
    }
    absl::StrAppendFormat(&svg_, "</defs>\n<rect class=\"bg\" width=\"%g\" height=\"%g\"/>\n",
                          width, height);
    absl::StrAppendFormat(
        &svg_, "<text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"600\">%s</text>\n",
        XmlText(title));
    absl::StrAppendFormat(&svg_, "<text class=\"dim\" x=\"16\" y=\"44\">%s</text>\n",
                          XmlText(subtitle));
  }

  void Axis() {
    const int64_t distance = TickDistance(end_ns_ - begin_ns_);
    for (int64_t at = (begin_ns_ + distance - 1) / distance * distance; at <= end_ns_;
         at += distance) {
      absl::StrAppendFormat(&svg_,
                            "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\"/>",
                            X(at), X(at), kTop - 6, bottom_);
      absl::StrAppendFormat(
          &svg_, "<text class=\"dim\" x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%s</text>\n",
          X(at), kTop - 11, FormatNs(at));
    }
  }

  void DrawLane(const Lane& lane) {
    const double bar = lane.top + kPriorityHeight + 8;
    absl::StrAppendFormat(&svg_, "<line class=\"grid\" x1=\"16\" x2=\"%g\" y1=\"%g\" y2=\"%g\"/>",
                          kLeft + kPlotWidth, lane.top, lane.top);
    absl::StrAppendFormat(&svg_, "<text x=\"16\" y=\"%g\">%s</text>\n", bar + 10,
                          XmlText(lane.name));
    for (const Segment& segment : lane.segments) {
      const StateStyle* style = StyleOf(segment.state);
      const double width = std::max(0.4, X(segment.end_ns) - X(segment.begin_ns));
      absl::StrAppendFormat(&svg_,
                            "<rect class=\"%s\" x=\"%.1f\" y=\"%g\" width=\"%.1f\" "
                            "height=\"%g\"><title>%s, %s</title></rect>\n",
                            style->css, X(segment.begin_ns), bar, width, kBarHeight,
                            std::string(Name(segment.state)),
                            FormatNs(segment.end_ns - segment.begin_ns));
    }
    DrawPriority(lane);
    double text_end = 0;
    for (const Mark& mark : lane.marks) {
      absl::StrAppendFormat(&svg_,
                            "<line class=\"m\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\"/>",
                            X(mark.at_ns), X(mark.at_ns), lane.top + 4, bar + kBarHeight + 3);
      const double x = std::min(X(mark.at_ns) + 3,
                                kLeft + kPlotWidth - 6.0 * static_cast<double>(mark.text.size()));
      if (x < text_end) continue;
      text_end = x + 6.0 * static_cast<double>(mark.text.size());
      absl::StrAppendFormat(&svg_, "<text class=\"mt\" x=\"%.1f\" y=\"%g\">%s</text>\n", x,
                            lane.top + 12, XmlText(mark.text));
    }
  }

  void DrawArrow(const Arrow& arrow, const std::vector<Lane>& lanes) {
    const double bar = kPriorityHeight + 8;
    const bool down = arrow.to > arrow.from;
    const double from = lanes[arrow.from].top + bar + (down ? kBarHeight : 0);
    const double to = lanes[arrow.to].top + bar + (down ? 0 : kBarHeight);
    absl::StrAppendFormat(&svg_,
                          "<line class=\"%s\" x1=\"%.1f\" y1=\"%g\" x2=\"%.1f\" y2=\"%g\"/>\n",
                          arrow.reply ? "r" : "a", X(arrow.at_ns), from, X(arrow.arrives_ns), to);
  }

  std::string Legend() {
    double x = 16;
    const double y = bottom_ + 26;
    for (const StateStyle& style : kStates) {
      const std::string name(Name(style.state));
      absl::StrAppendFormat(&svg_,
                            "<rect class=\"%s\" x=\"%g\" y=\"%g\" width=\"14\" height=\"10\"/>",
                            style.css, x, y - 9);
      absl::StrAppendFormat(&svg_, "<text class=\"dim\" x=\"%g\" y=\"%g\">%s</text>\n", x + 19, y,
                            name);
      x += 34 + 7.6 * static_cast<double>(name.size());
    }
    absl::StrAppendFormat(
        &svg_,
        "<line class=\"a\" x1=\"%g\" y1=\"%g\" x2=\"%g\" y2=\"%g\"/><text class=\"dim\" x=\"%g\" "
        "y=\"%g\">send to receive</text>",
        x, y - 4, x + 24, y - 4, x + 29, y);
    absl::StrAppendFormat(
        &svg_,
        "<line class=\"r\" x1=\"%g\" y1=\"%g\" x2=\"%g\" y2=\"%g\"/><text class=\"dim\" x=\"%g\" "
        "y=\"%g\">reply</text>",
        x + 122, y - 4, x + 146, y - 4, x + 151, y);
    absl::StrAppendFormat(&svg_,
                          "<path class=\"pri\" d=\"M%g %gh10v-7h14\"/><text class=\"dim\" x=\"%g\" "
                          "y=\"%g\">effective "
                          "priority</text>\n</svg>\n",
                          x + 190, y, x + 219, y);
    return std::move(svg_);
  }

 private:
  // Higher is higher: 1 just above the bar, 255 at the lane's top.
  static double PriorityY(const Lane& lane, int priority) {
    return lane.top + 5 + kPriorityHeight * (1 - priority / 255.0);
  }

  void DrawPriority(const Lane& lane) {
    if (lane.steps.empty() || lane.segments.empty()) return;
    const int64_t until_ns = lane.segments.back().end_ns;
    std::string path = absl::StrFormat("M%.1f %.1f", X(lane.steps[0].at_ns),
                                       PriorityY(lane, lane.steps[0].priority));
    double label_end = 0;
    for (const Step& step : lane.steps) {
      const double x = X(step.at_ns), y = PriorityY(lane, step.priority);
      absl::StrAppendFormat(&path, "H%.1fV%.1f", x, y);
      if (x < label_end) continue;
      label_end = x + 24;
      absl::StrAppendFormat(&svg_, "<text class=\"num\" x=\"%.1f\" y=\"%.1f\">%d</text>", x + 2,
                            y > lane.top + 14 ? y - 2.5 : y + 10, step.priority);
    }
    absl::StrAppendFormat(&svg_, "<path class=\"pri\" d=\"%sH%.1f\"/>\n", path, X(until_ns));
  }

  const int64_t begin_ns_;
  const int64_t end_ns_;
  const double bottom_;
  std::string svg_;
};

std::string Timeline::Draw(const std::string& title, int64_t end_ns) {
  const int64_t last_ns = std::min({end_ns, window_.end_ns, stopped_ns_});
  for (Lane& lane : lanes_) CloseSegment(lane, last_ns);
  for (size_t i = 0; i < lanes_.size(); ++i) {
    lanes_[i].top = kTop + kLaneHeight * static_cast<double>(i);
  }
  const bool whole = window_.begin_ns == 0 && last_ns == end_ns;
  const std::string shown =
      whole ? absl::StrCat("the whole run, ", FormatNs(end_ns))
            : absl::StrCat(FormatNs(window_.begin_ns), " to ", FormatNs(last_ns), " of a run of ",
                           FormatNs(end_ns));
  Painter painter(window_.begin_ns, last_ns, lanes_.size());
  painter.Head(title, absl::StrCat(shown, " of virtual time"));
  painter.Axis();
  for (const Lane& lane : lanes_) painter.DrawLane(lane);
  for (const Arrow& arrow : arrows_) painter.DrawArrow(arrow, lanes_);
  return painter.Legend();
}

}  // namespace parley_tool
