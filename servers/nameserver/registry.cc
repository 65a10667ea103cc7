// Names: paths, prefixes, permissions.
#include "servers/nameserver/registry.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ipc/name_protocol.h"

namespace nameserver {
namespace {

// As connecting to a Unix socket: the write bit of the class that the caller belongs to.
bool MayOpen(const Registry::Name& name, const Caller& caller) {
  if (caller.uid == 0) return true;
  const int shift = caller.uid == name.owner.uid ? 6 : caller.gid == name.owner.gid ? 3 : 0;
  return (name.mode >> shift & 2) != 0;
}

}  // namespace

absl::Status CheckPath(absl::string_view path) {
  auto refuse = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("no name: ", why));
  };
  if (path.size() > ipc::names::kMaxPathBytes) return refuse("it is longer than 255 bytes");
  if (path.size() < 2 || path[0] != '/') return refuse("it must begin with / and go on");
  for (absl::string_view part : absl::StrSplit(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == "..") {
      return refuse("empty, . and .. parts are not possible");
    }
  }
  return absl::OkStatus();
}

bool IsAtOrBelow(absl::string_view path, absl::string_view prefix) {
  if (prefix == "/") return true;
  return absl::StartsWith(path, prefix) &&
         (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// The longest name that `path` is at or below.
Registry::Names::const_iterator Registry::LongestPrefix(absl::string_view path) const {
  while (!path.empty()) {
    auto found = names_.find(std::string(path));
    if (found != names_.end()) return found;
    path = path.substr(0, path.rfind('/'));
  }
  return names_.end();
}

absl::Status Registry::CheckAttach(absl::string_view path, const Caller& caller) const {
  if (absl::Status valid = CheckPath(path); !valid.ok()) return valid;
  if (names_.size() >= kMaxNames) {
    return absl::ResourceExhaustedError("the names that are possible are used");
  }
  auto above = LongestPrefix(path);
  if (above == names_.end()) return absl::OkStatus();
  if (above->first == path) return absl::AlreadyExistsError("the name is taken");
  if (caller.uid != 0 && caller.uid != above->second.owner.uid) {
    return absl::PermissionDeniedError(
        absl::StrCat("below ", above->first, ", which is owned by uid ", above->second.owner.uid));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Registry::Attach(absl::string_view path, const Caller& caller,
                                          uint32_t mode) {
  if (absl::Status allowed = CheckAttach(path, caller); !allowed.ok()) return allowed;
  const uint64_t id = next_id_++;
  names_[std::string(path)] = {id, caller, mode};
  return id;
}

std::string Registry::Detach(uint64_t id) {
  auto found = std::find_if(names_.begin(), names_.end(),
                            [&](const auto& entry) { return entry.second.id == id; });
  if (found == names_.end()) return "";
  std::string path = found->first;
  names_.erase(found);
  return path;
}

absl::StatusOr<Registry::Match> Registry::Resolve(absl::string_view path,
                                                  const Caller& caller) const {
  if (absl::Status valid = CheckPath(path); !valid.ok()) return valid;
  auto found = LongestPrefix(path);
  if (found == names_.end()) return absl::NotFoundError("nobody serves this name");
  if (!MayOpen(found->second, caller)) {
    return absl::PermissionDeniedError(
        absl::StrCat("uid ", caller.uid, " may not open ", found->first));
  }
  return Match{found->second, found->first.size()};
}

std::string Registry::NextAfter(absl::string_view prefix, absl::string_view after) const {
  auto next = names_.upper_bound(std::string(std::max(prefix, after)));
  if (after < prefix) next = names_.lower_bound(std::string(prefix));
  for (; next != names_.end(); ++next) {
    if (IsAtOrBelow(next->first, prefix)) return next->first;
  }
  return "";
}

}  // namespace nameserver
