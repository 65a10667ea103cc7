// Keys and what they do to the line. See line_editor.h.
#include "servers/console/line_editor.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "servers/common/utf8.h"

namespace console {
namespace {

constexpr char Ctrl(char letter) { return static_cast<char>(letter & 0x1f); }
constexpr char kEscape = '\x1b', kDelete = '\x7f';
constexpr size_t kMaxParameterBytes = 16;  // of a sequence; what is longer means nothing here

bool IsControl(char typed) { return static_cast<uint8_t>(typed) < 0x20 || typed == kDelete; }
bool IsLater(char byte) { return (static_cast<uint8_t>(byte) & 0xc0) == 0x80; }

}  // namespace

size_t LineEditor::Before(size_t at) const {
  do --at;
  while (IsLater(text_[at]));
  return at;
}

size_t LineEditor::After(size_t at) const {
  do ++at;
  while (at < text_.size() && IsLater(text_[at]));
  return at;
}

size_t LineEditor::WordBefore(size_t at) const {
  while (at > 0 && text_[at - 1] == ' ') --at;
  while (at > 0 && text_[at - 1] != ' ') --at;
  return at;
}

LineEditor::Outcome LineEditor::Feed(char typed) {
  const bool fed_after_return = std::exchange(after_return_, typed == '\r');
  if (mode_ == Mode::kEscape) {
    mode_ = typed == '[' || typed == 'O' ? Mode::kSequence : Mode::kText;
    if (!IsControl(typed)) return Outcome::kNothing;
    mode_ = Mode::kText;
  } else if (mode_ == Mode::kSequence) {
    if (typed >= 0x40 && typed < kDelete) return EndSequence(typed);
    if (typed >= 0x20 && typed < 0x40) {
      if (partial_.size() < kMaxParameterBytes) partial_ += typed;
      return Outcome::kNothing;
    }
    partial_.clear();
    mode_ = Mode::kText;
  }
  if (!IsControl(typed)) return Text(typed);
  partial_.clear();
  if (typed == '\n' && fed_after_return) return Outcome::kNothing;
  return Control(typed);
}

LineEditor::Outcome LineEditor::Text(char typed) {
  if (!IsLater(typed)) partial_.clear();  // what was begun is no code point
  if (IsLater(typed) && partial_.empty()) return Outcome::kNothing;
  partial_ += typed;
  const size_t size = common::CodePointBytesOfFirst(partial_[0]);
  if (size > partial_.size()) return Outcome::kNothing;
  const std::string code_point = std::exchange(partial_, {});
  if (common::Printable(code_point) != code_point) return Outcome::kNothing;
  return Insert(code_point);
}

LineEditor::Outcome LineEditor::Control(char typed) {
  switch (typed) {
    case '\r':
    case '\n':
      return Outcome::kEnter;
    case kEscape:
      mode_ = Mode::kEscape;
      return Outcome::kNothing;
    case '\t':
      return Insert(" ");
    case '\b':
    case kDelete:
      return Erase(cursor_ == 0 ? 0 : Before(cursor_), cursor_);
    case Ctrl('A'):
      return Move(0);
    case Ctrl('E'):
      return Move(text_.size());
    case Ctrl('U'):
      return Erase(0, cursor_);
    case Ctrl('K'):
      return Erase(cursor_, text_.size());
    case Ctrl('W'):
      return Erase(WordBefore(cursor_), cursor_);
    case Ctrl('D'):
      if (text_.empty()) return Outcome::kEnd;
      return Erase(cursor_, cursor_ == text_.size() ? cursor_ : After(cursor_));
    case Ctrl('C'):
      text_.clear();
      cursor_ = 0;
      recalled_ = history_.size();
      return Outcome::kGivenUp;
    case Ctrl('L'):
      return Outcome::kRedraw;
    default:
      return Outcome::kNothing;
  }
}

// ESC [ PARAMETERS LAST, or with O in place of [.
LineEditor::Outcome LineEditor::EndSequence(char last) {
  mode_ = Mode::kText;
  const std::string parameters = std::exchange(partial_, {});
  if (last == '~') {
    if (parameters == "3")
      return Erase(cursor_, cursor_ == text_.size() ? cursor_ : After(cursor_));
    if (parameters == "1" || parameters == "7") return Move(0);
    if (parameters == "4" || parameters == "8") return Move(text_.size());
  }
  if (!parameters.empty()) return Outcome::kNothing;  // an arrow with Ctrl, and the like
  switch (last) {
    case 'A':
      return recalled_ == 0 ? Outcome::kRefused : Recall(recalled_ - 1);
    case 'B':
      return recalled_ == history_.size() ? Outcome::kRefused : Recall(recalled_ + 1);
    case 'C':
      return cursor_ == text_.size() ? Outcome::kRefused : Move(After(cursor_));
    case 'D':
      return cursor_ == 0 ? Outcome::kRefused : Move(Before(cursor_));
    case 'H':
      return Move(0);
    case 'F':
      return Move(text_.size());
    default:
      return Outcome::kNothing;
  }
}

LineEditor::Outcome LineEditor::Insert(absl::string_view code_point) {
  if (text_.size() + code_point.size() > kMaxLineBytes) return Outcome::kRefused;
  text_.insert(cursor_, code_point.data(), code_point.size());
  cursor_ += code_point.size();
  return Outcome::kChanged;
}

LineEditor::Outcome LineEditor::Erase(size_t begin, size_t end) {
  if (begin == end) return Outcome::kRefused;
  text_.erase(begin, end - begin);
  cursor_ = begin;
  return Outcome::kChanged;
}

LineEditor::Outcome LineEditor::Move(size_t to) {
  cursor_ = to;
  return Outcome::kChanged;
}

// What was changed of a recalled line is forgotten, as that line itself stays.
LineEditor::Outcome LineEditor::Recall(size_t to) {
  if (recalled_ == history_.size()) draft_ = text_;
  recalled_ = to;
  text_ = to == history_.size() ? draft_ : history_[to];
  cursor_ = text_.size();
  return Outcome::kChanged;
}

std::string LineEditor::TakeLine() {
  std::string line = std::exchange(text_, {});
  cursor_ = 0;
  if (!line.empty() && (history_.empty() || history_.back() != line)) {
    history_.push_back(line);
    if (history_.size() > kMaxHistoryLines) history_.pop_front();
  }
  recalled_ = history_.size();
  return line;
}

}  // namespace console
