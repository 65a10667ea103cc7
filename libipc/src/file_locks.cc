// The advisory locks on one file.
#include "libipc/src/file_locks.h"

#include <algorithm>

namespace ipc {

std::optional<FileLocks::Range> FileLocks::Conflict(const Range& wanted) const {
  const auto at = std::find_if(ranges_.begin(), ranges_.end(), [&](const Range& held) {
    return held.owner != wanted.owner && held.begin < wanted.end && wanted.begin < held.end &&
           (held.exclusive || wanted.exclusive);
  });
  if (at == ranges_.end()) return std::nullopt;
  return *at;
}

bool FileLocks::Set(const Range& range) {
  if (ranges_.size() + 2 > kMaxRanges) return false;
  Clear(range.owner, range.begin, range.end);
  Range merged = range;
  std::erase_if(ranges_, [&](const Range& held) {
    const bool touches = held.owner == range.owner && held.exclusive == range.exclusive &&
                         held.begin <= merged.end && merged.begin <= held.end;
    if (!touches) return false;
    merged.begin = std::min(merged.begin, held.begin);
    merged.end = std::max(merged.end, held.end);
    return true;
  });
  ranges_.push_back(merged);
  return true;
}

bool FileLocks::Clear(const Owner& owner, uint64_t begin, uint64_t end) {
  std::vector<Range> left;
  for (const Range& held : ranges_) {
    if (held.owner != owner || held.end <= begin || end <= held.begin) {
      left.push_back(held);
      continue;
    }
    Range part = held;
    part.end = begin;
    if (part.begin < part.end) left.push_back(part);
    part = held;
    part.begin = end;
    if (part.begin < part.end) left.push_back(part);
  }
  if (left.size() > kMaxRanges) return false;
  ranges_ = std::move(left);
  return true;
}

bool FileLocks::ClearFile(uint32_t file) {
  return std::erase_if(ranges_, [&](const Range& held) { return held.file == file; }) > 0;
}

}  // namespace ipc
