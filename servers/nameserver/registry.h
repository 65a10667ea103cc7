// The names themselves (N1 to N4): who serves which path, who may, who watches. Pure: no messages,
// no time.
//
// Invariants:
//   1. Every path is valid (CheckPath) and attached once.
//   2. When a path was attached, the longest path above it was its owner's, or nobody's; or uid 0
//      attached it. (A shorter path may come later: it serves what nobody below it serves.)
//   3. At most kMaxNames.
#ifndef PARLEY_SERVERS_NAMESERVER_REGISTRY_H_
#define PARLEY_SERVERS_NAMESERVER_REGISTRY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace nameserver {

struct Caller {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// An absolute path of 255 bytes at most without empty, "." and ".." parts; "/" itself is none.
// InvalidArgument.
absl::Status CheckPath(absl::string_view path);
// Whether `path` is `prefix` or lies below it. Everything lies below "/".
bool IsAtOrBelow(absl::string_view path, absl::string_view prefix);

class Registry {
 public:
  static constexpr size_t kMaxNames = 1 << 16;

  struct Name {
    uint64_t id = 0;
    Caller owner;
    uint32_t mode = 0;
  };
  struct Match {
    Name name;
    size_t matched = 0;  // bytes of the asked path that are the name's own
  };

  // Says whether Attach would do it. AlreadyExists: taken. PermissionDenied: below somebody else's
  // prefix. ResourceExhausted: kMaxNames are attached.
  absl::Status CheckAttach(absl::string_view path, const Caller& caller) const;
  // Attaches and returns the new name's id, never used before. Errors as CheckAttach.
  absl::StatusOr<uint64_t> Attach(absl::string_view path, const Caller& caller, uint32_t mode);
  // The path that the id was attached to, empty if it is not attached any more.
  std::string Detach(uint64_t id);
  // The longest attached prefix. NotFound; PermissionDenied: the mode does not let the caller open
  // it.
  absl::StatusOr<Match> Resolve(absl::string_view path, const Caller& caller) const;
  // The first path at or below `prefix` that sorts after `after`; empty when there is none.
  std::string NextAfter(absl::string_view prefix, absl::string_view after) const;

  size_t size() const { return names_.size(); }

 private:
  using Names = std::map<std::string, Name, std::less<>>;
  Names::const_iterator LongestPrefix(absl::string_view path) const;

  Names names_;
  uint64_t next_id_ = 1;
};

}  // namespace nameserver

#endif  // PARLEY_SERVERS_NAMESERVER_REGISTRY_H_
