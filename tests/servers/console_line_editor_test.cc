// The line editor beside a list of code points with a cursor in it.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "servers/common/utf8.h"
#include "servers/console/line_editor.h"
#include "tests/core/drive.h"

namespace {

using console::LineEditor;
using tests::Choices;
using tests::Size;
using Outcome = LineEditor::Outcome;

const char* const kPenguin = "\xf0\x9f\x90\xa7";

Outcome FeedAll(LineEditor& editor, const std::string& keys) {
  Outcome last = Outcome::kNothing;
  for (const char key : keys) last = editor.Feed(key);
  return last;
}

class EditorRig {
 public:
  EditorRig(Size size, Choices&) : small_(size == Size::kSmall) {}

  void Step(Choices& choices) {
    const std::vector<std::string> letters =
        small_ ? std::vector<std::string>{"a", " "}
               : std::vector<std::string>{"a", "b", " ", " ", "\xc3\xa4", "\xe2\x82\xac", kPenguin};
    switch (choices.Below(small_ ? 12 : 24)) {
      case 0:
        return Expect("\x7f", cursor_ > 0, [&] { Erase(cursor_ - 1, cursor_); });
      case 1:
        return Expect("\x1b[D", cursor_ > 0, [&] { --cursor_; });
      case 2:
        return Expect("\x1b[C", cursor_ < line_.size(), [&] { ++cursor_; });
      case 3:
        return Expect("\x1b[A", at_ > 0, [&] { Recall(at_ - 1); });
      case 4:
        return Expect("\x1bOB", at_ < history_.size(), [&] { Recall(at_ + 1); });
      case 5:
        return Expect(choices.Below(2) == 0 ? "\x01" : "\x1b[H", true, [&] { cursor_ = 0; });
      case 6:
        return Expect(choices.Below(2) == 0 ? "\x05" : "\x1b[F", true,
                      [&] { cursor_ = line_.size(); });
      case 7:
        return EraseMore(choices);
      case 8:
        return Enter();
      default:
        const std::string letter = choices.OneOf(letters);
        return Expect(letter, true, [&] {
          line_.insert(line_.begin() + static_cast<ptrdiff_t>(cursor_), letter);
          ++cursor_;
        });
    }
  }

 private:
  static std::string Text(const std::vector<std::string>& line) { return absl::StrJoin(line, ""); }

  // The key changes the line so; or there is nothing to change.
  template <typename Change>
  void Expect(const std::string& key, bool possible, Change change) {
    REQUIRE(FeedAll(editor_, key) == (possible ? Outcome::kChanged : Outcome::kRefused));
    if (possible) change();
    Compare();
  }

  void Compare() {
    REQUIRE(editor_.text() == Text(line_));
    const std::vector<std::string> before(line_.begin(),
                                          line_.begin() + static_cast<ptrdiff_t>(cursor_));
    REQUIRE(editor_.cursor() == Text(before).size());
  }

  void Erase(size_t begin, size_t end) {
    line_.erase(line_.begin() + static_cast<ptrdiff_t>(begin),
                line_.begin() + static_cast<ptrdiff_t>(end));
    cursor_ = begin;
  }

  void EraseMore(Choices& choices) {
    switch (choices.Below(small_ ? 2 : 5)) {
      case 0: {
        size_t begin = cursor_;
        while (begin > 0 && line_[begin - 1] == " ") --begin;
        while (begin > 0 && line_[begin - 1] != " ") --begin;
        return Expect("\x17", cursor_ > 0, [&] { Erase(begin, cursor_); });
      }
      case 1:
        if (line_.empty()) {
          REQUIRE(editor_.Feed('\x04') == Outcome::kEnd);
          return Compare();
        }
        return Expect("\x04", cursor_ < line_.size(), [&] { Erase(cursor_, cursor_ + 1); });
      case 2:
        return Expect("\x15", cursor_ > 0, [&] { Erase(0, cursor_); });
      case 3:
        return Expect("\x0b", cursor_ < line_.size(), [&] { Erase(cursor_, line_.size()); });
      default:
        REQUIRE(editor_.Feed('\x03') == Outcome::kGivenUp);
        line_.clear();
        cursor_ = 0;
        at_ = history_.size();
        Compare();
    }
  }

