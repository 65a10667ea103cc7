// The operations of the file protocol on what a file is like: its state, readiness and locks.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "libipc/src/resource_locks.h"
#include "libipc/src/resource_server.h"

namespace ipc {

absl::Status ResourceServer::DoStat(ResourceExchange& exchange) {
  auto node = NodeOf(exchange, TextOf(exchange.payload()));
  if (!node.ok()) return node.status();
  Busy busy(*this, **node);
  auto stat = manager_.Stat(**node);
  if (!stat.ok()) return stat.status();
  return exchange.SucceedWith({}, BytesOf(*stat));
}

absl::Status ResourceServer::DoStatFs(ResourceExchange& exchange) {
  const auto stat = manager_.StatFs();
  if (!stat.ok()) return stat.status();
  return exchange.SucceedWith({}, BytesOf(*stat));
}

namespace {

// Who may change what: the owner, but that only uid 0 gives a file away, and that whoever may write
// a file may say that it has just been used.
bool MayChange(const MessageInfo& caller, const files::Stat& stat, const files::Change& change,
               bool may_write) {
  constexpr uint32_t kNow = files::Change::kAccessedNow | files::Change::kModifiedNow;
  const bool has = caller.uid == 0 || caller.uid == stat.uid;
  if ((change.mask & ~kNow) != 0 && !has) return false;
  if ((change.mask & kNow) != 0 && !has && !may_write) return false;
  if (caller.uid == 0) return true;
  if ((change.mask & files::Change::kUid) != 0 && change.uid != stat.uid) return false;
  return (change.mask & files::Change::kGid) == 0 || change.gid == stat.gid ||
         change.gid == caller.gid;
}

}  // namespace

absl::Status ResourceServer::DoChange(ResourceExchange& exchange) {
  files::Change change;
  if (exchange.payload().size() < sizeof(change)) return PosixError(EINVAL);
  std::memcpy(&change, exchange.payload().data(), sizeof(change));
  auto node = NodeOf(exchange, TextOf(exchange.payload().subspan(sizeof(change))));
  if (!node.ok()) return node.status();
  const MessageInfo& caller = exchange.caller();
  if (absl::Status fresh = Refresh(**node); !fresh.ok()) return fresh;
  Busy busy(*this, **node);
  const files::Stat& stat = (*node)->stat;
  const bool may_write = Check(caller, **node, W_OK).ok();
  if (!MayChange(caller, stat, change, may_write)) return PosixError(EPERM);
  // Whoever gets a file does not get the powers that it gave its owner.
  const bool given = (change.mask & (files::Change::kUid | files::Change::kGid)) != 0;
  if (given && caller.uid != 0 && (change.mask & files::Change::kMode) == 0) {
    change.mask |= files::Change::kMode;
    change.mode = stat.mode & 07777 & ~(S_ISUID | S_ISGID);
  }
  const int64_t now = WallNs();
  if ((change.mask & files::Change::kAccessedNow) != 0) change.accessed_ns = now;
  if ((change.mask & files::Change::kModifiedNow) != 0) change.modified_ns = now;
  change.mode &= 07777;
  absl::Status changed = manager_.Change(**node, change);
  if (!changed.ok()) return changed;
  (*node)->stat.changed_ns = now;
  exchange.Succeed({});
  return absl::OkStatus();
}

// -- Readiness

absl::Status ResourceServer::DoPoll(ResourceExchange& exchange) {
  auto file = Find(exchange);
  if (!file.ok()) return file.status();
  Busy busy(*this, (*file)->node());
  const uint64_t wakes = WakesOf((*file)->node());
  const uint32_t ready = manager_.Poll(**file) & exchange.operation().flags;
  if (ready == 0 && exchange.operation().value != 0) {
    return WaitFor(exchange, (*file)->shared_node(), wakes);
  }
  exchange.Succeed({.value = ready});
  return absl::OkStatus();
}

absl::Status ResourceServer::DoNotify(ResourceExchange& exchange) {
  auto file = Find(exchange);
  if (!file.ok()) return file.status();
  const uint32_t wanted = exchange.operation().flags & (files::kReadable | files::kWritable);
  const ConstBytes payload = exchange.payload();
  if (payload.size() != (wanted == 0 ? 0 : sizeof(EventToken))) return PosixError(EINVAL);
  // Asked for before it is looked at: a wake in between finds it.
  Busy busy(*this, (*file)->node());
  if (wanted != 0) std::memcpy(&(*file)->event_, payload.data(), sizeof(EventToken));
  SetNotify(**file, wanted);
  const uint32_t ready = wanted == 0 ? 0 : manager_.Poll(**file) & wanted;
  if (ready != 0) SetNotify(**file, 0);
  exchange.Succeed({.value = ready});
  return absl::OkStatus();
}

// -- Locks

absl::Status ResourceServer::DoLock(ResourceExchange& exchange) {
  const files::Operation& operation = exchange.operation();
  const uint32_t type = operation.flags & 0xff;
  if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK) return PosixError(EINVAL);
  const bool test = (operation.flags & files::kLockTest) != 0;
  const int needs = test || type == F_UNLCK ? 0 : type == F_RDLCK ? R_OK : W_OK;
  auto found = Find(exchange, needs);
  if (!found.ok()) return found.status();
  OpenFile& file = **found;
  const uint64_t number = operation.file == files::kNewest ? exchange.newest : operation.file;
  const uint64_t end =
      operation.length == 0 ? FileLocks::kEnd : operation.offset + operation.length;
  if (end <= operation.offset) return PosixError(EINVAL);
  const FileLocks::Range wanted = {
      .begin = operation.offset,
      .end = end,
      .exclusive = type == F_WRLCK,
      .owner = operation.value == 0
                   ? FileLocks::Owner{number, 0}
                   : FileLocks::Owner{uint64_t{1} << 32 | exchange.caller().sender.id(),
                                      operation.value},
      .pid = exchange.caller().pid,
      .file = static_cast<uint32_t>(number)};
  Busy busy(*this, file.node());
  const uint64_t wakes = WakesOf(file.node());
  std::shared_ptr<FileLocks>& locks = file.node().locks_;
  if (locks == nullptr) locks = std::make_shared<FileLocks>();
  const auto conflict = type == F_UNLCK ? std::nullopt : locks->Conflict(wanted);
  if (test) return TellLock(exchange, conflict);
  if (conflict) {
    if ((operation.flags & files::kLockWait) == 0) return PosixError(EAGAIN);
    return WaitFor(exchange, file.shared_node(), wakes);
  }
  const bool done =
      type == F_UNLCK ? locks->Clear(wanted.owner, wanted.begin, wanted.end) : locks->Set(wanted);
  if (!done) return PosixError(ENOLCK);
  Wake(file.node());  // also a lock for reading may have been one for writing
  exchange.Succeed({});
  return absl::OkStatus();
}

absl::Status ResourceServer::TellLock(ResourceExchange& exchange,
                                      const std::optional<FileLocks::Range>& conflict) {
  files::Lock lock = {.type = F_UNLCK};
  if (conflict) {
    lock = {.owner = conflict->owner.id,
            .start = conflict->begin,
            .length = conflict->end == FileLocks::kEnd ? 0 : conflict->end - conflict->begin,
            .type = static_cast<uint32_t>(conflict->exclusive ? F_WRLCK : F_RDLCK),
            .pid = conflict->pid};
  }
  return exchange.SucceedWith({}, BytesOf(lock));
}

}  // namespace ipc
