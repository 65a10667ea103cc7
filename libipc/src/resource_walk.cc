// Paths and permissions of a resource manager.
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libipc/src/resource_server.h"

namespace ipc {

// The first of owner, group and others that fits decides alone. Uid 0 may read and write anything,
// and search and run what anybody may.
absl::Status ResourceManager::Server::Check(const MessageInfo& caller, const Node& node,
                                            uint32_t wanted) const {
  const uint32_t mode = node.stat.mode;
  uint32_t granted = mode & 7;
  if (caller.uid == 0) {
    granted = R_OK | W_OK;
    if (node.IsDirectory() || (mode & 0111) != 0) granted |= X_OK;
  } else if (caller.uid == node.stat.uid) {
    granted = mode >> 6 & 7;
  } else if (caller.gid == node.stat.gid) {
    granted = mode >> 3 & 7;
  }
  return (wanted & ~granted) == 0 ? absl::OkStatus() : PosixError(EACCES);
}

// ".." leads to where the walk came from, and never above the root.
absl::StatusOr<ResourceManager::Server::Walked> ResourceManager::Server::Walk(
    const MessageInfo& caller, absl::string_view path) {
  if (path.size() > files::kMaxPathBytes) return PosixError(ENAMETOOLONG);
  if (path.find('\0') != path.npos) return PosixError(EINVAL);
  if (!absl::ConsumePrefix(&path, path_)) return PosixError(ENOENT);
  if (!path.empty() && path.front() != '/') return PosixError(ENOENT);
  std::vector<Walked> way = {{nullptr, "", root_, {}}};
  for (absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    const std::shared_ptr<Node> directory = way.back().node;
    if (directory == nullptr) return PosixError(ENOENT);
    if (!directory->IsDirectory()) return PosixError(ENOTDIR);
    if (absl::Status may = Check(caller, *directory, X_OK); !may.ok()) return may;
    if (name.size() > files::kMaxNameBytes) return PosixError(ENAMETOOLONG);
    if (name == ".") continue;
    if (name == "..") {
      if (way.size() > 1) way.pop_back();
      continue;
    }
    auto node = manager_.Lookup(*directory, name);
    if (!node.ok() && PosixErrorOf(node.status()) != ENOENT) return node.status();
    way.push_back({directory, std::string(name), node.ok() ? *std::move(node) : nullptr, {}});
  }
  const bool as_directory = absl::EndsWith(path, "/");
  if (as_directory && way.back().node != nullptr && !way.back().node->IsDirectory()) {
    return PosixError(ENOTDIR);
  }
  Walked end = std::move(way.back());
  way.pop_back();
  for (const Walked& step : way) end.above.push_back(step.node.get());
  return end;
}

}  // namespace ipc
