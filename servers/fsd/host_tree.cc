// The part of the host's file system that fsd serves.
#include "servers/fsd/host_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ipc/posix.h"
#include "servers/common/timespec.h"

namespace fsd {
namespace {

constexpr int kPathOnly = O_PATH | O_NOFOLLOW | O_CLOEXEC;
constexpr uint32_t kAsItIs = ~uint32_t{0};  // of fchownat(2)

absl::Status HostError(absl::string_view what = {}) { return ipc::PosixError(errno, what); }
absl::Status Done(int result) { return result == 0 ? absl::OkStatus() : HostError(); }

ipc::files::Stat ToFiles(const struct stat& state) {
  return {.inode = state.st_ino,
          .size = static_cast<uint64_t>(state.st_size),
          .accessed_ns = common::ToNs(state.st_atim),
          .modified_ns = common::ToNs(state.st_mtim),
          .changed_ns = common::ToNs(state.st_ctim),
          .mode = state.st_mode,
          .links = static_cast<uint32_t>(state.st_nlink),
          .uid = state.st_uid,
          .gid = state.st_gid};
}

// What another file system is mounted on fails with EXDEV, before that one is asked anything.
common::Descriptor OpenWithin(const common::Descriptor& directory, const std::string& name,
                              int flags, mode_t mode = 0) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags);
  how.mode = mode;
  how.resolve = RESOLVE_NO_XDEV;
  return common::Descriptor(
      static_cast<int>(syscall(SYS_openat2, directory.number(), name.c_str(), &how, sizeof(how))));
}

absl::StatusOr<struct stat> StateOf(const common::Descriptor& path) {
  struct stat state = {};
  if (fstatat(path.number(), "", &state, AT_EMPTY_PATH) != 0) return HostError();
  return state;
}

// Linux's name for what an O_PATH descriptor is of, for calls that take none.
std::string ByDescriptor(const common::Descriptor& path) {
  return absl::StrCat("/proc/self/fd/", path.number());
}

absl::Status Own(const common::Descriptor& path, uint32_t mode, uint32_t uid, uint32_t gid) {
  if (geteuid() == 0 && fchownat(path.number(), "", uid, gid, AT_EMPTY_PATH) != 0) {
    return HostError();
  }
  if (S_ISLNK(mode)) return absl::OkStatus();
  return Done(chmod(ByDescriptor(path).c_str(), mode & 07777));  // whatever the umask took away
}

// The host denies what its permissions do not give, though this very process has made it: so they
// give more meanwhile, to its owner alone.
common::Descriptor OpenMade(const common::Descriptor& made, int host_flags) {
  struct stat state = {};
  if (fstat(made.number(), &state) != 0 || fchmod(made.number(), S_IRUSR | S_IWUSR) != 0) {
    return common::Descriptor();
  }
  common::Descriptor file(open(ByDescriptor(made).c_str(), host_flags));
  if (fchmod(made.number(), state.st_mode & 07777) != 0) return common::Descriptor();
  return file;
}

}  // namespace

HostNode::HostNode(common::Descriptor path, const ipc::files::Stat& state)
    : ipc::Node(state.mode), path(std::move(path)) {
  stat = state;
}

absl::StatusOr<HostTree> HostTree::Make(const std::string& folder) {
  common::Descriptor path(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!path.valid()) return HostError(absl::StrCat(folder, ": cannot export this folder"));
  HostTree tree;
  auto root = tree.NodeOf(std::move(path));
  if (!root.ok()) return root.status();
  tree.root_ = *std::move(root);
  return tree;
}

absl::StatusOr<std::shared_ptr<HostNode>> HostTree::NodeOf(common::Descriptor path) {
  const auto state = StateOf(path);
  if (!state.ok()) return state.status();
  std::weak_ptr<HostNode>& known = nodes_[{state->st_dev, state->st_ino}];
  std::shared_ptr<HostNode> node = known.lock();
  if (node != nullptr) {
    node->stat = ToFiles(*state);
    return node;
  }
  node = std::make_shared<HostNode>(std::move(path), ToFiles(*state));
  known = node;
  if (nodes_.size() > swept_at_) {
    std::erase_if(nodes_, [](const auto& entry) { return entry.second.expired(); });
    swept_at_ = std::max<size_t>(64, 2 * nodes_.size());
  }
  return node;
}

absl::StatusOr<std::shared_ptr<HostNode>> HostTree::Lookup(const HostNode& directory,
                                                           const std::string& name) {
  common::Descriptor path = OpenWithin(directory.path, name, kPathOnly);
  if (!path.valid()) return HostError();
  return NodeOf(std::move(path));
}

absl::StatusOr<std::shared_ptr<HostNode>> HostTree::Create(const HostNode& directory,
                                                           const std::string& name, uint32_t mode,
                                                           const std::string& target, uint32_t uid,
                                                           uint32_t gid) {
  const int at = directory.path.number();
  const mode_t closed = mode & 0700;  // until it is the user's
  common::Descriptor made;
  if (S_ISREG(mode)) {
    made = OpenWithin(directory.path, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, closed);
    if (!made.valid()) return HostError();
  } else if (S_ISDIR(mode)) {
    if (mkdirat(at, name.c_str(), closed) != 0) return HostError();
  } else if (S_ISLNK(mode)) {
    if (symlinkat(target.c_str(), at, name.c_str()) != 0) return HostError();
  } else {
    return ipc::PosixError(EPERM);
  }
  common::Descriptor path = OpenWithin(directory.path, name, kPathOnly);
  if (!path.valid()) return HostError();
  const bool hands_down = (directory.stat.mode & S_ISGID) != 0;  // and the host has done so
  if (absl::Status owned = Own(path, mode, uid, hands_down ? kAsItIs : gid); !owned.ok()) {
    unlinkat(at, name.c_str(), S_ISDIR(mode) ? AT_REMOVEDIR : 0);  // nothing stays half made
    return owned;
  }
  auto node = NodeOf(std::move(path));
  if (node.ok()) (*node)->made = std::move(made);
  return node;
}

