// Drawing a timeline.
#include "apps/parley/timeline_picture.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "apps/parley/text.h"

namespace parley_tool {
namespace {

using parley::ThreadState;

// Sizes in pixels. A lane from its top: priority labels and line, bars, then its marks if any.
constexpr double kMargin = 16, kPlotWidth = 850, kTop = 80;
constexpr double kPriorityTop = 12, kPriorityHeight = 14;
constexpr double kBarMiddle = 40, kLaneHeight = 54, kMarkHeight = 12;
constexpr double kCharacter = 6.7;       // of lane names
constexpr double kSmallCharacter = 5.6;  // of labels in the plot
constexpr size_t kMaxNameLength = 26;

struct StateStyle {
  ThreadState state;
  const char* css;
  double height;
  const char* light;
  const char* dark;
};
constexpr StateStyle kStates[] = {
    {ThreadState::kRunning, "run", 15, "#17966b", "#35c08f"},
    {ThreadState::kReady, "rdy", 9, "#efa32b", "#f3b544"},
    {ThreadState::kSend, "snd", 9, "#d5453f", "#f0695f"},
    {ThreadState::kReply, "rpl", 9, "#8468cc", "#a48cec"},
    {ThreadState::kReceive, "rcv", 4, "#b4cbe6", "#39536f"},
    {ThreadState::kSleep, "slp", 4, "#dcdcd6", "#3a3e45"},
    {ThreadState::kMutex, "mtx", 9, "#c2507f", "#e0789f"},
    {ThreadState::kCondVar, "cnd", 4, "#9fc5c0", "#3d6b66"},
    {ThreadState::kJoin, "jon", 4, "#b9b39c", "#6b6654"},
};

const StateStyle* StyleOf(ThreadState state) {
  for (const StateStyle& style : kStates) {
    if (style.state == state) return &style;
  }
  return nullptr;
}

struct ArrowStyle {
  const char* css;
  const char* legend;
};
constexpr ArrowStyle kArrows[] = {
    {"a", "send to receive"}, {"r", "reply to client"}, {"p", "pulse"}};

ArrowStyle StyleOf(Picture::ArrowKind kind) { return kArrows[static_cast<size_t>(kind)]; }

struct Colour {
  const char* name;  // in kColoured
  const char* light;
  const char* dark;
};
constexpr Colour kColours[] = {
    {"$background", "#fff", "#12161c"}, {"$text", "#1d2330", "#e6e9ef"},
    {"$dim", "#5d6675", "#98a1b0"},     {"$grid", "#e6e9ee", "#232932"},
    {"$line", "#cfd5de", "#343c48"},    {"$priority", "#1f5fae", "#82b6f5"},
    {"$send", "#3c4657", "#c3cad6"},    {"$reply", "#7657c9", "#b9a3f5"},
    {"$pulse", "#0f8b8d", "#58c9c9"},   {"$mark", "#c22f2a", "#ff8078"},
};

// Written out for each of the two themes: viewers other than browsers know no variables.
constexpr char kColoured[] =
    "text{fill:$text}.bg{fill:$background}.dim{fill:$dim}.halo{stroke:$background}"
    ".num{fill:$priority}.grid{stroke:$grid}.sep{stroke:$line}.pri{stroke:$priority}"
    ".a{stroke:$send}.r{stroke:$reply}.p{stroke:$pulse}"
    ".ha{fill:$send}.hr{fill:$reply}.hp{fill:$pulse}.m{stroke:$mark}.mt{fill:$mark}";
constexpr char kPlain[] =
    "text{font:12px system-ui,'Segoe UI',Helvetica,Arial,sans-serif}"
    ".title{font-size:17px;font-weight:600}.dim{font-size:11px}"
    ".halo{stroke-width:3px;stroke-linejoin:round;paint-order:stroke}.num{font-size:9.5px}"
    ".pri{fill:none;stroke-width:1.4}.a,.r,.p{fill:none;stroke-width:1;stroke-opacity:.85}"
    ".a{marker-end:url(#a)}.r{stroke-dasharray:4 2.5;marker-end:url(#r)}"
    ".p{stroke-dasharray:1.5 2;marker-end:url(#p)}.m{stroke-width:1.4}"
    ".mt{font-size:10.5px;font-weight:600}";

std::string Colours(bool dark) {
  std::vector<std::pair<absl::string_view, absl::string_view>> values;
  for (const Colour& colour : kColours) {
    values.emplace_back(colour.name, dark ? colour.dark : colour.light);
  }
  std::string rules = absl::StrReplaceAll(kColoured, values);
  for (const StateStyle& style : kStates) {
    absl::StrAppend(&rules, ".", style.css, "{fill:", dark ? style.dark : style.light, "}");
  }
  return rules;
}

std::string StyleSheet() {
  return absl::StrCat("<style>\n", kPlain, "\n", Colours(/*dark=*/false),
                      "\n@media (prefers-color-scheme:dark){", Colours(/*dark=*/true),
                      "}\n</style>\n");
}

// A round distance between two ticks, for ten of them at most.
int64_t TickDistance(int64_t span_ns) {
  for (int64_t power = 1;; power *= 10) {
    for (int64_t step : {1, 2, 5}) {
      if (span_ns / (power * step) <= 10) return power * step;
    }
  }
}

// Times along the axis share one unit, and show every digit in which neighbours differ.
class AxisFormat {
 public:
  AxisFormat(int64_t end_ns, int64_t distance_ns) {
    for (auto [name, ns] : {std::pair{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}}) {
      if (static_cast<double>(end_ns) < ns) continue;
      unit_ = name;
      unit_ns_ = ns;
      break;
    }
    const double share = unit_ns_ / static_cast<double>(distance_ns);
    decimals_ = share <= 1 ? 0 : static_cast<int>(std::ceil(std::log10(share) - 1e-9));
  }
  std::string operator()(int64_t ns) const {
    return absl::StrFormat("%.*f %s", decimals_, static_cast<double>(ns) / unit_ns_, unit_);
  }

