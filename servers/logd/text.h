// The log as text: what is written to it, and what is read from it.
#ifndef PARLEY_SERVERS_LOGD_TEXT_H_
#define PARLEY_SERVERS_LOGD_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "servers/logd/ring.h"

namespace logd {

struct Line {
  uint32_t severity = 0;
  absl::string_view text;  // 1 to kMaxTextBytes
};

// Takes lines off what was written, one at a time. "<N>" in front sets the severity of a line: N is
// syslog's, 0 to 191, of which the facility is left out. Empty lines are passed. A line longer than
// kMaxTextBytes is several, none of them cut inside a code point.
class LineSplitter {
 public:
  explicit LineSplitter(absl::string_view written) : written_(written) {}
  std::optional<Line> Next();

 private:
  absl::string_view written_;  // what is left
  absl::string_view line_;     // of the line that is being taken
  uint32_t severity_ = 0;
};

// "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug". REQUIRES: there is one.
absl::string_view SeverityName(uint32_t severity);
// Of a name, or of a number 0 to 7.
std::optional<uint32_t> SeverityOf(absl::string_view name);

// "2026-01-31T12:00:00.123456Z", of nanoseconds since 1970.
std::string FormatTime(int64_t time_ns);
// One line, safe to show: "SEQUENCE TIME SEVERITY pid=N uid=N TEXT\n".
std::string FormatRecord(const Record& record);
// The line in place of those that a reader has lost.
std::string FormatLost(uint64_t records);

}  // namespace logd

#endif  // PARLEY_SERVERS_LOGD_TEXT_H_