  void Recall(size_t to) {
    if (at_ == history_.size()) draft_ = line_;
    at_ = to;
    line_ = to == history_.size() ? draft_ : history_[to];
    cursor_ = line_.size();
  }

  void Enter() {
    REQUIRE(editor_.Feed('\r') == Outcome::kEnter);
    Compare();
    REQUIRE(editor_.TakeLine() == Text(line_));
    if (!line_.empty() && (history_.empty() || history_.back() != line_)) history_.push_back(line_);
    if (history_.size() > LineEditor::kMaxHistoryLines) history_.erase(history_.begin());
    at_ = history_.size();
    line_.clear();
    cursor_ = 0;
    Compare();
  }

  const bool small_;
  LineEditor editor_;
  std::vector<std::string> line_, draft_;  // an element a code point
  size_t cursor_ = 0, at_ = 0;
  std::vector<std::vector<std::string>> history_;
};

TEST_CASE("the line editor does what its model does, at random") {
  tests::DriveAtRandom<EditorRig>(tests::kRandomOperations / 10);
}

TEST_CASE("the line editor does what its model does, in every short sequence") {
  tests::DriveThroughAll<EditorRig>(4);
}

TEST_CASE("whatever bytes are typed, the line stays text with its cursor between code points") {
  const uint64_t seed = tests::TestSeed();
  INFO("to repeat: PARLEY_TEST_SEED=", seed);
  tests::RandomChoices choices(seed);
  LineEditor editor;
  for (int i = 0; i < tests::kRandomOperations / 5; ++i) {
    const uint32_t kind = choices.Below(8);
    const auto byte =
        static_cast<char>(kind == 0 ? choices.Below(256) : "\x1b[3~D\xc3\xa4"[kind - 1]);
    if (editor.Feed(byte) == Outcome::kEnter && choices.Below(3) == 0) editor.TakeLine();
    REQUIRE(common::Printable(editor.text()) == editor.text());
    REQUIRE(editor.cursor() <= editor.text().size());
    REQUIRE(common::Printable(editor.text().substr(editor.cursor())) ==
            editor.text().substr(editor.cursor()));
    if (editor.text().size() > 200) editor.Feed('\x03');
  }
}

TEST_CASE("a line has so much room, and a code point goes in whole or not at all") {
  LineEditor editor;
  for (size_t i = 0; i < LineEditor::kMaxLineBytes - 3; ++i) editor.Feed('x');
  CHECK(FeedAll(editor, kPenguin) == Outcome::kRefused);
  CHECK(FeedAll(editor, "\xe2\x82\xac") == Outcome::kChanged);
  CHECK(editor.Feed('x') == Outcome::kRefused);
  CHECK(editor.text().size() == LineEditor::kMaxLineBytes);
}

TEST_CASE("a return with its line feed is one Enter, each alone is one too") {
  LineEditor editor;
  CHECK(editor.Feed('\r') == Outcome::kEnter);
  CHECK(editor.Feed('\n') == Outcome::kNothing);
  CHECK(editor.Feed('\n') == Outcome::kEnter);
  CHECK(editor.Feed('\r') == Outcome::kEnter);
  CHECK(editor.Feed('\r') == Outcome::kEnter);
}

TEST_CASE("an Enter that is not taken leaves the line as it is") {
  LineEditor editor;
  FeedAll(editor, "abc\r");
  CHECK(editor.text() == "abc");
  FeedAll(editor, "\x7f");
  CHECK(editor.TakeLine() == "ab");
}

TEST_CASE("keys that mean nothing are passed whole") {
  LineEditor editor;
  for (const char* key : {"\x1b[1;5C", "\x1bx", "\x1b[15~", "\x1b[200~", "\x1b[Z", "\x07",
                          "\xc2\x9b", "\xff", "\xc3"}) {
    CHECK(FeedAll(editor, key) == Outcome::kNothing);
  }
  CHECK(editor.Feed('a') == Outcome::kChanged);
  CHECK(editor.text() == "a");
  CHECK(FeedAll(editor, "\x1b[3\x7f") == Outcome::kChanged);  // a key breaks a sequence off
  CHECK(editor.text().empty());
}

}  // namespace
