// Paths and permissions of a resource manager.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libipc/src/resource_locks.h"
#include "libipc/src/resource_server.h"

namespace ipc {
namespace {

constexpr int kMaxLinks = 40;  // on one way; then ELOOP, as Linux has it

// Whether `path` is the name or lies below it; then what lies beyond it is left.
bool ConsumeName(absl::string_view& path, absl::string_view name) {
  absl::string_view rest = path;
  if (!absl::ConsumePrefix(&rest, name) || (!rest.empty() && rest.front() != '/')) return false;
  path = rest;
  return true;
}

// In front of what is left of the way.
void Prepend(std::deque<std::string>& left, absl::string_view path) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  left.insert(left.begin(), parts.begin(), parts.end());
}

}  // namespace

// The first of owner, group and others that fits decides alone. Uid 0 may read and write anything,
// and search and run what anybody may.
absl::Status ResourceServer::Check(const MessageInfo& caller, const Node& node, uint32_t wanted) {
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

absl::Status ResourceServer::CheckRemove(const MessageInfo& caller, const Walked& walked) {
  const Node& parent = *walked.parent();
  if (absl::Status may = Check(caller, parent, W_OK | X_OK); !may.ok()) return may;
  const bool others = (parent.stat.mode & S_ISVTX) != 0 && caller.uid != 0 &&
                      caller.uid != parent.stat.uid && caller.uid != walked.node()->stat.uid;
  return others ? PosixError(EPERM) : absl::OkStatus();
}

// What a device leaves out.
void ResourceServer::Adopt(Node& node) {
  files::Stat& stat = node.stat;
  if (stat.inode != 0 && stat.changed_ns != 0) return;
  Tables tables(*this);
  if (stat.inode == 0) stat.inode = ++last_inode_;
  if (stat.changed_ns == 0) stat.changed_ns = WallNs();
  if (stat.modified_ns == 0) stat.modified_ns = stat.changed_ns;
  if (stat.accessed_ns == 0) stat.accessed_ns = stat.changed_ns;
}

absl::Status ResourceServer::Refresh(Node& node) {
  Busy busy(*this, node);
  auto stat = manager_.Stat(node);
  if (!stat.ok()) return stat.status();
  node.stat = *stat;
  return absl::OkStatus();
}

absl::StatusOr<ResourceServer::Step> ResourceServer::LookUp(const MessageInfo& caller,
                                                            Node& directory,
                                                            absl::string_view name) {
  if (!directory.IsDirectory()) return PosixError(ENOTDIR);
  if (absl::Status may = Check(caller, directory, X_OK); !may.ok()) return may;
  if (name.size() > files::kMaxNameBytes) return PosixError(ENAMETOOLONG);
  Busy busy(*this, directory);
  auto node = manager_.Lookup(directory, name);
  if (!node.ok() && PosixErrorOf(node.status()) != ENOENT) return node.status();
  Step step = {node.ok() ? *std::move(node) : nullptr, std::string(name)};
  if (step.node != nullptr) Adopt(*step.node);
  return step;
}

// ".." leads to where the walk came from, and never above the root.
absl::StatusOr<ResourceServer::Walked> ResourceServer::Walk(const MessageInfo& caller,
                                                            absl::string_view path, bool follow) {
  if (path.size() > files::kMaxPathBytes) return PosixError(ENAMETOOLONG);
  if (path.find('\0') != path.npos) return PosixError(EINVAL);
  const auto mount = std::find_if(mounts_.begin(), mounts_.end(),
                                  [&](const Mount& at) { return ConsumeName(path, at.path); });
  if (mount == mounts_.end()) return PosixError(ENOENT);
  if (absl::Status fresh = Refresh(*mount->root); !fresh.ok()) return fresh;
  Walked walked = {{{mount->root, ""}}, absl::EndsWith(path, "/")};
  std::deque<std::string> left;
  Prepend(left, path);
  for (int links = 0; !left.empty();) {
    const std::string name = std::move(left.front());
    left.pop_front();
    if (walked.node() == nullptr) return PosixError(ENOENT);
    if (name == "." || name == "..") {
      if (!walked.node()->IsDirectory()) return PosixError(ENOTDIR);
      if (name == ".." && walked.way.size() > 1) walked.way.pop_back();
      continue;
    }
    auto step = LookUp(caller, *walked.node(), name);
    if (!step.ok()) return step.status();
    const bool goes_on = !left.empty() || follow || walked.as_directory;
    if (step->node == nullptr || !S_ISLNK(step->node->stat.mode) || !goes_on) {
      walked.way.push_back(*std::move(step));
      continue;
    }
    if (++links > kMaxLinks) return PosixError(ELOOP);
    Busy busy(*this, *step->node);
    auto target = manager_.ReadLink(*step->node);
    if (!target.ok()) return target.status();
    absl::string_view to = *target;
    if (absl::StartsWith(to, "/")) {
      if (!ConsumeName(to, mount->path)) return PosixError(EXDEV);
      walked.way.resize(1);
    }
    Prepend(left, to);
  }
  if (walked.as_directory && walked.node() != nullptr && !walked.node()->IsDirectory()) {
    return PosixError(ENOTDIR);
  }
  return walked;
}

absl::StatusOr<std::shared_ptr<Node>> ResourceServer::NodeOf(ResourceExchange& exchange,
                                                             absl::string_view path) {
  if (path.empty()) {
    auto file = Find(exchange);
    if (!file.ok()) return file.status();
    return (*file)->shared_node();
  }
  const bool follow = (exchange.operation().flags & AT_SYMLINK_NOFOLLOW) == 0;
  auto walked = Walk(exchange.caller(), path, follow);
  if (!walked.ok()) return walked.status();
  if (walked->node() == nullptr) return PosixError(ENOENT);
  return walked->node();
}

}  // namespace ipc
