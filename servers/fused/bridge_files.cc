// Linux's operations on open files.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "ipc/posix.h"
#include "servers/fused/bridge.h"
#include "servers/fused/mount_point.h"

namespace fused {
namespace {

constexpr int kPulsePriority = 10;
// Each request costs messages, so fewer and larger ones are better than Linux's 128 KiB; but what
// is ahead is to come while the reader takes what has come, and larger ones yet keep it waiting.
constexpr uint64_t kAheadBytes = 512 << 10;
// Of open(2)'s flags, what is the server's to know. Links Linux has followed before.
constexpr int kFlags = O_ACCMODE | O_APPEND | O_NONBLOCK | O_TRUNC | O_SYNC | O_DSYNC;

bool HasPosition(const OpenFile& open) { return open.type != S_IFIFO && open.type != S_IFSOCK; }

// What an operation on a file of this type waits for, which is `there` where it blocks by its
// nature; see Workers.
Interruptible::For WaitOf(uint32_t type, Interruptible::For there) {
  return type == S_IFREG ? Interruptible::For::kServer : there;
}

// Moves `size` bytes in as many steps as the server takes. Each step is told what is done already;
// it moves 0 at the end.
absl::StatusOr<uint64_t> MoveAll(uint64_t size,
                                 absl::FunctionRef<absl::StatusOr<uint64_t>(uint64_t done)> step) {
  uint64_t done = 0;
  while (done < size) {
    const auto count = step(done);
    if (!count.ok() && done == 0) return count.status();
    if (!count.ok() || *count == 0) break;
    done += std::min(*count, size - done);
  }
  return done;
}

uint64_t LengthOf(const struct flock& lock) { return static_cast<uint64_t>(lock.l_len); }
uint64_t StartOf(const struct flock& lock) { return static_cast<uint64_t>(lock.l_start); }

}  // namespace

absl::StatusOr<std::shared_ptr<OpenFile>> Bridge::FileOf(uint64_t number) const {
  auto open = files_.Find(number);
  if (open == nullptr) return ipc::PosixError(EBADF);
  return open;
}

// -- Opening and closing

// As its server has it; also what open(2) makes may be a pipe.
uint32_t Bridge::TypeOf(uint64_t node) {
  const std::scoped_lock locked(lock_);
  const auto identity = table_.IdentityOf(node);
  return identity ? identity->type : S_IFREG;
}

void Bridge::Keep(std::shared_ptr<OpenFile> open, Info info) {
  info->direct_io = open->type != S_IFREG;
  info->nonseekable = !HasPosition(*open);
  info->fh = files_.Add(std::move(open));
}

// If it is to be appended to. Without, as where the server has no room: see Write.
void Bridge::OpenElsewhere(const std::string& path, uint32_t flags, OpenFile& open) {
  if ((flags & O_APPEND) == 0 || (flags & O_ACCMODE) == O_RDONLY || open.type != S_IFREG) return;
  open.appends = true;
  const auto same = open.file.Stat();
  auto file = open.server.files.Open(path, O_WRONLY | O_NOFOLLOW | (flags & (O_SYNC | O_DSYNC)));
  if (!same.ok() || !file.ok()) return;
  const auto stat = file->Stat();  // the path may lead to another one by now
  if (stat.ok() && stat->inode == same->inode) open.elsewhere.emplace(*std::move(file));
}

void Bridge::Open(fuse_req_t request, uint64_t node, Info info) {
  std::call_once(first_open_, [this] { ReadFurtherAhead(folder_, kAheadBytes); });
  const uint32_t type = TypeOf(node);
  const auto flags = static_cast<uint32_t>((info->flags & kFlags) | O_NOFOLLOW);
  const bool reads = (flags & O_ACCMODE) == O_RDONLY;
  std::shared_ptr<OpenFile> open;
  absl::Status done = Do(
      request,
      [&] {
        const auto path = PathOf(node);
        if (!path.ok()) return path.status();
        return names_.Do(*path, Repeat::kHarmless, [&](const Server& server) {
          auto file = server.files.Open(*path, flags);
          if (!file.ok()) return file.status();
          open = std::make_shared<OpenFile>(*std::move(file), server, node, type);
          OpenElsewhere(*path, flags, *open);
          return absl::OkStatus();
        });
      },
      WaitOf(type, reads ? Interruptible::For::kInput : Interruptible::For::kRoom));
  if (!done.ok()) return Reply(request, done);
  Keep(std::move(open), info);
  // Interrupted, and closed without having been opened.
  if (fuse_reply_open(request, info) == -ENOENT) files_.Remove(info->fh);
}

void Bridge::Create(fuse_req_t request, uint64_t parent, Name name, uint32_t mode, Info info) {
  fuse_entry_param entry;
  std::shared_ptr<OpenFile> open;
  absl::Status done = Do(request, [&] {
    const auto path = PathOf(parent, name);
    if (!path.ok()) return path.status();
    const auto flags =
        static_cast<uint32_t>((info->flags & (kFlags | O_EXCL)) | O_CREAT | O_NOFOLLOW);
    std::optional<ipc::File> file;
    std::optional<Server> by;
    absl::Status made = MakeAt(request, *path, [&](const Server& server) {
      auto opened = server.files.Open(*path, flags, mode & 07777);
      if (!opened.ok()) return opened.status();
      file.emplace(*std::move(opened));
      by = server;
      return absl::OkStatus();
    });
    if (!made.ok()) return made;
    absl::Status described = Describe(parent, name, entry);
    if (!described.ok()) return described;
    open = std::make_shared<OpenFile>(*std::move(file), *by, entry.ino, TypeOf(entry.ino));
    OpenElsewhere(*path, flags, *open);
    return absl::OkStatus();
  });
  if (!done.ok()) return Reply(request, done);
  Keep(std::move(open), info);
  if (fuse_reply_create(request, &entry, info) == -ENOENT) {
    files_.Remove(info->fh);
    Forgotten(entry.ino, 1);
  }
}

// A descriptor is closed. Its process loses its record locks of the file, whichever descriptor of
// it they were made by, as POSIX has it.
void Bridge::Flush(fuse_req_t request, Info info) {
  DoAndReply(request, [&] {
    const auto open = FileOf(info->fh);
    if (!open.ok()) return open.status();
    const auto has_locks = [](const OpenFile& file) -> bool { return file.has_locks; };
    if (!locks_are_used_ || files_.OfNode((*open)->node, has_locks) == nullptr) {
      return absl::OkStatus();
    }
    return (*open)->file.Lock(F_UNLCK, 0, 0, {}, info->lock_owner);
  });
}

// The last descriptor is closed.
void Bridge::Release(fuse_req_t request, Info info) {
  {
    const Interruptible interruptible(*workers_, request, Interruptible::For::kServer);
    const std::shared_ptr<OpenFile> open = files_.Remove(info->fh);
    if (open != nullptr) {
      const std::scoped_lock locked(open->lock);
      if (open->poll != nullptr) fuse_pollhandle_destroy(std::exchange(open->poll, nullptr));
      if (open->event) self_.Revoke(open->event->token).IgnoreError();  // or gone with its server
    }
  }
  fuse_reply_err(request, 0);
}

// -- Reading and writing

void Bridge::Read(fuse_req_t request, size_t size, off_t offset, Info info) {
  const auto open = FileOf(info->fh);
  if (!open.ok()) return Reply(request, open.status());
  const ipc::Region& room = workers_->Current().room();
  const uint64_t bytes = std::min<uint64_t>(size, Workers::kDataBytes);
  const auto from = static_cast<uint64_t>(offset);
  const ipc::File& file = (*open)->file;
  absl::StatusOr<uint64_t> count = ipc::PosixError(EAGAIN);
  if (const Interruptible interruptible(*workers_, request,
                                        WaitOf((*open)->type, Interruptible::For::kInput));
      interruptible.is_admitted()) {
    const ipc::MutableBytes into = room.write().subspan(Workers::kRequestBytes, bytes);
    if ((*open)->type == S_IFREG) {
      // Linux takes less than it has asked for as the end.
      count = MoveAll(bytes, [&](uint64_t done) {
        return file.ReadAt(from + done, room.Out(Workers::kRequestBytes + done, bytes - done));
      });
    } else {
      count = HasPosition(**open) ? file.ReadAt(from, into) : file.Read(into);
    }
  }
  if (!count.ok()) return Reply(request, count.status());
  const ipc::ConstBytes read = room.read().subspan(Workers::kRequestBytes, *count);
  fuse_reply_buf(request, reinterpret_cast<const char*>(read.data()), read.size());
}

// REQUIRES: the bytes lie in the worker's room, as those of each request do.
void Bridge::Write(fuse_req_t request, const char* bytes, size_t size, off_t offset, Info info) {
  const auto open = FileOf(info->fh);
  if (!open.ok()) return Reply(request, open.status());
  const ipc::Region& room = workers_->Current().room();
  const auto* const start = reinterpret_cast<const std::byte*>(bytes);
  const auto in_room = static_cast<uint64_t>(start - room.read().data());
  const auto to = static_cast<uint64_t>(offset);
  // Linux says of each write whether it is one of the file's end.
  const bool elsewhere = (*open)->appends && (info->flags & O_APPEND) == 0;
  if (elsewhere && !(*open)->elsewhere) return Reply(request, ipc::PosixError(EIO));
  const ipc::File& file = elsewhere ? *(*open)->elsewhere : (*open)->file;
  absl::StatusOr<uint64_t> count = ipc::PosixError(EAGAIN);
  if (const Interruptible interruptible(*workers_, request,
                                        WaitOf((*open)->type, Interruptible::For::kRoom));
      interruptible.is_admitted()) {
    if ((*open)->type == S_IFREG) {
      count = MoveAll(size, [&](uint64_t done) {
        return file.WriteAt(to + done, room.In(in_room + done, size - done));
      });
    } else {
      const ipc::ConstBytes from(start, size);
      count = HasPosition(**open) ? file.WriteAt(to, from) : file.Write(from);
    }
  }
  if (!count.ok()) return Reply(request, count.status());
  fuse_reply_write(request, *count);
}

void Bridge::Sync(fuse_req_t request, Info info) {
  DoAndReply(request, [&] {
    const auto open = FileOf(info->fh);
    return open.ok() ? (*open)->file.Sync() : open.status();
  });
}

// -- Locks, requests of devices, readiness

void Bridge::FindLock(fuse_req_t request, Info info, const struct flock& wanted) {
  struct flock found = {};
  absl::Status done = Do(request, [&] {
    const auto open = FileOf(info->fh);
    if (!open.ok()) return open.status();
    const auto lock = (*open)->file.FindLock(static_cast<uint32_t>(wanted.l_type), StartOf(wanted),
                                             LengthOf(wanted), info->lock_owner);
    if (!lock.ok()) return lock.status();
    found.l_type = static_cast<short>(lock->type);
    found.l_whence = SEEK_SET;
    found.l_start = static_cast<off_t>(lock->start);
    found.l_len = static_cast<off_t>(lock->length);
    found.l_pid = static_cast<pid_t>(lock->pid);
    return absl::OkStatus();
  });
  if (!done.ok()) return Reply(request, done);
  fuse_reply_lock(request, &found);
}

void Bridge::SetLock(fuse_req_t request, Info info, const struct flock& wanted, bool waits) {
  const auto what = waits ? Interruptible::For::kInput : Interruptible::For::kServer;
  DoAndReply(
      request,
      [&] {
        const auto open = FileOf(info->fh);
        if (!open.ok()) return open.status();
        (*open)->has_locks = locks_are_used_ = true;
        return (*open)->file.Lock(
            static_cast<uint32_t>(wanted.l_type), StartOf(wanted), LengthOf(wanted),
            waits ? ipc::Deadline::Never() : ipc::Deadline::Poll(), info->lock_owner);
      },
      what);
}

// The number of an ioctl(2) says how many bytes go each way; Linux has seen to that.
void Bridge::Control(fuse_req_t request, unsigned code, unsigned flags, ipc::ConstBytes bytes,
                     size_t room, Info info) {
  if ((flags & FUSE_IOCTL_DIR) != 0) return Reply(request, ipc::PosixError(ENOTTY));
  std::vector<std::byte> reply(room);
  uint64_t value = 0;
  absl::Status done = Do(
      request,
      [&] {
        const auto open = FileOf(info->fh);
        if (!open.ok()) return open.status();
        const auto answer = (*open)->file.Control(code, bytes, absl::MakeSpan(reply));
        if (answer.ok()) value = *answer;
        return answer.status();
      },
      Interruptible::For::kInput);
  if (!done.ok()) return Reply(request, done);
  fuse_reply_ioctl(request, static_cast<int>(value), reply.data(), reply.size());
}

// With a handle, Linux is to be told by it once something has changed.
void Bridge::Poll(fuse_req_t request, Info info, fuse_pollhandle* handle) {
  constexpr uint32_t kBoth = ipc::files::kReadable | ipc::files::kWritable;
  uint32_t ready = 0;
  absl::Status done = Do(request, [&] {
    const auto found = FileOf(info->fh);
    if (!found.ok()) return found.status();
    OpenFile& open = **found;
    auto now = open.file.Poll(kBoth);
    if (now.ok() && handle != nullptr && *now != kBoth) {
      const std::scoped_lock locked(open.lock);
      if (open.poll != nullptr) fuse_pollhandle_destroy(open.poll);
      open.poll = std::exchange(handle, nullptr);
      if (!open.event) {
        auto event = open.file.MakeEvent(channel_, kReadyPulse, info->fh, kPulsePriority);
        if (!event.ok()) return event.status();
        open.event = *event;
      }
      // Of what was not ready just now, lest it is told of what Linux knows.
      const auto also = open.file.Notify(kBoth & ~*now, *open.event);
      if (!also.ok()) return also.status();
      *now |= *also;
    }
    if (now.ok()) ready = *now;
    return now.status();
  });
  if (handle != nullptr) fuse_pollhandle_destroy(handle);
  // A server that has died has nothing to wait for: the read or write says so.
  if (ipc::PosixErrorOf(done) == EIO) return void(fuse_reply_poll(request, POLLERR | POLLHUP));
  if (!done.ok()) return Reply(request, done);
  fuse_reply_poll(request, ((ready & ipc::files::kReadable) != 0 ? POLLIN | POLLRDNORM : 0) |
                               ((ready & ipc::files::kWritable) != 0 ? POLLOUT | POLLWRNORM : 0));
}

void Bridge::OnReady(uint64_t number) {
  const std::shared_ptr<OpenFile> open = files_.Find(number);
  if (open == nullptr) return;
  const std::scoped_lock locked(open->lock);
  if (open->poll == nullptr) return;
  fuse_lowlevel_notify_poll(open->poll);
  fuse_pollhandle_destroy(std::exchange(open->poll, nullptr));
}

}  // namespace fused
