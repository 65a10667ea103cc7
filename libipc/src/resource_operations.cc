// The operations of the file protocol, as POSIX has them. Each has one function: it checks, calls
// the device, and notes the result.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "libipc/src/resource_server.h"

namespace ipc {
namespace {

constexpr uint64_t kMostOffset = std::numeric_limits<int64_t>::max();

bool MayRead(uint32_t flags) { return (flags & O_ACCMODE) != O_WRONLY; }
bool MayWrite(uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY; }
bool HasPosition(const Node& node) {
  return !S_ISFIFO(node.stat.mode) && !S_ISSOCK(node.stat.mode);
}

}  // namespace

absl::Status ResourceManager::Server::Perform(ResourceExchange& exchange) {
  waits_on_ = nullptr;
  switch (exchange.operation().verb) {
    case files::Verb::kOpen:
      return DoOpen(exchange);
    case files::Verb::kClose:
      return DoClose(exchange);
    case files::Verb::kRead:
      return DoRead(exchange);
    case files::Verb::kWrite:
      return DoWrite(exchange);
    case files::Verb::kSeek:
      return DoSeek(exchange);
    case files::Verb::kStat:
      return DoStat(exchange);
    case files::Verb::kList:
      return DoList(exchange);
    case files::Verb::kTruncate:
      return DoTruncate(exchange);
    case files::Verb::kControl:
      return DoControl(exchange);
    case files::Verb::kPoll:
      return DoPoll(exchange);
    case files::Verb::kSync:
      return DoSync(exchange);
    case files::Verb::kUnlink:
      return DoUnlink(exchange);
    case files::Verb::kRename:
      return DoRename(exchange);
    case files::Verb::kNothing:
      break;
  }
  return PosixError(ENOSYS);
}

absl::StatusOr<std::shared_ptr<OpenFile>> ResourceManager::Server::Find(
    const ResourceExchange& exchange, int access) const {
  const uint32_t number = exchange.operation().file;
  const auto at = files_.find(number == files::kNewest ? exchange.newest : number);
  const bool own = at != files_.end() && at->second.client == exchange.message().info().sender.id();
  if (!own) return PosixError(EBADF);
  const uint32_t flags = at->second.file->flags();
  if (((access & R_OK) != 0 && !MayRead(flags)) || ((access & W_OK) != 0 && !MayWrite(flags))) {
    return PosixError(EBADF);
  }
  return at->second.file;
}

absl::Status ResourceManager::Server::DoOpen(ResourceExchange& exchange) {
  const files::Operation& operation = exchange.operation();
  const MessageInfo& caller = exchange.message().info();
  const uint32_t flags = operation.flags;
  const absl::string_view path = TextOf(exchange.payload());
  auto walked = Walk(caller, path);
  if (!walked.ok()) return walked.status();
  const bool make = walked->node == nullptr;
  if (make && (flags & O_CREAT) == 0) return PosixError(ENOENT);
  if (make && path.back() == '/') return PosixError(EISDIR);
  if (!make && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return PosixError(EEXIST);
  if (files_of_[caller.sender.id()] >= kMaxOpenFiles) return PosixError(EMFILE);
  if (make) {
    if (absl::Status may = Check(caller, *walked->parent, W_OK); !may.ok()) return may;
    auto made = manager_.Create(*walked->parent, walked->name,
                                S_IFREG | (static_cast<uint32_t>(operation.value) & 07777));
    if (!made.ok()) return made.status();
    walked->node = *std::move(made);
    walked->node->stat.uid = caller.uid;
    walked->node->stat.gid = caller.gid;
  } else {
    const uint32_t wanted = (MayRead(flags) ? R_OK : 0) | (MayWrite(flags) ? W_OK : 0);
    if (absl::Status may = Check(caller, *walked->node, wanted); !may.ok()) return may;
  }
  Node& node = *walked->node;
  if (node.IsDirectory() && (MayWrite(flags) || (flags & O_CREAT) != 0)) return PosixError(EISDIR);
  if (!node.IsDirectory() && (flags & O_DIRECTORY) != 0) return PosixError(ENOTDIR);
  if (!make && (flags & O_TRUNC) != 0 && MayWrite(flags) && S_ISREG(node.stat.mode)) {
    if (absl::Status cut = manager_.Truncate(node, 0); !cut.ok()) return cut;
  }
  auto file = manager_.Open(walked->node, flags);
  if (!file.ok()) return file.status();
  (*file)->flags_ = flags;
  while (files_.contains(++last_file_) || last_file_ == 0 || last_file_ == files::kNewest) {
  }
  files_.emplace(last_file_, Opened{caller.sender.id(), *std::move(file)});
  ++files_of_[caller.sender.id()];
  exchange.newest = last_file_;
  exchange.Succeed({.file = last_file_}, 0);
  return absl::OkStatus();
}

absl::Status ResourceManager::Server::DoClose(ResourceExchange& exchange) {
  auto file = Find(exchange);
  if (!file.ok()) return file.status();
  const uint32_t number = exchange.operation().file;
  files_.erase(number == files::kNewest ? exchange.newest : number);
  --files_of_[exchange.message().info().sender.id()];
  manager_.Close(**file);
  exchange.Succeed({}, 0);
  return absl::OkStatus();
}

// Where a read or a write goes.
absl::StatusOr<ResourceManager::Server::Target> ResourceManager::Server::FindTarget(
    const ResourceExchange& exchange, int access) const {
  auto found = Find(exchange, access);
  if (!found.ok()) return found.status();
  OpenFile& file = **found;
  Target target = {*std::move(found), exchange.operation().offset, false};
  const bool at_position = target.offset == files::kPosition;
  if (!at_position && !HasPosition(file.node())) return PosixError(ESPIPE);
  if (at_position) {
    target.offset = file.position_;
    target.moves = HasPosition(file.node());
  }
  if (access == W_OK && (file.flags() & O_APPEND) != 0) target.offset = file.node().stat.size;
  if (target.offset > kMostOffset) return PosixError(EINVAL);
  return target;
}

// What the device says of it: how many bytes it has moved.
absl::Status ResourceManager::Server::EndTransfer(ResourceExchange& exchange, const Target& target,
                                                  const absl::StatusOr<uint64_t>& count,
                                                  bool into_reply) {
  if (!count.ok()) {
    if ((target.file->flags() & O_NONBLOCK) == 0) waits_on_ = target.file->shared_node();
    return count.status();
  }
  if (target.moves) target.file->position_ = target.offset + *count;
  exchange.Succeed({.value = *count}, into_reply ? *count : 0);
  return absl::OkStatus();
}

absl::Status ResourceManager::Server::DoRead(ResourceExchange& exchange) {
  const files::Operation& operation = exchange.operation();
  const auto target = FindTarget(exchange, R_OK);
  if (!target.ok()) return target.status();
  if (operation.region == files::kNoRegion) {
    const MutableBytes room = exchange.Room(operation.length);
    return EndTransfer(exchange, *target, manager_.Read(*target->file, target->offset, room), true);
  }
  const auto lease = exchange.message().Region(operation.region);
  if (!lease.ok()) return lease.status();
  if (!lease->writable()) return PosixError(EACCES, "the region is not for writing");
  const MutableBytes room = lease->write().subspan(0, operation.length);
  return EndTransfer(exchange, *target, manager_.Read(*target->file, target->offset, room), false);
}

absl::Status ResourceManager::Server::DoWrite(ResourceExchange& exchange) {
  const files::Operation& operation = exchange.operation();
  const auto target = FindTarget(exchange, W_OK);
  if (!target.ok()) return target.status();
  if (operation.region == files::kNoRegion) {
    return EndTransfer(exchange, *target,
                       manager_.Write(*target->file, target->offset, exchange.payload()), false);
  }
  const auto lease = exchange.message().Region(operation.region);
  if (!lease.ok()) return lease.status();
  const ConstBytes bytes = lease->read().subspan(0, operation.length);
  return EndTransfer(exchange, *target, manager_.Write(*target->file, target->offset, bytes),
                     false);
}

absl::Status ResourceManager::Server::DoSeek(ResourceExchange& exchange) {
  auto found = Find(exchange);
  if (!found.ok()) return found.status();
  OpenFile& file = **found;
  if (!HasPosition(file.node())) return PosixError(ESPIPE);
  int64_t from = 0;
  switch (exchange.operation().flags) {
    case SEEK_SET:
      break;
    case SEEK_CUR:
      from = static_cast<int64_t>(file.position_);
      break;
    case SEEK_END:
      from = static_cast<int64_t>(file.node().stat.size);
      break;
    default:
      return PosixError(EINVAL);
  }
  int64_t position = 0;
  if (__builtin_add_overflow(from, static_cast<int64_t>(exchange.operation().offset), &position)) {
    return PosixError(EOVERFLOW);
  }
  if (position < 0) return PosixError(EINVAL);
  file.position_ = static_cast<uint64_t>(position);
  exchange.Succeed({.value = file.position_}, 0);
  return absl::OkStatus();
}

absl::Status ResourceManager::Server::DoStat(ResourceExchange& exchange) {
  std::shared_ptr<Node> node;
  if (exchange.payload().empty()) {
    auto file = Find(exchange);
    if (!file.ok()) return file.status();
    node = (*file)->shared_node();
  } else {
    auto walked = Walk(exchange.message().info(), TextOf(exchange.payload()));
    if (!walked.ok()) return walked.status();
    node = walked->node;
  }
  if (node == nullptr) return PosixError(ENOENT);
  const MutableBytes room = exchange.Room(sizeof(node->stat));
  if (room.size() < sizeof(node->stat)) return PosixError(EMSGSIZE);
  std::memcpy(room.data(), &node->stat, sizeof(node->stat));
  exchange.Succeed({}, sizeof(node->stat));
  return absl::OkStatus();
}

absl::Status ResourceManager::Server::DoList(ResourceExchange& exchange) {
  auto file = Find(exchange, R_OK);
  if (!file.ok()) return file.status();
  if (!(*file)->node().IsDirectory()) return PosixError(ENOTDIR);
  const auto entries = manager_.List((*file)->node());
  if (!entries.ok()) return entries.status();
  const MutableBytes room = exchange.Room(exchange.operation().length);
  uint64_t used = 0, count = 0;
  for (uint64_t i = exchange.operation().offset; i < entries->size(); ++i, ++count) {
    const DirectoryEntry& from = (*entries)[i];
    const files::Entry entry = {.inode = from.node->stat.inode,
                                .next = i + 1,
                                .mode = from.node->stat.mode,
                                .name_bytes = static_cast<uint32_t>(from.name.size())};
    const uint64_t bytes = sizeof(entry) + (from.name.size() + 7) / 8 * 8;
    if (bytes > room.size() - used) break;
    std::memset(room.data() + used, 0, bytes);
    std::memcpy(room.data() + used, &entry, sizeof(entry));
    std::memcpy(room.data() + used + sizeof(entry), from.name.data(), from.name.size());
    used += bytes;
  }
  if (count == 0 && exchange.operation().offset < entries->size()) return PosixError(EINVAL);
  exchange.Succeed({.value = count}, used);
  return absl::OkStatus();
}

absl::Status ResourceManager::Server::DoTruncate(ResourceExchange& exchange) {
  auto file = Find(exchange, W_OK);
  if (!file.ok()) return file.status();
  if (exchange.operation().length > kMostOffset) return PosixError(EINVAL);
  absl::Status cut = manager_.Truncate((*file)->node(), exchange.operation().length);
  if (cut.ok()) exchange.Succeed({}, 0);
  return cut;
}

absl::Status ResourceManager::Server::DoControl(ResourceExchange& exchange) {
  const files::Operation& operation = exchange.operation();
  auto file = Find(exchange);
  if (!file.ok()) return file.status();
  uint64_t value = 0;
  const auto used = manager_.Control(**file, operation.value, exchange.payload(),
                                     exchange.Room(operation.length), value);
  if (!used.ok()) {
    if (((*file)->flags() & O_NONBLOCK) == 0) waits_on_ = (*file)->shared_node();
    return used.status();
  }
  exchange.Succeed({.value = value}, *used);
  return absl::OkStatus();
}

absl::Status ResourceManager::Server::DoPoll(ResourceExchange& exchange) {
  auto file = Find(exchange);
  if (!file.ok()) return file.status();
  const uint32_t ready = manager_.Poll(**file) & exchange.operation().flags;
  if (ready == 0 && exchange.operation().value != 0) {
    waits_on_ = (*file)->shared_node();
    return PosixError(EAGAIN);
  }
  exchange.Succeed({.value = ready}, 0);
  return absl::OkStatus();
}

absl::Status ResourceManager::Server::DoSync(ResourceExchange& exchange) {
  auto file = Find(exchange);
  if (!file.ok()) return file.status();
  absl::Status synced = manager_.Sync(**file);
  if (synced.ok()) exchange.Succeed({}, 0);
  return synced;
}

absl::Status ResourceManager::Server::DoUnlink(ResourceExchange& exchange) {
  const MessageInfo& caller = exchange.message().info();
  auto walked = Walk(caller, TextOf(exchange.payload()));
  if (!walked.ok()) return walked.status();
  if (walked->node == nullptr) return PosixError(ENOENT);
  if (walked->parent == nullptr) return PosixError(EBUSY);
  if (absl::Status may = Check(caller, *walked->parent, W_OK); !may.ok()) return may;
  const bool directory = (exchange.operation().flags & AT_REMOVEDIR) != 0;
  if (directory && !walked->node->IsDirectory()) return PosixError(ENOTDIR);
  if (!directory && walked->node->IsDirectory()) return PosixError(EISDIR);
  absl::Status gone = manager_.Unlink(*walked->parent, walked->name, directory);
  if (gone.ok()) exchange.Succeed({}, 0);
  return gone;
}

// What takes a name's place is of its kind, and no directory comes to lie below itself.
absl::Status ResourceManager::Server::CheckRename(const Walked& from, const Walked& to) {
  const bool directory = from.node->IsDirectory();
  if (to.node != nullptr && directory && !to.node->IsDirectory()) return PosixError(ENOTDIR);
  if (to.node != nullptr && !directory && to.node->IsDirectory()) return PosixError(EISDIR);
  const bool below = std::find(to.above.begin(), to.above.end(), from.node.get()) != to.above.end();
  return below ? PosixError(EINVAL) : absl::OkStatus();
}

absl::Status ResourceManager::Server::DoRename(ResourceExchange& exchange) {
  const MessageInfo& caller = exchange.message().info();
  const absl::string_view both = TextOf(exchange.payload());
  const size_t end = both.find('\0');
  if (end == both.npos || both.back() != '\0' || both.find('\0', end + 1) != both.size() - 1) {
    return PosixError(EINVAL);
  }
  auto from = Walk(caller, both.substr(0, end));
  if (!from.ok()) return from.status();
  auto to = Walk(caller, both.substr(end + 1, both.size() - end - 2));
  if (!to.ok()) return to.status();
  if (from->node == nullptr) return PosixError(ENOENT);
  if (from->parent == nullptr || to->parent == nullptr) return PosixError(EBUSY);
  for (const Node* directory : {from->parent.get(), to->parent.get()}) {
    if (absl::Status may = Check(caller, *directory, W_OK); !may.ok()) return may;
  }
  if (from->node != to->node) {
    if (absl::Status may = CheckRename(*from, *to); !may.ok()) return may;
    absl::Status renamed = manager_.Rename(*from->parent, from->name, *to->parent, to->name);
    if (!renamed.ok()) return renamed;
  }
  exchange.Succeed({}, 0);
  return absl::OkStatus();
}

}  // namespace ipc