 private:
  const char* unit_ = "ns";
  double unit_ns_ = 1;
  int decimals_ = 0;
};

std::string Shortened(const std::string& name) {
  return name.size() <= kMaxNameLength ? name
                                       : absl::StrCat(name.substr(0, kMaxNameLength - 1), "\u2026");
}

class Painter {
 public:
  explicit Painter(const Picture& picture)
      : picture_(picture), end_ns_(std::max(picture.end_ns, picture.begin_ns + 1)) {
    size_t longest = 0;
    for (const Picture::Lane& lane : picture.lanes) {
      longest = std::max(longest, Shortened(lane.name).size());
      for (const Picture::Step& step : lane.steps) ranks_.insert({step.priority, 0});
    }
    int rank = 0;
    for (auto& [priority, its_rank] : ranks_) its_rank = rank++;
    left_ = std::max(110.0, 2 * kMargin + kCharacter * static_cast<double>(longest));
    bottom_ = kTop;
    for (const Picture::Lane& lane : picture.lanes) {
      tops_.push_back(bottom_);
      bottom_ += kLaneHeight + (lane.marks.empty() ? 0 : kMarkHeight);
    }
  }

  std::string Draw() {
    Axis();
    for (size_t i = 0; i < tops_.size(); ++i) Bars(picture_.lanes[i], tops_[i]);
    for (const Picture::Arrow& arrow : picture_.arrows) DrawArrow(arrow);
    for (size_t i = 0; i < tops_.size(); ++i) {
      Priorities(picture_.lanes[i], tops_[i]);
      Marks(picture_.lanes[i], tops_[i]);
    }
    const double height = Legend() + kMargin;
    return absl::StrCat(Head(height), body_, "</svg>\n");
  }

 private:
  double right() const { return left_ + kPlotWidth; }

  double X(int64_t ns) const {
    const int64_t inside = std::clamp(ns, picture_.begin_ns, end_ns_) - picture_.begin_ns;
    return left_ + kPlotWidth * static_cast<double>(inside) /
                       static_cast<double>(end_ns_ - picture_.begin_ns);
  }

  // By rank among the priorities in the picture, so that 10 and 20 stand as clear of each other as
  // 20 and 200.
  double PriorityY(double top, int priority) const {
    const auto highest = static_cast<double>(std::max<size_t>(ranks_.size() - 1, 1));
    return top + kPriorityTop + kPriorityHeight * (1 - ranks_.at(priority) / highest);
  }

