// Lines and records. See text.h.
#include "servers/logd/text.h"

#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "servers/common/utf8.h"
#include "servers/logd/protocol.h"

namespace logd {
namespace {

constexpr uint32_t kPriorities = 192;  // syslog's: facility * 8 + severity
constexpr std::array<absl::string_view, kSeverities> kNames = {
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

// Takes the severity off the line's beginning, if it is there.
uint32_t ConsumeSeverity(absl::string_view& line) {
  const size_t end = line.substr(0, 5).find('>');
  uint32_t priority = 0;
  if (line.empty() || line[0] != '<' || end == line.npos || end < 2) return kInfo;
  const absl::string_view digits = line.substr(1, end - 1);
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }) ||
      !absl::SimpleAtoi(digits, &priority) || priority >= kPriorities) {
    return kInfo;
  }
  line.remove_prefix(end + 1);
  return priority % kSeverities;
}

// How much of a line one record takes.
size_t PieceBytes(absl::string_view line) {
  if (line.size() <= kMaxTextBytes) return line.size();
  // A code point that does not end in time goes to the next.
  for (size_t back = 1; back < common::kMaxCodePointBytes; ++back) {
    const size_t begin = kMaxTextBytes - back;
    const size_t size = common::CodePointBytes(line.substr(begin));
    if (size > back) return begin;
    if (size > 0) break;
  }
  return kMaxTextBytes;
}

}  // namespace

std::optional<Line> LineSplitter::Next() {
  while (line_.empty() && !written_.empty()) {
    const size_t end = std::min(written_.find('\n'), written_.size());
    line_ = written_.substr(0, end);
    written_.remove_prefix(std::min(end + 1, written_.size()));
    severity_ = ConsumeSeverity(line_);
  }
  if (line_.empty()) return std::nullopt;
  const Line line = {severity_, line_.substr(0, PieceBytes(line_))};
  line_.remove_prefix(line.text.size());
  return line;
}

absl::string_view SeverityName(uint32_t severity) { return kNames[severity]; }

std::optional<uint32_t> SeverityOf(absl::string_view name) {
  for (uint32_t severity = 0; severity < kSeverities; ++severity) {
    if (name == kNames[severity] || name == absl::StrCat(severity)) return severity;
  }
  return std::nullopt;
}

std::string FormatTime(int64_t time_ns) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::FromUnixNanos(time_ns),
                          absl::UTCTimeZone());
}

std::string FormatRecord(const Record& record) {
  return absl::StrCat(record.sequence, " ", FormatTime(record.time_ns), " ",
                      SeverityName(record.severity), " pid=", record.writer.pid,
                      " uid=", record.writer.uid, " ", common::Printable(record.text), "\n");
}

std::string FormatLost(uint64_t records) {
  return absl::StrCat("... ", records, " records lost: they came faster than they were read\n");
}

}  // namespace logd
