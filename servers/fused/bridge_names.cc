// Linux's operations on names and directories.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "ipc/posix.h"
#include "servers/common/timespec.h"
#include "servers/fused/bridge.h"

namespace fused {
namespace {

constexpr ino_t kUnknownInode = 0xffffffff;  // as libfuse has it: 0 would be no entry

// What of setattr is a change to a file server, but for the size.
ipc::files::Change ChangeOf(const struct stat& to, int mask) {
  using ipc::files::Change;
  Change change;
  const auto add = [&](int linux_bit, uint32_t bit) {
    if ((mask & linux_bit) != 0) change.mask |= bit;
  };
  add(FUSE_SET_ATTR_MODE, Change::kMode);
  add(FUSE_SET_ATTR_UID, Change::kUid);
  add(FUSE_SET_ATTR_GID, Change::kGid);
  const bool accessed_now = (mask & FUSE_SET_ATTR_ATIME_NOW) != 0;
  const bool modified_now = (mask & FUSE_SET_ATTR_MTIME_NOW) != 0;
  add(FUSE_SET_ATTR_ATIME, accessed_now ? Change::kAccessedNow : Change::kAccessed);
  add(FUSE_SET_ATTR_MTIME, modified_now ? Change::kModifiedNow : Change::kModified);
  change.mode = to.st_mode & 07777;
  change.uid = to.st_uid;
  change.gid = to.st_gid;
  change.accessed_ns = common::ToNs(to.st_atim);
  change.modified_ns = common::ToNs(to.st_mtim);
  return change;
}

// Linux takes a directory that lists another name for broken.
bool IsListable(absl::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= ipc::files::kMaxNameBytes &&
         name.find('/') == name.npos && name.find('\0') == name.npos;
}

}  // namespace

void Bridge::Lookup(fuse_req_t request, uint64_t parent, Name name) {
  fuse_entry_param entry;
  absl::Status done = Do(request, [&] { return Describe(parent, name, entry); });
  if (!done.ok()) return Reply(request, done);
  ReplyEntry(request, entry);
}

// -- Attributes

// Of an open file where one is at hand; of a name, if it still leads to the same; else of whatever
// is open of it. `file` 0: none is at hand.
absl::Status Bridge::Attributes(uint64_t node, uint64_t file, struct stat& attributes) {
  std::shared_ptr<OpenFile> open = files_.Find(file);
  if (open == nullptr) {
    if (const auto path = PathOf(node); path.ok()) {
      const auto found = names_.Find(*path);
      const bool gone = !found.ok() && ipc::PosixErrorOf(found.status()) == ENOENT;
      if (!found.ok() && !gone) return found.status();
      const std::scoped_lock locked(lock_);
      const Identity identity =
          gone ? Identity() : Identity{found->stat.inode, found->stat.mode & S_IFMT};
      if (!gone && (node == InodeTable::kRoot || table_.IdentityOf(node) == identity)) {
        attributes = ToLinux(found->stat);
        return absl::OkStatus();
      }
    }
    open = files_.OfNode(node);
    if (open == nullptr) return ipc::PosixError(ENOENT);
  }
  auto stat = open->file.Stat();
  if (!stat.ok()) return stat.status();
  stat->inode = open->server.InodeOf(stat->inode);
  attributes = ToLinux(*stat);
  return absl::OkStatus();
}

void Bridge::GetAttributes(fuse_req_t request, uint64_t node, Info info) {
  struct stat attributes;
  absl::Status done =
      Do(request, [&] { return Attributes(node, info == nullptr ? 0 : info->fh, attributes); });
  if (!done.ok()) return Reply(request, done);
  fuse_reply_attr(request, &attributes, kKnownSeconds);
}

absl::Status Bridge::Change(uint64_t node, const struct stat& wanted, int mask, uint64_t file) {
  const ipc::files::Change change = ChangeOf(wanted, mask);
  const bool resizes = (mask & FUSE_SET_ATTR_SIZE) != 0;
  const auto size = static_cast<uint64_t>(wanted.st_size);
  const auto path = PathOf(node);
  std::shared_ptr<OpenFile> open = files_.Find(file);
  if (open == nullptr && !path.ok()) open = files_.OfNode(node);
  if (open != nullptr) {
    absl::Status cut = resizes ? open->file.Truncate(size) : absl::OkStatus();
    return cut.ok() && change.mask != 0 ? open->file.Change(change) : cut;
  }
  if (!path.ok()) return path.status();
  return names_.Do(*path, Repeat::kHarmless, [&](const Server& server) {
    if (resizes) {
      auto cut = server.files.Open(*path, O_WRONLY | O_NOFOLLOW);
      if (!cut.ok()) return cut.status();
      absl::Status done = cut->Truncate(size);
      if (!done.ok()) return done;
    }
    if (change.mask == 0) return absl::OkStatus();
    return server.files.Change(*path, change, /*follow=*/false);
  });
}

void Bridge::SetAttributes(fuse_req_t request, uint64_t node, struct stat* wanted, int mask,
                           Info info) {
  const uint64_t file = info == nullptr ? 0 : info->fh;
  struct stat attributes;
  absl::Status done = Do(request, [&] {
    absl::Status changed = Change(node, *wanted, mask, file);
    // Nobody serves it: a directory of names is nobody's to change.
    if (ipc::PosixErrorOf(changed) == ENOENT && Attributes(node, 0, attributes).ok()) {
      return ipc::PosixError(EROFS);
    }
    return changed.ok() ? Attributes(node, file, attributes) : changed;
  });
  if (!done.ok()) return Reply(request, done);
  fuse_reply_attr(request, &attributes, kKnownSeconds);
}

void Bridge::StatFs(fuse_req_t request, uint64_t node) {
  ipc::files::StatFs stat;
  absl::Status done = Do(request, [&] {
    const auto path = PathOf(node);
    if (!path.ok()) return path.status();
    return names_.Do(*path, Repeat::kHarmless, [&](const Server& server) {
      auto its = server.files.StatFs();
      if (its.ok()) stat = *its;
      return its.status();
    });
  });
  // Of names alone, and of who does not say: nothing is full, since nothing has room.
  if (const int error = ipc::PosixErrorOf(done); error == EINTR) return Reply(request, done);
  struct statvfs result = {};
  result.f_bsize = result.f_frsize = stat.block_bytes;
  result.f_blocks = stat.blocks;
  result.f_bfree = stat.blocks_free;
  result.f_bavail = stat.blocks_available;
  result.f_files = stat.files;
  result.f_ffree = result.f_favail = stat.files_free;
  result.f_namemax = stat.name_bytes;
  fuse_reply_statfs(request, &result);
}

// -- Making and removing

// EROFS: nobody serves the place, so nothing can be made there.
absl::Status Bridge::MakeAt(fuse_req_t request, const std::string& path,
                            NameSpace::Operation make) {
  bool is_served = false;
  absl::Status made = names_.Do(path, Repeat::kNever, [&](const Server& server) {
    is_served = true;
    absl::Status done = make(server);
    return done.ok() ? GiveToCaller(request, server, path) : done;
  });
  if (!is_served && ipc::PosixErrorOf(made) == ENOENT) return ipc::PosixError(EROFS, path);
  return made;
}

// The server takes it for that of this process's user. Only user 0 gives files away, and only
// user 0's mount has callers of other users.
absl::Status Bridge::GiveToCaller(fuse_req_t request, const Server& server,
                                  const std::string& path) {
  const fuse_ctx& caller = *fuse_req_ctx(request);
  if (self_.uid() != 0 || (caller.uid == 0 && caller.gid == self_.gid())) return absl::OkStatus();
  using ipc::files::Change;
  Change change = {.mask = Change::kUid | Change::kGid, .uid = caller.uid, .gid = caller.gid};
  // Where the folder hands its group down, the server has seen to that.
  const auto folder = server.files.Stat(absl::string_view(path).substr(0, path.rfind('/')));
  if (folder.ok() && (folder->mode & S_ISGID) != 0) change.mask = Change::kUid;
  return server.files.Change(path, change, /*follow=*/false);
}

void Bridge::Make(fuse_req_t request, uint64_t parent, Name name,
                  absl::FunctionRef<absl::Status(const Server&, const std::string& path)> make) {
  fuse_entry_param entry;
  absl::Status done = Do(request, [&] {
    const auto path = PathOf(parent, name);
    if (!path.ok()) return path.status();
    absl::Status made =
        MakeAt(request, *path, [&](const Server& server) { return make(server, *path); });
    return made.ok() ? Describe(parent, name, entry) : made;
  });
  if (!done.ok()) return Reply(request, done);
  ReplyEntry(request, entry);
}

void Bridge::MakeNode(fuse_req_t request, uint64_t parent, Name name, uint32_t mode) {
  // Linux would take what it is shown for something else than it has asked for.
  if (!S_ISREG(mode)) return Reply(request, ipc::PosixError(EPERM));
  Make(request, parent, name, [&](const Server& server, const std::string& path) {
    return server.files.MakeNode(path, mode);
  });
}

void Bridge::Remove(fuse_req_t request, uint64_t parent, Name name, bool directory) {
  DoAndReply(request, [&] {
    const auto path = PathOf(parent, name);
    if (!path.ok()) return path.status();
    // What others serve, or what leads to it, is not to be had out of the way.
    const auto below = names_.NamesIn(*path);
    if (!below.ok()) return below.status();
    if (!below->empty()) return ipc::PosixError(EBUSY, *path);
    absl::Status done = names_.Do(*path, Repeat::kNever, [&](const Server& server) {
      return directory ? server.files.RemoveDirectory(*path) : server.files.Unlink(*path);
    });
    if (!done.ok()) return done;
    const std::scoped_lock locked(lock_);
    table_.Remove(parent, name);
    ++changes_;
    return absl::OkStatus();
  });
}

void Bridge::Rename(fuse_req_t request, uint64_t parent, Name name, uint64_t new_parent,
                    Name new_name, unsigned flags) {
  // An exchange, or none where something is: nothing that a server could do in one.
  if (flags != 0) return Reply(request, ipc::PosixError(EINVAL));
  DoAndReply(request, [&] {
    const auto from = PathOf(parent, name), to = PathOf(new_parent, new_name);
    if (!from.ok()) return from.status();
    if (!to.ok()) return to.status();
    absl::Status done = names_.Do(*from, Repeat::kNever, [&](const Server& server) {
      absl::Status same = names_.CheckServes(server, *to);
      if (ipc::PosixErrorOf(same) == ENOENT) return ipc::PosixError(EXDEV, *to);
      return same.ok() ? server.files.Rename(*from, *to) : same;
    });
    if (!done.ok()) return done;
    const std::scoped_lock locked(lock_);
    table_.Rename(parent, name, new_parent, new_name);
    ++changes_;
    return absl::OkStatus();
  });
}

void Bridge::Link(fuse_req_t request, uint64_t node, uint64_t parent, Name name) {
  fuse_entry_param entry;
  absl::Status done = Do(request, [&] {
    const auto from = PathOf(node), to = PathOf(parent, name);
    if (!from.ok()) return from.status();
    if (!to.ok()) return to.status();
    absl::Status linked = names_.Do(*from, Repeat::kNever, [&](const Server& server) {
      absl::Status same = names_.CheckServes(server, *to);
      if (ipc::PosixErrorOf(same) == ENOENT) return ipc::PosixError(EXDEV, *to);
      return same.ok() ? server.files.Link(*from, *to) : same;
    });
    return linked.ok() ? Describe(parent, name, entry) : linked;
  });
  if (!done.ok()) return Reply(request, done);
  ReplyEntry(request, entry);
}

void Bridge::ReadLink(fuse_req_t request, uint64_t node) {
  std::string target;
  absl::Status done = Do(request, [&] {
    const auto path = PathOf(node);
    if (!path.ok()) return path.status();
    return names_.Do(*path, Repeat::kHarmless, [&](const Server& server) {
      auto link = server.files.ReadLink(*path);
      if (link.ok()) target = *std::move(link);
      return link.status();
    });
  });
  if (!done.ok()) return Reply(request, done);
  fuse_reply_readlink(request, target.c_str());
}

// -- Directories

void Bridge::OpenFolder(fuse_req_t request, uint64_t node, Info info) {
  auto open = std::make_shared<OpenDirectory>();
  open->node = node;
  absl::Status done = Do(request, [&] {
    const auto path = PathOf(node);
    if (!path.ok()) return path.status();
    auto list = names_.List(*path);
    if (!list.ok()) return list.status();
    open->list = *std::move(list);
    return absl::OkStatus();
  });
  if (!done.ok()) return Reply(request, done);
  info->fh = folders_.Add(std::move(open));
  if (fuse_reply_open(request, info) == -ENOENT) folders_.Remove(info->fh);
}

// The offset of an entry is its number in the list, after "." and "..".
void Bridge::ReadFolder(fuse_req_t request, size_t size, off_t from, Info info) {
  const std::shared_ptr<OpenDirectory> open = folders_.Find(info->fh);
  if (open == nullptr) return Reply(request, ipc::PosixError(EBADF));
  std::string buffer(size, '\0');
  size_t used = 0;
  absl::Status done = Do(request, [&] {
    const std::scoped_lock locked(open->lock);
    if (from == 0 && !std::exchange(open->is_new, false)) {  // rewinddir(3)
      const auto path = PathOf(open->node);
      if (!path.ok()) return path.status();
      auto list = names_.List(*path);
      if (!list.ok()) return list.status();
      open->list = *std::move(list);
    }
    for (size_t at = static_cast<size_t>(from); at < open->list.size() + 2; ++at) {
      struct stat stat = {};
      stat.st_ino = kUnknownInode;
      stat.st_mode = S_IFDIR;
      std::string name = at == 0 ? "." : "..";
      if (at >= 2) {
        const ipc::ListedName& listed = open->list[at - 2];
        if (!IsListable(listed.name)) continue;
        const uint32_t type = listed.mode & S_IFMT;
        name = listed.name;
        stat.st_ino = listed.inode;
        stat.st_mode = type == 0 ? 0 : ToLinux({.mode = type}).st_mode;
      }
      const size_t needed = fuse_add_direntry(request, buffer.data() + used, size - used,
                                              name.c_str(), &stat, static_cast<off_t>(at + 1));
      if (needed > size - used) break;
      used += needed;
    }
    return absl::OkStatus();
  });
  if (!done.ok()) return Reply(request, done);
  fuse_reply_buf(request, buffer.data(), used);
}

}  // namespace fused