  template <typename... Arguments>
  void Add(const absl::FormatSpec<Arguments...>& format, const Arguments&... arguments) {
    absl::StrAppendFormat(&body_, format, arguments...);
  }

  void AddText(const char* css, double x, double y, const std::string& text,
               const char* anchor = "start") {
    Add("<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", css, x, y,
        anchor, XmlText(text));
  }

  std::string Head(double height) const {
    const double width = right() + kMargin + 8;
    std::string head = absl::StrFormat(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
        "height=\"%.0f\" role=\"img\">\n<title>%s</title>\n",
        width, height, width, height, XmlText(picture_.title));
    absl::StrAppend(&head, StyleSheet(), "<defs>");
    for (const ArrowStyle& style : kArrows) {
      absl::StrAppendFormat(
          &head,
          "<marker id=\"%s\" viewBox=\"0 0 8 6\" refX=\"7.5\" refY=\"3\" markerWidth=\"7\" "
          "markerHeight=\"5.2\" orient=\"auto\"><path class=\"h%s\" d=\"M0 0L8 3L0 6z\"/></marker>",
          style.css, style.css);
    }
    absl::StrAppendFormat(&head,
                          "</defs>\n<rect class=\"bg\" width=\"%.0f\" height=\"%.0f\"/>\n"
                          "<text class=\"title\" x=\"%.0f\" y=\"28\">%s</text>\n"
                          "<text class=\"dim\" x=\"%.0f\" y=\"47\">%s</text>\n",
                          width, height, kMargin, XmlText(picture_.title), kMargin,
                          XmlText(picture_.subtitle));
    return head;
  }

  void Axis() {
    const int64_t distance = TickDistance(end_ns_ - picture_.begin_ns);
    const AxisFormat format(end_ns_, distance);
    const int64_t first = (picture_.begin_ns + distance - 1) / distance * distance;
    for (int64_t at = first; at <= end_ns_; at += distance) {
      Add("<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", X(at), kTop - 6, bottom_);
      AddText("dim", X(at), kTop - 11, format(at), "middle");
    }
  }

  void Bars(const Picture::Lane& lane, double top) {
    Add("<path class=\"sep\" d=\"M%.0f %.1fH%.1f\"/>\n", kMargin, top, right());
    AddText("name", kMargin, top + 28, Shortened(lane.name));
    if (lane.base_priority > 0) {
      AddText("dim", kMargin, top + 43, absl::StrCat("priority ", lane.base_priority));
    }
    for (const Picture::Segment& segment : lane.segments) {
      const StateStyle* style = StyleOf(segment.state);
      if (style == nullptr) continue;
      const double x = X(segment.begin_ns);
      Add("<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%g\"><title>%s</title>"
          "</rect>\n",
          style->css, x, top + kBarMiddle - style->height / 2, std::max(0.3, X(segment.end_ns) - x),
          style->height,
          XmlText(absl::StrCat(lane.name, ": ", std::string(Name(segment.state)),
                               segment.on.empty() ? "" : " on ", segment.on, " for ",
                               FormatNs(segment.end_ns - segment.begin_ns), " from ",
                               FormatNs(segment.begin_ns))));
    }
  }

  void DrawArrow(const Picture::Arrow& arrow) {
    const double towards = arrow.to > arrow.from ? 1 : -1;
    const double half = StyleOf(ThreadState::kRunning)->height / 2;
    const double from = tops_[arrow.from] + kBarMiddle + towards * half;
    const double to = tops_[arrow.to] + kBarMiddle - towards * half;
    const char* css = StyleOf(arrow.kind).css;
    Add("<circle class=\"h%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"1.7\"/>"
        "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n",
        css, X(arrow.at_ns), from, css, X(arrow.at_ns), from, X(arrow.arrives_ns), to);
  }

