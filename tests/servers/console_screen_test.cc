// What the console draws, as a terminal with few abilities shows it.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "servers/common/utf8.h"
#include "servers/console/screen.h"
#include "tests/core/drive.h"

namespace {

using console::Screen;
using tests::Choices;
using tests::Size;

// Rows without an end; knows what the console uses, and finds everything else wrong.
class NaiveTerminal {
 public:
  explicit NaiveTerminal(size_t columns) : columns_(columns), rows_(1) {}

  void Show(absl::string_view bytes) {
    while (!bytes.empty()) {
      if (absl::ConsumePrefix(&bytes, "\r")) {
        column_ = 0;
      } else if (absl::ConsumePrefix(&bytes, "\n")) {
        rows_.emplace_back();
      } else if (absl::ConsumePrefix(&bytes, "\a")) {
        ++bells;
      } else if (absl::ConsumePrefix(&bytes, "\x1b[")) {
        Obey(bytes);
      } else {
        Put(bytes);
      }
    }
  }

  std::string Row(size_t from_last = 0) const {
    return absl::StrJoin(rows_[rows_.size() - 1 - from_last], "");
  }
  size_t rows() const { return rows_.size(); }
  size_t column() const { return column_; }
  int bells = 0;

 private:
  std::vector<std::string>& row() { return rows_.back(); }

  void Obey(absl::string_view& bytes) {
    size_t digits = 0;
    while (bytes[digits] >= '0' && bytes[digits] <= '9') ++digits;
    size_t number = 0;
    const bool has_number = absl::SimpleAtoi(bytes.substr(0, digits), &number);
    const char order = bytes[digits];
    bytes.remove_prefix(digits + 1);
    if (order == 'K' && !has_number) {
      row().resize(std::min(row().size(), column_));
    } else if (order == 'C' && has_number) {
      column_ += number;
      REQUIRE(number > 0);
      REQUIRE(column_ < columns_);
    } else if (order == 'H' && !has_number) {
      column_ = 0;
    } else if (order == 'J' && number == 2) {
      rows_.assign(1, {});
    } else {
      FAIL("an order that no terminal knows: " << order);
    }
  }

  void Put(absl::string_view& bytes) {
    const size_t size = common::CodePointBytes(bytes);
    REQUIRE(size > 0);
    const std::string code_point(bytes.substr(0, size));
    REQUIRE(common::Printable(code_point) == code_point);
    bytes.remove_prefix(size);
    if (column_ == columns_) {
      rows_.emplace_back();
      column_ = 0;
    }
    if (row().size() <= column_) row().resize(column_ + 1, " ");
    row()[column_++] = code_point;
  }

  const size_t columns_;
  std::vector<std::vector<std::string>> rows_;
  size_t column_ = 0;
};

size_t CodePoints(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}
std::string From(std::string text, size_t code_points) {
  while (code_points-- > 0) text.erase(0, common::CodePointBytes(text));
  return text;
}
std::string UpTo(std::string text, size_t code_points) {
  return text.substr(0, text.size() - From(text, std::min(CodePoints(text), code_points)).size());
}

class ScreenRig {
 public:
  ScreenRig(Size size, Choices&) : columns_(size == Size::kSmall ? 4 : 20), terminal_(columns_) {
    screen_.set_columns(columns_);
  }

  void Step(Choices& choices) {
    static const std::vector<std::string> kKeys = {"a",
                                                   "b ",
                                                   "\xc3\xa4",
                                                   "\xe2\x82\xac",
                                                   "\x1b[D",
                                                   "\x1b[D",
                                                   "\x1b[C",
                                                   "\x7f",
                                                   "\x01",
                                                   "\x05",
                                                   "\x17",
                                                   "\x15",
                                                   "\x0c",
                                                   "\x03",
                                                   "\x04",
                                                   "\r",
                                                   "\x1b[A",
                                                   "\x1b[B",
                                                   "long enough to be cut off"};
    static const std::vector<std::string> kTexts = {"x\n",      "one\ntwo\n", "? ",
                                                    "\xc3\xa4", "\n",         "\x1b\n"};
    if (choices.Below(4) == 0) {
      terminal_.Show(screen_.Print(choices.OneOf(kTexts)));
    } else {
      std::string keys;
      for (uint32_t i = 0; i <= choices.Below(3); ++i) keys += choices.OneOf(kKeys);
      terminal_.Show(screen_.Type(keys, 5).echo);
    }
    const std::string& text = screen_.editor().text();
    const std::string row = common::Printable(screen_.prompt()) + text;
    const size_t cursor = CodePoints(common::Printable(screen_.prompt())) +
                          CodePoints(text.substr(0, screen_.editor().cursor()));
    const size_t first = cursor < columns_ - 1 ? 0 : cursor - (columns_ - 2);
    REQUIRE(terminal_.Row() == UpTo(From(row, first), columns_ - 1));
    REQUIRE(terminal_.column() == cursor - first);
  }

 private:
  const size_t columns_;
  Screen screen_;
  NaiveTerminal terminal_;
};

TEST_CASE("the last row is the prompt and the line, at random") {
  tests::DriveAtRandom<ScreenRig>(tests::kRandomOperations / 20);
}

TEST_CASE("text of programs stands above the line that is being typed") {
  Screen screen;
  NaiveTerminal terminal(80);
  terminal.Show(screen.Type("ab\x1b[D", 5).echo);
  terminal.Show(screen.Print("hello\n"));
  CHECK(terminal.Row(1) == "hello");
  CHECK(terminal.Row() == "ab");
  CHECK(terminal.column() == 1);
}

TEST_CASE("what ends without a line feed is a prompt, and goes on with the next text") {
  Screen screen;
  NaiveTerminal terminal(80);
  terminal.Show(screen.Print("na"));
  terminal.Show(screen.Type("x", 5).echo);
  terminal.Show(screen.Print("me: "));
  CHECK(terminal.Row() == "name: x");
  const auto typed = screen.Type("\r", 5);
  terminal.Show(typed.echo);
  REQUIRE(typed.finished.size() == 1);
  CHECK(typed.finished[0].line == "x");
  CHECK(terminal.Row(1) == "name: x");
  CHECK(terminal.Row().empty());
  terminal.Show(screen.Print(std::string(Screen::kMaxPromptBytes + 1, 'p')));
  CHECK(screen.prompt().empty());
}

TEST_CASE("text cannot make the terminal do anything") {
  Screen screen;
  NaiveTerminal terminal(80);
  terminal.Show(screen.Print("a\tb\r\n\x1b[2J\x9b\n"));
  CHECK(terminal.Row(2) == "a       b");
  CHECK(terminal.Row(1) == "\\x1b[2J\\x9b");
}

TEST_CASE("several lines in one piece are several, as far as there is room") {
  Screen screen;
  NaiveTerminal terminal(80);
  const auto typed = screen.Type("one\rtwo\r\x04three\rfour\r", 4);
  terminal.Show(typed.echo);
  REQUIRE(typed.finished.size() == 4);
  CHECK(typed.finished[1].line == "two");
  CHECK(typed.finished[2].is_end);
  CHECK(typed.finished[3].line == "three");
  CHECK(terminal.bells == 1);
  CHECK(terminal.Row() == "four");
}

}  // namespace
