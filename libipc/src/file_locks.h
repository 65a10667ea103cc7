// The advisory locks on one file: who holds which range, shared or alone. Pure.
//
// Invariants: (1) ranges of one owner do not overlap, and those of one kind do not touch; (2) where
// two owners' ranges overlap, both are shared; (3) at most kMaxRanges.
#ifndef PARLEY_LIBIPC_SRC_FILE_LOCKS_H_
#define PARLEY_LIBIPC_SRC_FILE_LOCKS_H_

#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace ipc {

class FileLocks {
 public:
  static constexpr size_t kMaxRanges = 4096;  // of one file; then ENOLCK
  static constexpr uint64_t kEnd = std::numeric_limits<uint64_t>::max();

  // An open file, or whoever a client says it acts for.
  struct Owner {
    uint64_t scope = 0;
    uint64_t id = 0;
    auto operator<=>(const Owner&) const = default;
  };
  struct Range {
    uint64_t begin = 0, end = 0;  // [begin, end)
    bool exclusive = false;
    Owner owner;
    uint32_t pid = 0;
    uint32_t file = 0;  // through which it was set
  };

  // What of another owner's stands in the way.
  std::optional<Range> Conflict(const Range& wanted) const;
  // REQUIRES: no conflict. Replaces what its owner has there. False: kMaxRanges.
  bool Set(const Range& range);
  // False: kMaxRanges, since taking the middle leaves two.
  bool Clear(const Owner& owner, uint64_t begin, uint64_t end);
  // All that were set through it. Whether there were any.
  bool ClearFile(uint32_t file);

  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_FILE_LOCKS_H_