  // A number stands at a step that lasts, unless it would cover the one before.
  void Priorities(const Picture::Lane& lane, double top) {
    if (lane.steps.empty() || lane.segments.empty()) return;
    const int64_t until_ns = lane.segments.back().end_ns;
    std::string path, labels;
    double free_from = 0;
    int labelled = -1;
    for (size_t i = 0; i < lane.steps.size(); ++i) {
      const Picture::Step& step = lane.steps[i];
      const double x = X(step.at_ns), y = PriorityY(top, step.priority);
      const double end = X(i + 1 < lane.steps.size() ? lane.steps[i + 1].at_ns : until_ns);
      if (path.empty()) absl::StrAppendFormat(&path, "M%.1f %.1f", x, y);
      absl::StrAppendFormat(&path, "H%.1fV%.1f", x, y);
      if (step.priority == labelled || x < free_from || end - x < 4) continue;
      labelled = step.priority;
      const std::string number = absl::StrCat(step.priority);
      free_from = x + kSmallCharacter * static_cast<double>(number.size()) + 4;
      absl::StrAppendFormat(&labels, "<text class=\"num halo\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                            x + 1.5, y - 3, number);
    }
    Add("<path class=\"pri\" d=\"%sH%.1f\"/>%s\n", path, X(until_ns), labels);
  }

  void Marks(const Picture::Lane& lane, double top) {
    double free_from = 0;
    for (const Picture::Mark& mark : lane.marks) {
      const double x = X(mark.at_ns);
      Add("<path class=\"m\" d=\"M%.1f %.1fv%.1f\"><title>%s</title></path>", x,
          top + kBarMiddle - 10, 10 + kLaneHeight - kBarMiddle + kMarkHeight - 4,
          XmlText(absl::StrCat(mark.text, " at ", FormatNs(mark.at_ns))));
      const double width = 1.1 * kSmallCharacter * static_cast<double>(mark.text.size());
      const bool leftwards = x + width + 4 > right();
      const double begin = leftwards ? x - width - 4 : x + 4;
      if (begin < free_from) continue;
      free_from = begin + width + 6;
      AddText("mt halo", leftwards ? x - 4 : x + 4, top + kLaneHeight + kMarkHeight - 5, mark.text,
              leftwards ? "end" : "start");
    }
  }

  // Moves to the next line where `width` does not fit.
  void Place(double width, double& x, double& y) const {
    if (x + width <= right() || x == kMargin) return;
    x = kMargin;
    y += 20;
  }

  // What the picture uses, and nothing else. Returns where it ends.
  double Legend() {
    double x = kMargin, y = bottom_ + 28;
    std::set<ThreadState> states;
    std::set<Picture::ArrowKind> kinds;
    for (const Picture::Lane& lane : picture_.lanes) {
      for (const Picture::Segment& segment : lane.segments) states.insert(segment.state);
    }
    for (const Picture::Arrow& arrow : picture_.arrows) kinds.insert(arrow.kind);
    for (const StateStyle& style : kStates) {
      if (states.count(style.state) == 0) continue;
      const std::string name(Name(style.state));
      const double width = 38 + 7.4 * static_cast<double>(name.size());
      Place(width, x, y);
      Add("<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"%g\"/>", style.css, x,
          y - 4 - style.height / 2, style.height);
      AddText("dim", x + 21, y, name);
      x += width;
    }
    for (Picture::ArrowKind kind : kinds)
      LegendLine(StyleOf(kind).css, "M0 0h24", StyleOf(kind).legend, x, y);
    LegendLine("pri", "M0 4h11v-8h13", "effective priority", x, y);
    return y;
  }

  void LegendLine(const char* css, const char* path, const std::string& text, double& x,
                  double& y) {
    const double width = 44 + 5.4 * static_cast<double>(text.size());
    Place(width, x, y);
    Add("<path class=\"%s\" transform=\"translate(%.1f %.1f)\" d=\"%s\"/>", css, x, y - 4, path);
    AddText("dim", x + 30, y, text);
    x += width;
  }

  const Picture& picture_;
  const int64_t end_ns_;
  double left_ = 0;
  double bottom_ = 0;
  std::vector<double> tops_;  // of the lanes
  std::map<int, int> ranks_;  // by priority, from 0
  std::string body_;
};

}  // namespace

bool IsDrawn(ThreadState state) { return StyleOf(state) != nullptr; }

std::string DrawSvg(const Picture& picture) { return Painter(picture).Draw(); }

}  // namespace parley_tool
