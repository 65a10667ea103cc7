// The folder at which the name space is shown.
#include "servers/fused/mount_point.h"

#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "servers/common/descriptor.h"

namespace fused {
namespace {

constexpr char kDevice[] = "/dev/fuse";
constexpr std::array<const char*, 2> kFusermount = {"/usr/bin/fusermount3", "/bin/fusermount3"};

// Its process has died: "Transport endpoint is not connected".
bool IsStale(const std::string& folder) {
  struct stat stat;
  return ::stat(folder.c_str(), &stat) != 0 && errno == ENOTCONN;
}

// By Linux's word: the mount itself is asked nothing.
bool IsMounted(const std::string& folder) {
  FILE* mounts = setmntent("/proc/self/mounts", "re");
  if (mounts == nullptr) return false;
  bool found = false;
  while (const mntent* entry = getmntent(mounts)) {
    found |= folder == entry->mnt_dir && std::strcmp(entry->mnt_type, "fuse.parley") == 0;
  }
  endmntent(mounts);
  return found;
}

// fusermount3 may do what this user may not.
void RunFusermount(const std::string& folder) {
  for (const char* program : kFusermount) {
    if (access(program, X_OK) != 0) continue;
    std::string name = program, path = folder, unmount = "-u", lazily = "-z", quietly = "-q",
                end = "--";
    const std::array<char*, 7> arguments = {name.data(),    unmount.data(), lazily.data(),
                                            quietly.data(), end.data(),     path.data(),
                                            nullptr};
    pid_t pid = 0;
    if (posix_spawn(&pid, program, nullptr, nullptr, arguments.data(), environ) != 0) return;
    waitpid(pid, nullptr, 0);
    return;
  }
}

bool MayAllowOthers() {
  std::ifstream rules("/etc/fuse.conf");
  for (std::string line; std::getline(rules, line);) {
    if (line == "user_allow_other") return true;
  }
  return false;
}

absl::Status Wrong(const std::string& folder, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(folder, ": ", what));
}

}  // namespace

bool HasFusermount() {
  for (const char* program : kFusermount) {
    if (access(program, X_OK) == 0) return true;
  }
  return false;
}

void MendMountPoint(const std::string& folder) {
  if (!IsStale(folder)) return;
  if (umount2(folder.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) RunFusermount(folder);
}

void ReadFurtherAhead(const std::string& folder, uint64_t bytes) {
  struct statx state;
  if (statx(AT_FDCWD, folder.c_str(), AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &state) != 0) return;
  std::ofstream(absl::StrCat("/sys/class/bdi/", state.stx_dev_major, ":", state.stx_dev_minor,
                             "/read_ahead_kb"))
      << bytes / 1024;
}

absl::StatusOr<std::string> CheckMountPoint(const std::string& folder) {
  MendMountPoint(folder);
  struct stat stat;
  const int unseen = ::stat(folder.c_str(), &stat) == 0 ? 0 : errno;
  if (unseen == ENOTCONN) {
    return Wrong(folder, "a mount whose process has died; unmount it: fusermount3 -u DIR");
  }
  if (unseen == ENOENT) return Wrong(folder, "no such folder; make it: mkdir DIR");
  std::array<char, PATH_MAX> absolute;
  const int unfound = realpath(folder.c_str(), absolute.data()) != nullptr ? 0 : errno;
  if (unfound == 0 && IsMounted(absolute.data())) {
    return Wrong(folder, "is mounted already; name another, or end that: fusermount3 -u DIR");
  }
  if (unseen != 0) {
    return Wrong(folder, absl::StrCat("cannot be looked at: ", std::strerror(unseen)));
  }
  if (!S_ISDIR(stat.st_mode)) return Wrong(folder, "not a folder; name an empty one");
  DIR* entries = opendir(folder.c_str());
  if (entries == nullptr) {
    return Wrong(folder, absl::StrCat("cannot be read: ", std::strerror(errno)));
  }
  bool is_empty = true;
  while (const dirent* entry = readdir(entries)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") is_empty = false;
  }
  closedir(entries);
  if (!is_empty) return Wrong(folder, "not empty; name an empty folder");
  if (unfound != 0) {
    return Wrong(folder, absl::StrCat("cannot be found: ", std::strerror(unfound)));
  }
  if (geteuid() != 0 && access(folder.c_str(), W_OK) != 0) {
    return Wrong(folder, "not yours to write in; name a folder of your own");
  }
  return std::string(absolute.data());
}

absl::Status CheckMayMount(bool shared) {
  if (access(kDevice, F_OK) != 0) {
    return Wrong(kDevice, "not there, so nothing can be mounted; load it: modprobe fuse");
  }
  if (geteuid() != 0 && !HasFusermount()) {
    return Wrong("fusermount3", "not installed, and only root mounts without; apt install fuse3");
  }
  // Also fusermount3 opens it as this user.
  const common::Descriptor device(open(kDevice, O_RDWR | O_CLOEXEC));
  if (device.number() < 0 && errno == EACCES) {
    return Wrong(kDevice, "not yours to open, so nothing can be mounted; as root: chmod 666 " +
                              std::string(kDevice));
  }
  if (device.number() < 0) {
    return Wrong(kDevice, absl::StrCat("cannot be opened (", std::strerror(errno),
                                       "), so nothing can be mounted; is this a container that "
                                       "lacks the device?"));
  }
  if (shared && geteuid() != 0 && !MayAllowOthers()) {
    return Wrong("--allow-other", "root alone may, or add user_allow_other to /etc/fuse.conf");
  }
  return absl::OkStatus();
}

}  // namespace fused