absl::StatusOr<common::Descriptor> HostTree::Open(HostNode& node, uint32_t flags) {
  const common::Descriptor made = std::exchange(node.made, common::Descriptor());
  if (!S_ISREG(node.stat.mode)) return ipc::PosixError(EACCES);
  constexpr uint32_t kOfTheHost = O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME;
  const int host_flags = static_cast<int>(flags & kOfTheHost) | O_CLOEXEC;
  common::Descriptor file(open(ByDescriptor(node.path).c_str(), host_flags));
  if (!file.valid() && errno == EACCES && made.valid()) file = OpenMade(made, host_flags);
  if (!file.valid()) return HostError();
  return file;
}

absl::StatusOr<ipc::files::Stat> HostTree::Stat(const HostNode& node) {
  const auto state = StateOf(node.path);
  if (!state.ok()) return state.status();
  return ToFiles(*state);
}

absl::Status HostTree::Change(const HostNode& node, const ipc::files::Change& change) {
  using ipc::files::Change;
  const std::string path = ByDescriptor(node.path);
  const auto if_asked = [&](uint32_t bit, uint32_t id) {
    return (change.mask & bit) != 0 ? id : kAsItIs;
  };
  const uint32_t uid = if_asked(Change::kUid, change.uid), gid = if_asked(Change::kGid, change.gid);
  if ((change.mask & (Change::kUid | Change::kGid)) != 0 &&
      fchownat(node.path.number(), "", uid, gid, AT_EMPTY_PATH) != 0) {
    return HostError();
  }
  if ((change.mask & Change::kMode) != 0 && chmod(path.c_str(), change.mode) != 0) {
    return HostError();
  }
  const auto time = [&](uint32_t bits, int64_t ns) {
    return (change.mask & bits) != 0 ? common::ToTimespec(ns) : timespec{0, UTIME_OMIT};
  };
  const std::array<timespec, 2> times = {
      time(Change::kAccessed | Change::kAccessedNow, change.accessed_ns),
      time(Change::kModified | Change::kModifiedNow, change.modified_ns)};
  if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT) return absl::OkStatus();
  return Done(utimensat(node.path.number(), "", times.data(), AT_EMPTY_PATH));
}

absl::Status HostTree::Truncate(const HostNode& node, uint64_t size) {
  if (!S_ISREG(node.stat.mode)) return ipc::PosixError(EINVAL);
  if (!node.writers.empty()) {
    return Done(ftruncate(node.writers.back(), static_cast<off_t>(size)));
  }
  return Done(truncate(ByDescriptor(node.path).c_str(), static_cast<off_t>(size)));
}

absl::StatusOr<std::string> HostTree::ReadLink(const HostNode& node) {
  std::string target(ipc::files::kMaxPathBytes, '\0');
  const ssize_t bytes = readlinkat(node.path.number(), "", target.data(), target.size());
  if (bytes < 0) return HostError();
  target.resize(static_cast<size_t>(bytes));
  return target;
}

absl::StatusOr<std::vector<ipc::DirectoryEntry>> HostTree::List(const HostNode& directory) {
  // Linux looks no further than the names and types of this file system.
  const int opened = openat(directory.path.number(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return HostError();
  DIR* listing = fdopendir(opened);
  if (listing == nullptr) {
    close(opened);
    return HostError();
  }
  std::vector<ipc::DirectoryEntry> entries;
  errno = 0;
  while (const dirent* entry = readdir(listing)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    entries.push_back({name, entry->d_ino, static_cast<uint32_t>(DTTOIF(entry->d_type))});
  }
  const absl::Status read = errno == 0 ? absl::OkStatus() : HostError();
  closedir(listing);
  if (!read.ok()) return read;
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

absl::Status HostTree::Unlink(const HostNode& directory, const std::string& name,
                              bool is_directory) {
  return Done(unlinkat(directory.path.number(), name.c_str(), is_directory ? AT_REMOVEDIR : 0));
}

absl::Status HostTree::Rename(const HostNode& from, const std::string& name, const HostNode& to,
                              const std::string& new_name) {
  return Done(renameat(from.path.number(), name.c_str(), to.path.number(), new_name.c_str()));
}

absl::Status HostTree::Link(const HostNode& node, const HostNode& directory,
                            const std::string& name) {
  return Done(linkat(AT_FDCWD, ByDescriptor(node.path).c_str(), directory.path.number(),
                     name.c_str(), AT_SYMLINK_FOLLOW));
}

absl::StatusOr<ipc::files::StatFs> HostTree::StatFs() const {
  struct statfs state = {};
  if (fstatfs(root_->path.number(), &state) != 0) return HostError();
  return ipc::files::StatFs{.block_bytes = static_cast<uint64_t>(state.f_bsize),
                            .blocks = state.f_blocks,
                            .blocks_free = state.f_bfree,
                            .blocks_available = state.f_bavail,
                            .files = state.f_files,
                            .files_free = state.f_ffree,
                            .name_bytes = static_cast<uint64_t>(state.f_namelen)};
}

}  // namespace fsd
