// The operations of the file protocol on open files, as POSIX has them. Each has one function: it
// checks, calls the device, and notes the result.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "libipc/src/resource_locks.h"
#include "libipc/src/resource_server.h"

namespace ipc {
namespace {

constexpr uint64_t kMostOffset = std::numeric_limits<int64_t>::max();

bool MayRead(uint32_t flags) { return (flags & O_ACCMODE) != O_WRONLY; }
bool MayWrite(uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY; }
// What an operation names of a region's range. EINVAL: it begins beyond.
template <typename Bytes>
absl::StatusOr<Bytes> PartOf(Bytes range, const files::Operation& operation) {
  if (operation.value > range.size()) return PosixError(EINVAL);
  return range.subspan(operation.value, operation.length);
}
bool HasPosition(const Node& node) {
  return !S_ISFIFO(node.stat.mode) && !S_ISSOCK(node.stat.mode);
}

}  // namespace

absl::Status ResourceServer::Perform(Exchange& owned) {
  ResourceExchange& exchange = *owned;
  exchange.waits_on = nullptr;
  switch (exchange.operation().verb) {
    case files::Verb::kOpen:
      return DoOpen(exchange);
    case files::Verb::kClose:
      return DoClose(exchange);
    case files::Verb::kRead:
      return DoRead(owned);
    case files::Verb::kWrite:
      return DoWrite(owned);
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
      return DoSync(owned);
    case files::Verb::kUnlink:
      return DoUnlink(exchange);
    case files::Verb::kRename:
      return DoRename(exchange);
    case files::Verb::kMake:
      return DoMake(exchange);
    case files::Verb::kLink:
      return DoLink(exchange);
    case files::Verb::kReadLink:
      return DoReadLink(exchange);
    case files::Verb::kChange:
      return DoChange(exchange);
    case files::Verb::kNotify:
      return DoNotify(exchange);
    case files::Verb::kMap:
      return DoMap(exchange);
    case files::Verb::kLock:
      return DoLock(exchange);
    case files::Verb::kStatFs:
      return DoStatFs(exchange);
    case files::Verb::kNothing:
      break;
  }
  return PosixError(ENOSYS);
}

// -- What the operations share

absl::StatusOr<std::shared_ptr<OpenFile>> ResourceServer::Find(const ResourceExchange& exchange,
                                                               int access) {
  Tables tables(*this);
  const uint32_t number = exchange.operation().file;
  const auto at = files_.find(number == files::kNewest ? exchange.newest : number);
  const bool own = at != files_.end() && at->second.client == exchange.caller().sender.id();
  if (!own) return PosixError(EBADF);
  const uint32_t flags = at->second.file->flags();
  if (((access & R_OK) != 0 && !MayRead(flags)) || ((access & W_OK) != 0 && !MayWrite(flags))) {
    return PosixError(EBADF);
  }
  return at->second.file;
}

FileCall ResourceServer::CallFor(const ResourceExchange& exchange) {
  Tables tables(*this);
  return FileCall(this, ++last_call_, exchange.caller());
}

uint64_t ResourceServer::WakesOf(const Node& node) const {
  Tables tables(*this);
  return node.wakes_;
}

absl::Status ResourceServer::WaitFor(ResourceExchange& exchange, const std::shared_ptr<Node>& node,
                                     uint64_t wakes_seen) const {
  exchange.waits_on = node;
  exchange.wakes_seen = wakes_seen;
  return PosixError(EAGAIN);
}

// -- Opening and closing

absl::Status ResourceServer::DoOpen(ResourceExchange& exchange) {
  const uint32_t flags = exchange.operation().flags;
  const MessageInfo& caller = exchange.caller();
  const bool anew = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0;
  auto walked = Walk(caller, TextOf(exchange.payload()), (flags & O_NOFOLLOW) == 0 && !anew);
  if (!walked.ok()) return walked.status();
  const bool make = walked->node() == nullptr;
  if (make && (flags & O_CREAT) == 0) return PosixError(ENOENT);
  if (!make && anew) return PosixError(EEXIST);
  if (absl::Status may = CheckMayKeep(caller); !may.ok()) return may;
  if (make) {
    if (absl::Status made = MakeMissing(exchange, *walked); !made.ok()) return made;
  } else {
    const uint32_t wanted = (MayRead(flags) ? R_OK : 0) | (MayWrite(flags) ? W_OK : 0);
    if (absl::Status may = Check(caller, *walked->node(), wanted); !may.ok()) return may;
  }
  const std::shared_ptr<Node>& node = walked->node();
  if (S_ISLNK(node->stat.mode)) return PosixError(ELOOP);
  if (node->IsDirectory() && (MayWrite(flags) || (flags & O_CREAT) != 0)) return PosixError(EISDIR);
  if (!node->IsDirectory() && (flags & O_DIRECTORY) != 0) return PosixError(ENOTDIR);
  Busy busy(*this, *node);
  if (!make && (flags & O_TRUNC) != 0 && MayWrite(flags) && S_ISREG(node->stat.mode)) {
    if (absl::Status cut = Cut(*node, 0); !cut.ok()) return cut;
  }
  FileCall call = CallFor(exchange);
  auto file = manager_.Open(call, node, flags);
  if (!file.ok()) return file.status();
  (*file)->flags_ = flags;
  exchange.newest = Keep(exchange, *file);
  exchange.Succeed({.file = exchange.newest});
  return absl::OkStatus();
}

// Before anything is made or cut. With a pool, as many more as it has threads may pass.
absl::Status ResourceServer::CheckMayKeep(const MessageInfo& caller) const {
  Tables tables(*this);
  const auto at = files_of_.find(caller.sender.id());
  const bool may = at == files_of_.end() || at->second < ResourceManager::kMaxOpenFiles;
  return may ? absl::OkStatus() : PosixError(EMFILE);
}

uint32_t ResourceServer::Keep(const ResourceExchange& exchange, std::shared_ptr<OpenFile> file) {
  Tables tables(*this);
  const MessageInfo& caller = exchange.caller();
  while (files_.contains(++last_file_) || last_file_ == 0 || last_file_ == files::kNewest) {
  }
  files_.emplace(last_file_, Opened{caller.sender.id(), caller.connection, std::move(file)});
  ++files_of_[caller.sender.id()];
  return last_file_;
}

absl::Status ResourceServer::DoClose(ResourceExchange& exchange) {
  auto file = Find(exchange);
  if (!file.ok()) return file.status();
  uint32_t number = exchange.operation().file;
  if (number == files::kNewest) number = exchange.newest;
  {
    Tables tables(*this);
    if (files_.erase(number) == 0) return PosixError(EBADF);  // by another thread
    --files_of_[exchange.caller().sender.id()];
  }
  Release(**file, number);
  exchange.Succeed({});
  return absl::OkStatus();
}

// -- Reading and writing

// Where a read or a write goes. The node is busy.
absl::StatusOr<ResourceServer::Target> ResourceServer::FindTarget(ResourceExchange& exchange,
                                                                  std::shared_ptr<OpenFile> found,
                                                                  int access) {
  OpenFile& file = *found;
  Target target = {std::move(found), exchange.operation().offset, false};
  const bool at_position = target.offset == files::kPosition;
  if (!at_position && !HasPosition(file.node())) return PosixError(ESPIPE);
  if (at_position) {
    if (file.moving_) {
      return WaitFor(exchange, file.shared_node(), WakesOf(file.node()));
    }
    target.offset = file.position_;
    target.moves = HasPosition(file.node());
  }
  if (access == W_OK && (file.flags() & O_APPEND) != 0) {
    const auto stat = manager_.Stat(file.node());
    if (!stat.ok()) return stat.status();
    target.offset = stat->size;
  }
  if (target.offset > kMostOffset) return PosixError(EINVAL);
  return target;
}

// What the device says of it: how many bytes it has moved, or that it will say so later. The node
// is busy.
absl::Status ResourceServer::EndTransfer(Exchange& exchange, const FileCall& call, Target target,
                                         absl::StatusOr<uint64_t> count, bool into_reply) {
  if (call.deferred_) {
    target.file->moving_ |= target.moves;
    Tables tables(*this);
    Pending& pending = pending_[call.id_];
    pending.exchange = std::move(exchange);
    pending.target = std::move(target);
    pending.into_reply = into_reply;
    if (pending.result) finished_.push_back(call.id_);
    return PosixError(EINPROGRESS);
  }
  if (!count.ok()) return count.status();
  Advance(*exchange, target, *count, into_reply);
  return absl::OkStatus();
}

// It has moved so many bytes.
void ResourceServer::Advance(ResourceExchange& exchange, const Target& target, uint64_t count,
                             bool into_reply) {
  if (target.moves) target.file->position_ = target.offset + count;
  files::Stat& stat = target.file->node().stat;
  if (exchange.operation().verb == files::Verb::kWrite) {
    stat.modified_ns = stat.changed_ns = WallNs();
  } else if (exchange.operation().verb == files::Verb::kRead) {
    stat.accessed_ns = WallNs();
  }
  exchange.Succeed({.value = count}, into_reply ? count : 0);
}

// A status that says EAGAIN lets the client wait for the file's node, unless it does not want to.
absl::Status ResourceServer::WaitUnless(ResourceExchange& exchange, const OpenFile& file,
                                        uint64_t wakes_seen, absl::Status status) const {
  if (PosixErrorOf(status) != EAGAIN || exchange.waits_on != nullptr) return status;
  if ((file.flags() & O_NONBLOCK) != 0) return status;
  return WaitFor(exchange, file.shared_node(), wakes_seen);
}

absl::Status ResourceServer::DoRead(Exchange& owned) {
  ResourceExchange& exchange = *owned;
  const files::Operation& operation = exchange.operation();
  auto file = Find(exchange, R_OK);
  if (!file.ok()) return file.status();
  const bool into_reply = operation.region == files::kNoRegion;
  MutableBytes room;
  if (into_reply) {
    room = exchange.Room(operation.length);
  } else {
    const auto lease = exchange.message().Region(operation.region);
    if (!lease.ok()) return lease.status();
    if (!lease->writable()) return PosixError(EACCES, "the region is not for writing");
    const size_t pieces = CountPieces(exchange, **file);
    if (pieces > 1) return DoPieces(owned, *file, lease->write(), pieces);
    const auto part = PartOf(lease->write(), operation);
    if (!part.ok()) return part.status();
    room = *part;
  }
  Busy busy(*this, (*file)->node());
  const uint64_t wakes = WakesOf((*file)->node());
  const auto target = FindTarget(exchange, *file, R_OK);
  if (!target.ok()) return target.status();
  FileCall call = CallFor(exchange);
  auto count = manager_.Read(call, **file, target->offset, room);
  absl::Status ended = EndTransfer(owned, call, *target, std::move(count), into_reply);
  return owned == nullptr ? ended : WaitUnless(exchange, **file, wakes, ended);
}

absl::Status ResourceServer::DoWrite(Exchange& owned) {
  ResourceExchange& exchange = *owned;
  const files::Operation& operation = exchange.operation();
  auto file = Find(exchange, W_OK);
  if (!file.ok()) return file.status();
  ConstBytes bytes = exchange.payload();
  if (operation.region != files::kNoRegion) {
    const auto lease = exchange.message().Region(operation.region);
    if (!lease.ok()) return lease.status();
    const auto part = PartOf(lease->read(), operation);
    if (!part.ok()) return part.status();
    bytes = *part;
  }
  Busy busy(*this, (*file)->node());
  const uint64_t wakes = WakesOf((*file)->node());
  const auto target = FindTarget(exchange, *file, W_OK);
  if (!target.ok()) return target.status();
  FileCall call = CallFor(exchange);
  auto count = manager_.Write(call, **file, target->offset, bytes);
  absl::Status ended = EndTransfer(owned, call, *target, std::move(count), false);
  return owned == nullptr ? ended : WaitUnless(exchange, **file, wakes, ended);
}

absl::Status ResourceServer::DoSync(Exchange& owned) {
  auto file = Find(*owned);
  if (!file.ok()) return file.status();
  Busy busy(*this, (*file)->node());
  FileCall call = CallFor(*owned);
  absl::Status synced = manager_.Sync(call, **file);
  absl::StatusOr<uint64_t> count = 0;
  if (!synced.ok()) count = synced;
  return EndTransfer(owned, call, {*file}, std::move(count), false);
}

absl::Status ResourceServer::DoSeek(ResourceExchange& exchange) {
  auto found = Find(exchange);
  if (!found.ok()) return found.status();
  OpenFile& file = **found;
  if (!HasPosition(file.node())) return PosixError(ESPIPE);
  Busy busy(*this, file.node());
  if (file.moving_) return WaitFor(exchange, file.shared_node(), WakesOf(file.node()));
  int64_t from = 0;
  switch (exchange.operation().flags) {
    case SEEK_SET:
      break;
    case SEEK_CUR:
      from = static_cast<int64_t>(file.position_);
      break;
    case SEEK_END: {
      const auto stat = manager_.Stat(file.node());
      if (!stat.ok()) return stat.status();
      from = static_cast<int64_t>(stat->size);
      break;
    }
    default:
      return PosixError(EINVAL);
  }
  int64_t position = 0;
  if (__builtin_add_overflow(from, static_cast<int64_t>(exchange.operation().offset), &position)) {
    return PosixError(EOVERFLOW);
  }
  if (position < 0) return PosixError(EINVAL);
  file.position_ = static_cast<uint64_t>(position);
  exchange.Succeed({.value = file.position_});
  return absl::OkStatus();
}

// -- Everything else of an open file

// The node is busy.
absl::Status ResourceServer::Cut(Node& node, uint64_t size) {
  absl::Status cut = manager_.Truncate(node, size);
  if (cut.ok()) node.stat.modified_ns = node.stat.changed_ns = WallNs();
  return cut;
}

absl::Status ResourceServer::DoTruncate(ResourceExchange& exchange) {
  auto file = Find(exchange, W_OK);
  if (!file.ok()) return file.status();
  if (exchange.operation().length > kMostOffset) return PosixError(EINVAL);
  Busy busy(*this, (*file)->node());
  absl::Status cut = Cut((*file)->node(), exchange.operation().length);
  if (cut.ok()) exchange.Succeed({});
  return cut;
}

absl::Status ResourceServer::DoControl(ResourceExchange& exchange) {
  const files::Operation& operation = exchange.operation();
  auto file = Find(exchange);
  if (!file.ok()) return file.status();
  Busy busy(*this, (*file)->node());
  const uint64_t wakes = WakesOf((*file)->node());
  FileCall call = CallFor(exchange);
  ControlRequest request(operation.value, exchange.payload(), exchange.Room(operation.length));
  absl::Status done = manager_.Control(call, **file, request);
  if (!done.ok()) return WaitUnless(exchange, **file, wakes, done);
  exchange.Succeed({.value = request.value_}, request.used_);
  return absl::OkStatus();
}

absl::Status ResourceServer::DoMap(ResourceExchange& exchange) {
  const files::Operation& operation = exchange.operation();
  const bool writable = (operation.flags & files::kWritable) != 0;
  auto file = Find(exchange, writable ? R_OK | W_OK : R_OK);
  if (!file.ok()) return file.status();
  Busy busy(*this, (*file)->node());
  FileCall call = CallFor(exchange);
  const auto token = manager_.Map(call, **file, operation.offset, operation.length, writable);
  if (!token.ok()) return token.status();
  return exchange.SucceedWith({.value = operation.length}, BytesOf(*token));
}

}  // namespace ipc
