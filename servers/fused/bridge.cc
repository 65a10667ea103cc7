// The table of operations, and what they share.
#include "servers/fused/bridge.h"

#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "ipc/posix.h"
#include "servers/common/timespec.h"

namespace fused {
namespace {

constexpr unsigned kBackgroundRequests = 64;  // at a time, as reads ahead of a reader
constexpr int kMostTries = 8;                 // to find a name while others are renamed

}  // namespace

struct stat ToLinux(const ipc::files::Stat& stat) {
  struct stat result = {};
  const bool itself = S_ISREG(stat.mode) || S_ISDIR(stat.mode) || S_ISLNK(stat.mode);
  result.st_ino = stat.inode;
  result.st_mode = itself ? stat.mode : S_IFREG | (stat.mode & 07777);
  result.st_nlink = stat.links;
  result.st_uid = stat.uid;
  result.st_gid = stat.gid;
  result.st_size = static_cast<off_t>(stat.size);
  result.st_blksize = 4096;
  result.st_blocks = static_cast<blkcnt_t>((stat.size + 511) / 512);
  result.st_atim = common::ToTimespec(stat.accessed_ns);
  result.st_mtim = common::ToTimespec(stat.modified_ns);
  result.st_ctim = common::ToTimespec(stat.changed_ns);
  return result;
}

Bridge& Bridge::Of(fuse_req_t request) { return *static_cast<Bridge*>(fuse_req_userdata(request)); }

void Bridge::Init(void*, fuse_conn_info* connection) {
  connection->max_write = Workers::kDataBytes;
  connection->max_read = Workers::kDataBytes;
  connection->max_background = kBackgroundRequests;
  // Linux takes set-user-id bits away by setattr, which every server has.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_HANDLE_KILLPRIV);
}

using Request = fuse_req_t;
using Node = fuse_ino_t;

void Bridge::AddNames(fuse_lowlevel_ops& operations) {
  operations.lookup = [](Request r, Node parent, Name name) { Of(r).Lookup(r, parent, name); };
  operations.forget = [](Request r, Node node, uint64_t lookups) {
    Of(r).Forgotten(node, lookups);
    fuse_reply_none(r);
  };
  operations.getattr = [](Request r, Node node, Info info) { Of(r).GetAttributes(r, node, info); };
  operations.setattr = [](Request r, Node node, struct stat* to, int mask, Info info) {
    Of(r).SetAttributes(r, node, to, mask, info);
  };
  operations.readlink = [](Request r, Node node) { Of(r).ReadLink(r, node); };
  operations.mknod = [](Request r, Node parent, Name name, mode_t mode, dev_t) {
    Of(r).MakeNode(r, parent, name, mode);
  };
  operations.mkdir = [](Request r, Node parent, Name name, mode_t mode) {
    Of(r).Make(r, parent, name, [&](const Server& server, const std::string& path) {
      return server.files.MakeDirectory(path, mode);
    });
  };
  operations.unlink = [](Request r, Node parent, Name name) {
    Of(r).Remove(r, parent, name, false);
  };
  operations.rmdir = [](Request r, Node parent, Name name) { Of(r).Remove(r, parent, name, true); };
  operations.symlink = [](Request r, Name target, Node parent, Name name) {
    Of(r).Make(r, parent, name, [&](const Server& server, const std::string& path) {
      return server.files.MakeSymbolicLink(target, path);
    });
  };
  operations.rename = [](Request r, Node parent, Name name, Node to, Name new_name,
                         unsigned flags) { Of(r).Rename(r, parent, name, to, new_name, flags); };
  operations.link = [](Request r, Node node, Node parent, Name name) {
    Of(r).Link(r, node, parent, name);
  };
  operations.opendir = [](Request r, Node node, Info info) { Of(r).OpenFolder(r, node, info); };
  operations.readdir = [](Request r, Node, size_t size, off_t from, Info info) {
    Of(r).ReadFolder(r, size, from, info);
  };
  operations.releasedir = [](Request r, Node, Info info) {
    Of(r).folders_.Remove(info->fh);
    fuse_reply_err(r, 0);
  };
  operations.fsyncdir = [](Request r, Node, int, Info) { fuse_reply_err(r, 0); };
  operations.statfs = [](Request r, Node node) { Of(r).StatFs(r, node); };
  operations.forget_multi = [](Request r, size_t count, fuse_forget_data* all) {
    for (size_t i = 0; i < count; ++i) Of(r).Forgotten(all[i].ino, all[i].nlookup);
    fuse_reply_none(r);
  };
}

void Bridge::AddFiles(fuse_lowlevel_ops& operations) {
  operations.open = [](Request r, Node node, Info info) { Of(r).Open(r, node, info); };
  operations.read = [](Request r, Node, size_t size, off_t offset, Info info) {
    Of(r).Read(r, size, offset, info);
  };
  operations.write = [](Request r, Node, Name bytes, size_t size, off_t offset, Info info) {
    Of(r).Write(r, bytes, size, offset, info);
  };
  operations.flush = [](Request r, Node, Info info) { Of(r).Flush(r, info); };
  operations.release = [](Request r, Node, Info info) { Of(r).Release(r, info); };
  operations.fsync = [](Request r, Node, int, Info info) { Of(r).Sync(r, info); };
  operations.create = [](Request r, Node parent, Name name, mode_t mode, Info info) {
    Of(r).Create(r, parent, name, mode, info);
  };
  operations.getlk = [](Request r, Node, Info info, struct flock* lock) {
    Of(r).FindLock(r, info, *lock);
  };
  operations.setlk = [](Request r, Node, Info info, struct flock* lock, int sleep) {
    Of(r).SetLock(r, info, *lock, sleep != 0);
  };
  operations.ioctl = [](Request r, Node, unsigned code, void*, Info info, unsigned flags,
                        const void* in, size_t in_bytes, size_t out_bytes) {
    const ipc::ConstBytes bytes(static_cast<const std::byte*>(in), in_bytes);
    Of(r).Control(r, code, flags, bytes, out_bytes, info);
  };
  operations.poll = [](Request r, Node, Info info, fuse_pollhandle* handle) {
    Of(r).Poll(r, info, handle);
  };
}

fuse_lowlevel_ops Bridge::Operations() {
  fuse_lowlevel_ops operations = {};
  operations.init = &Init;
  AddNames(operations);
  AddFiles(operations);
  return operations;
}

// -- Shared by the operations

// Work that a signal to the caller may interrupt. EAGAIN: too much else blocks for ever.
absl::Status Bridge::Do(fuse_req_t request, Work work, Interruptible::For what) {
  const Interruptible interruptible(*workers_, request, what);
  return interruptible.is_admitted() ? work() : ipc::PosixError(EAGAIN);
}

void Bridge::DoAndReply(fuse_req_t request, Work work, Interruptible::For what) {
  Reply(request, Do(request, work, what));
}

// 0: it is done.
void Bridge::Reply(fuse_req_t request, const absl::Status& status) {
  fuse_reply_err(request, ipc::PosixErrorOf(status));
}

absl::StatusOr<std::string> Bridge::PathOf(uint64_t node) {
  const std::scoped_lock locked(lock_);
  auto path = table_.PathOf(node);
  if (!path) return ipc::PosixError(ESTALE);
  return *std::move(path);
}

absl::StatusOr<std::string> Bridge::PathOf(uint64_t parent, Name name) {
  auto path = PathOf(parent);
  if (!path.ok()) return path;
  return *path == "/" ? absl::StrCat("/", name) : absl::StrCat(*path, "/", name);
}

// What a name leads to; Linux has looked it up once more.
absl::Status Bridge::Describe(uint64_t parent, Name name, fuse_entry_param& entry) {
  const auto path = PathOf(parent, name);
  if (!path.ok()) return path.status();
  for (int tries = 1;; ++tries) {
    const uint64_t before = changes_;
    const auto found = names_.Find(*path);
    if (!found.ok()) return found.status();
    entry = {};
    entry.attr = ToLinux(found->stat);
    entry.attr_timeout = entry.entry_timeout = kKnownSeconds;
    const std::scoped_lock locked(lock_);
    if (!table_.IdentityOf(parent)) return ipc::PosixError(ESTALE);
    // What was found before a rename would take the name from what has it now.
    if (changes_ != before && tries < kMostTries) continue;
    entry.ino = table_.Enter(parent, name, {found->stat.inode, found->stat.mode & S_IFMT});
    return absl::OkStatus();
  }
}

void Bridge::ReplyEntry(fuse_req_t request, const fuse_entry_param& entry) {
  // Nobody waits for it any more: Linux does not know that it has looked it up.
  if (fuse_reply_entry(request, &entry) == -ENOENT) Forgotten(entry.ino, 1);
}

void Bridge::Forgotten(uint64_t node, uint64_t lookups) {
  const std::scoped_lock locked(lock_);
  table_.Forget(node, lookups);
}

}  // namespace fused
