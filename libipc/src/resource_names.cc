// The operations of the file protocol on directories and names, as POSIX has them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "libipc/src/resource_locks.h"
#include "libipc/src/resource_server.h"

namespace ipc {
namespace {

// Two texts, a zero byte behind each. EINVAL.
absl::StatusOr<std::pair<absl::string_view, absl::string_view>> Pair(absl::string_view both) {
  const size_t end = both.find('\0');
  if (end == both.npos || both.back() != '\0' || both.find('\0', end + 1) != both.size() - 1 ||
      end == both.size() - 1) {
    return PosixError(EINVAL);
  }
  return std::pair(both.substr(0, end), both.substr(end + 1, both.size() - end - 2));
}

}  // namespace

// -- Making

// A regular file, for an open.
absl::Status ResourceServer::MakeMissing(ResourceExchange& exchange, Walked& walked) {
  if (walked.as_directory) return PosixError(EISDIR);
  const uint32_t mode = S_IFREG | (static_cast<uint32_t>(exchange.operation().value) & 07777);
  auto made = Create(exchange, walked, mode, {});
  if (!made.ok()) return made.status();
  walked.way.back().node = *std::move(made);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Node>> ResourceServer::Create(const ResourceExchange& exchange,
                                                             const Walked& walked, uint32_t mode,
                                                             absl::string_view target) {
  const MessageInfo& caller = exchange.caller();
  Node& parent = *walked.parent();
  if (absl::Status may = Check(caller, parent, W_OK | X_OK); !may.ok()) return may;
  const bool hands_down = (parent.stat.mode & S_ISGID) != 0;  // its group, as Linux has it
  if (hands_down && S_ISDIR(mode)) mode |= S_ISGID;
  Busy busy(*this, parent);
  FileCall call = CallFor(exchange);
  auto made = manager_.Create(call, parent, walked.name(), mode, target);
  if (!made.ok()) return made;
  Touch(parent);
  (*made)->stat.uid = caller.uid;
  (*made)->stat.gid = hands_down ? parent.stat.gid : caller.gid;
  Adopt(**made);
  return made;
}

void ResourceServer::Touch(Node& directory) {
  directory.stat.modified_ns = directory.stat.changed_ns = WallNs();
}

absl::Status ResourceServer::DoMake(ResourceExchange& exchange) {
  const auto texts = Pair(TextOf(exchange.payload()));
  if (!texts.ok()) return texts.status();
  const auto mode = static_cast<uint32_t>(exchange.operation().value);
  const auto& [path, target] = *texts;
  if (S_ISLNK(mode) ? target.empty() : !target.empty()) return PosixError(EINVAL);
  auto walked = Walk(exchange.caller(), path, false);
  if (!walked.ok()) return walked.status();
  if (walked->node() != nullptr) return PosixError(EEXIST);
  if (walked->as_directory && !S_ISDIR(mode)) return PosixError(ENOENT);
  auto made = Create(exchange, *walked, mode, target);
  if (!made.ok()) return made.status();
  exchange.Succeed({});
  return absl::OkStatus();
}

// From a name that is there to another, which may be: neither followed, both below one mount.
absl::StatusOr<std::pair<ResourceServer::Walked, ResourceServer::Walked>> ResourceServer::WalkTwo(
    const ResourceExchange& exchange) {
  const auto paths = Pair(TextOf(exchange.payload()));
  if (!paths.ok()) return paths.status();
  auto from = Walk(exchange.caller(), paths->first, false);
  if (!from.ok()) return from.status();
  auto to = Walk(exchange.caller(), paths->second, false);
  if (!to.ok()) return to.status();
  if (from->node() == nullptr) return PosixError(ENOENT);
  if (from->way.front().node != to->way.front().node) return PosixError(EXDEV);
  return std::pair(*std::move(from), *std::move(to));
}

absl::Status ResourceServer::DoLink(ResourceExchange& exchange) {
  const MessageInfo& caller = exchange.caller();
  const auto walked = WalkTwo(exchange);
  if (!walked.ok()) return walked.status();
  const Walked *from = &walked->first, *to = &walked->second;
  if (to->node() != nullptr) return PosixError(EEXIST);
  if (from->node()->IsDirectory()) return PosixError(EPERM);
  Node& parent = *to->parent();
  if (absl::Status may = Check(caller, parent, W_OK | X_OK); !may.ok()) return may;
  Busy busy(*this, *from->node(), parent);
  absl::Status linked = manager_.Link(from->node(), parent, to->name());
  if (!linked.ok()) return linked;
  from->node()->stat.changed_ns = WallNs();
  Touch(parent);
  exchange.Succeed({});
  return absl::OkStatus();
}

absl::Status ResourceServer::DoReadLink(ResourceExchange& exchange) {
  auto walked = Walk(exchange.caller(), TextOf(exchange.payload()), false);
  if (!walked.ok()) return walked.status();
  if (walked->node() == nullptr) return PosixError(ENOENT);
  if (!S_ISLNK(walked->node()->stat.mode)) return PosixError(EINVAL);
  Busy busy(*this, *walked->node());
  const auto target = manager_.ReadLink(*walked->node());
  if (!target.ok()) return target.status();
  return exchange.SucceedWith({}, BytesOfText(*target));
}

// -- Taking away

absl::Status ResourceServer::DoUnlink(ResourceExchange& exchange) {
  const MessageInfo& caller = exchange.caller();
  auto walked = Walk(caller, TextOf(exchange.payload()), false);
  if (!walked.ok()) return walked.status();
  if (walked->node() == nullptr) return PosixError(ENOENT);
  if (walked->parent() == nullptr) return PosixError(EBUSY);
  if (absl::Status may = CheckRemove(caller, *walked); !may.ok()) return may;
  const bool directory = (exchange.operation().flags & AT_REMOVEDIR) != 0;
  if (directory && !walked->node()->IsDirectory()) return PosixError(ENOTDIR);
  if (!directory && walked->node()->IsDirectory()) return PosixError(EISDIR);
  Busy busy(*this, *walked->parent());
  absl::Status gone = manager_.Unlink(*walked->parent(), walked->name(), directory);
  if (!gone.ok()) return gone;
  walked->node()->stat.changed_ns = WallNs();
  Touch(*walked->parent());
  exchange.Succeed({});
  return absl::OkStatus();
}

// What takes a name's place is of its kind, and no directory comes to lie below itself.
absl::Status ResourceServer::CheckRename(const Walked& from, const Walked& to) {
  const bool directory = from.node()->IsDirectory();
  if (to.node() != nullptr && directory && !to.node()->IsDirectory()) return PosixError(ENOTDIR);
  if (to.node() != nullptr && !directory && to.node()->IsDirectory()) return PosixError(EISDIR);
  if (to.as_directory && !directory) return PosixError(ENOTDIR);
  const bool below = std::any_of(to.way.begin(), to.way.end() - 1,
                                 [&](const Step& step) { return step.node == from.node(); });
  return below ? PosixError(EINVAL) : absl::OkStatus();
}

absl::Status ResourceServer::DoRename(ResourceExchange& exchange) {
  const MessageInfo& caller = exchange.caller();
  const auto walked = WalkTwo(exchange);
  if (!walked.ok()) return walked.status();
  const Walked *from = &walked->first, *to = &walked->second;
  if (from->parent() == nullptr || to->parent() == nullptr) return PosixError(EBUSY);
  if (absl::Status may = CheckRemove(caller, *from); !may.ok()) return may;
  absl::Status may =
      to->node() == nullptr ? Check(caller, *to->parent(), W_OK | X_OK) : CheckRemove(caller, *to);
  if (!may.ok()) return may;
  if (from->node() != to->node()) {
    if (absl::Status sane = CheckRename(*from, *to); !sane.ok()) return sane;
    Busy busy(*this, *from->parent(), *to->parent());
    absl::Status renamed =
        manager_.Rename(*from->parent(), from->name(), *to->parent(), to->name());
    if (!renamed.ok()) return renamed;
    from->node()->stat.changed_ns = WallNs();
    Touch(*from->parent());
    Touch(*to->parent());
  }
  exchange.Succeed({});
  return absl::OkStatus();
}

// -- Listing

absl::Status ResourceServer::DoList(ResourceExchange& exchange) {
  auto file = Find(exchange, R_OK);
  if (!file.ok()) return file.status();
  if (!(*file)->node().IsDirectory()) return PosixError(ENOTDIR);
  Busy busy(*this, (*file)->node());
  const uint64_t begin = exchange.operation().offset;
  std::vector<DirectoryEntry>& entries = (*file)->listed_;
  if (begin == 0) {
    auto listed = manager_.List((*file)->node());
    if (!listed.ok()) return listed.status();
    entries = *std::move(listed);
  }
  const MutableBytes room = exchange.Room(exchange.operation().length);
  uint64_t used = 0, count = 0;
  for (uint64_t i = begin; i < entries.size(); ++i, ++count) {
    const DirectoryEntry& from = entries[i];
    const files::Entry entry = {.inode = from.inode,
                                .next = i + 1,
                                .mode = from.mode,
                                .name_bytes = static_cast<uint32_t>(from.name.size())};
    const uint64_t bytes = sizeof(entry) + (from.name.size() + 7) / 8 * 8;
    if (bytes > room.size() - used) break;
    std::memset(room.data() + used, 0, bytes);
    std::memcpy(room.data() + used, &entry, sizeof(entry));
    std::memcpy(room.data() + used + sizeof(entry), from.name.data(), from.name.size());
    used += bytes;
  }
  if (count == 0 && begin < entries.size()) return PosixError(EINVAL);
  exchange.Succeed({.value = count}, used);
  return absl::OkStatus();
}

}  // namespace ipc
