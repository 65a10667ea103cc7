// The line that a person is typing: keys in, a text with a cursor out. It draws nothing (screen.h).
//
// Keys: text; backspace; the arrows, Home, End, Delete; ^A ^E to either end, ^U ^K clear up to
// there, ^W a word back; ^D deletes, or on an empty line ends; ^C gives up the line; ^L; Enter.
// Other control keys are passed. Text is UTF-8; what is not, and control characters of several
// bytes, is passed too.
//
// Invariants: the text is UTF-8 without control characters, kMaxLineBytes at most; the cursor is
// not inside a code point.
#ifndef PARLEY_SERVERS_CONSOLE_LINE_EDITOR_H_
#define PARLEY_SERVERS_CONSOLE_LINE_EDITOR_H_

#include <cstddef>
#include <deque>
#include <string>

#include "absl/strings/string_view.h"

namespace console {

class LineEditor {
 public:
  static constexpr size_t kMaxLineBytes = 4096;    // then more text is refused
  static constexpr size_t kMaxHistoryLines = 100;  // then the oldest is forgotten

  enum class Outcome {
    kNothing,
    kChanged,  // text or cursor
    kRefused,  // no room, or nothing there to move to
    kEnter,    // the line is finished: TakeLine, or leave it as it is
    kEnd,      // ^D on an empty line
    kGivenUp,  // ^C: the text is gone
    kRedraw,   // ^L
  };
  Outcome Feed(char typed);

  // The line, which goes to the history unless it is empty or just what was there last.
  std::string TakeLine();

  const std::string& text() const { return text_; }
  size_t cursor() const { return cursor_; }  // bytes from the beginning

 private:
  enum class Mode { kText, kEscape, kSequence };

  Outcome Text(char typed);
  Outcome Control(char typed);
  Outcome EndSequence(char last);
  Outcome Insert(absl::string_view code_point);
  Outcome Erase(size_t begin, size_t end);
  Outcome Move(size_t to);
  Outcome Recall(size_t to);
  size_t Before(size_t at) const;  // where the code point in front of it begins
  size_t After(size_t at) const;
  size_t WordBefore(size_t at) const;

  std::string text_;
  size_t cursor_ = 0;
  std::deque<std::string> history_;
  size_t recalled_ = 0;  // which of the history the text is; its size: none
  std::string draft_;    // the text that was none of it

  Mode mode_ = Mode::kText;
  std::string partial_;        // of a code point, or the parameters of a sequence
  bool after_return_ = false;  // a line feed that follows belongs to it
};

}  // namespace console

#endif  // PARLEY_SERVERS_CONSOLE_LINE_EDITOR_H_
