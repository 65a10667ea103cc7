// What the console's terminal shows: text of programs, and below it the line that is being typed.
//
// The last row is the prompt (what programs have written since the last line feed) and the line; of
// a long one, the part around the cursor. Each code point is taken to be one column wide.
#ifndef PARLEY_SERVERS_CONSOLE_SCREEN_H_
#define PARLEY_SERVERS_CONSOLE_SCREEN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "servers/console/line_editor.h"

namespace console {

// What a person has finished: a line, or with ^D all that there is.
struct Finished {
  bool is_end = false;
  std::string line;
};

class Screen {
 public:
  static constexpr size_t kMaxPromptBytes = 256;  // what is longer becomes a line of its own
  static constexpr size_t kLeastColumns = 2;

  // What the terminal is to be sent, and what is finished. With `room` of those Enter and ^D are
  // refused with a bell.
  struct Typed {
    std::string echo;
    std::vector<Finished> finished;
  };
  Typed Type(absl::string_view bytes, size_t room);
  // What the terminal is to be sent so that this text, whatever is in it, stands above the line.
  std::string Print(absl::string_view text);
  // The last row, drawn again.
  std::string Row() const;

  void set_columns(size_t columns) { columns_ = columns < kLeastColumns ? kLeastColumns : columns; }
  const LineEditor& editor() const { return editor_; }
  const std::string& prompt() const { return prompt_; }

 private:
  void Finish(bool is_end, Typed& typed);

  LineEditor editor_;
  std::string prompt_;
  size_t columns_ = 80;
};

}  // namespace console

#endif  // PARLEY_SERVERS_CONSOLE_SCREEN_H_
