// Drawing. See screen.h.
#include "servers/console/screen.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "servers/common/utf8.h"

namespace console {
namespace {

constexpr char kEraseRow[] = "\r\x1b[K", kEraseRest[] = "\x1b[K", kClear[] = "\x1b[H\x1b[2J";
constexpr char kNewRow[] = "\r\n", kBell[] = "\a";
constexpr size_t kTabColumns = 8;

// Where each column begins in it; the last element is its size.
std::vector<size_t> ColumnsOf(absl::string_view text) {
  std::vector<size_t> begins = {0};
  while (begins.back() < text.size()) {
    const size_t bytes = common::CodePointBytes(text.substr(begins.back()));
    begins.push_back(begins.back() + std::max<size_t>(bytes, 1));
  }
  return begins;
}

// A line as it is shown: no control characters, tabs as spaces.
std::string Shown(absl::string_view line) {
  absl::ConsumeSuffix(&line, "\r");
  std::string shown;
  for (;;) {
    const size_t tab = line.find('\t');
    absl::StrAppend(&shown, common::Printable(line.substr(0, tab)));
    if (tab == line.npos) return shown;
    const size_t column = ColumnsOf(shown).size() - 1;
    shown.append(kTabColumns - column % kTabColumns, ' ');
    line.remove_prefix(tab + 1);
  }
}

}  // namespace

// The last column stays free: a terminal that has filled it is between two rows.
std::string Screen::Row() const {
  const std::string prompt = Shown(prompt_);
  const std::string row = prompt + editor_.text();
  const std::vector<size_t> begins = ColumnsOf(row);
  const size_t at = prompt.size() + editor_.cursor();
  const auto cursor =
      static_cast<size_t>(std::lower_bound(begins.begin(), begins.end(), at) - begins.begin());
  const size_t window = columns_ - 1;
  const size_t first = cursor < window ? 0 : cursor - window + 1;
  const size_t last = std::min(begins.size() - 1, first + window);
  std::string drawn =
      absl::StrCat("\r", row.substr(begins[first], begins[last] - begins[first]), kEraseRest);
  if (cursor == last) return drawn;
  absl::StrAppend(&drawn, "\r");
  if (cursor > first) absl::StrAppend(&drawn, "\x1b[", cursor - first, "C");
  return drawn;
}

void Screen::Finish(bool is_end, Typed& typed) {
  absl::StrAppend(&typed.echo, Row(), kNewRow);
  prompt_.clear();
  typed.finished.push_back({is_end, is_end ? "" : editor_.TakeLine()});
}

Screen::Typed Screen::Type(absl::string_view bytes, size_t room) {
  using Outcome = LineEditor::Outcome;
  Typed typed;
  bool draw = false;
  for (const char byte : bytes) {
    const Outcome outcome = editor_.Feed(byte);
    draw |= outcome != Outcome::kNothing && outcome != Outcome::kRefused;
    switch (outcome) {
      case Outcome::kNothing:
      case Outcome::kChanged:
        break;
      case Outcome::kEnter:
      case Outcome::kEnd:
        if (typed.finished.size() < room) {
          Finish(outcome == Outcome::kEnd, typed);
          break;
        }
        [[fallthrough]];
      case Outcome::kRefused:
        absl::StrAppend(&typed.echo, kBell);
        break;
      case Outcome::kGivenUp:
        absl::StrAppend(&typed.echo, "^C", kNewRow);
        break;
      case Outcome::kRedraw:
        absl::StrAppend(&typed.echo, kClear);
        break;
    }
  }
  if (draw) absl::StrAppend(&typed.echo, Row());
  return typed;
}

std::string Screen::Print(absl::string_view text) {
  std::string shown = kEraseRow;
  absl::StrAppend(&prompt_, text);
  absl::string_view left = prompt_;
  for (size_t end = 0; (end = left.find('\n')) != left.npos; left.remove_prefix(end + 1)) {
    absl::StrAppend(&shown, Shown(left.substr(0, end)), kNewRow);
  }
  if (left.size() > kMaxPromptBytes) {
    absl::StrAppend(&shown, Shown(left), kNewRow);
    left = {};
  }
  prompt_ = std::string(left);
  return shown + Row();
}

}  // namespace console
