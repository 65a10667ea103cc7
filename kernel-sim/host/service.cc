// Sockets of brokers: paths, locks, /proc/net/unix.
#include "kernel-sim/service.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "kernel-sim/core/errors.h"
#include "kernel-sim/host/child.h"
#include "kernel-sim/host/service.h"

namespace parley {
namespace host {
namespace {

constexpr char kPrefix[] = "parley-run-";
constexpr mode_t kForOneUser = 0600, kForAll = 0666;

absl::Status LinuxSays(const std::string& path, absl::string_view what) {
  return MakeError(Error::kNotPermitted, absl::StrCat(path, ": ", what, ": ", strerror(errno)));
}

std::string TextIn(const UniqueFd& file) {
  std::array<char, 32> text;
  const ssize_t size = pread(file.get(), text.data(), text.size(), 0);
  return std::string(text.data(), size > 0 ? static_cast<size_t>(size) : 0);
}

absl::Status MakeFolderOf(const std::string& path) {
  const std::string folder = path.substr(0, std::max<size_t>(path.rfind('/'), 1));
  if (mkdir(folder.c_str(), geteuid() == 0 ? 0755 : 0700) != 0 && errno != EEXIST) {
    return LinuxSays(folder, "cannot be made");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> TakeLock(const std::string& path) {
  const std::string name = path + ".lock";
  UniqueFd lock(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kForOneUser));
  if (!lock.valid()) return LinuxSays(name, "cannot be opened");
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return LinuxSays(name, "cannot be locked");
    return MakeError(Error::kAlreadyExists,
                     absl::StrCat(path, ": process ", TextIn(lock), " serves it; stop that first"));
  }
  const std::string pid = absl::StrCat(getpid());
  if (ftruncate(lock.get(), 0) != 0 ||
      pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return LinuxSays(name, "cannot be written");
  }
  return lock;
}

}  // namespace

std::string PrivatePrefix(int launcher_pid) { return absl::StrCat(kPrefix, launcher_pid, "-"); }

bool IsPrivate(const std::string& address) { return absl::StartsWith(address, kPrefix); }

ucred ListenerOf(const UniqueFd& connection) {
  ucred who = {0, ~0u, ~0u};
  socklen_t length = sizeof(who);
  getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &who, &length);
  return who;
}

absl::StatusOr<UniqueFd> ConnectToBroker(const std::string& address) {
  UniqueFd connection = ConnectTo(address);
  if (!connection.valid()) {
    return MakeError(Error::kNoSuchName, absl::StrCat("no broker at ", address, ": ",
                                                      strerror(errno), "; start one: parleyd"));
  }
  const uid_t uid = ListenerOf(connection).uid;
  if (uid != 0 && uid != geteuid() && geteuid() != 0) {
    return MakeError(Error::kNotPermitted, absl::StrCat("the broker at ", address, " is of user ",
                                                        uid, ", neither you nor root"));
  }
  return connection;
}

UniqueFd ConnectToSame(const std::string& address, const ucred& listener) {
  UniqueFd connection = ConnectTo(address);
  const ucred who = ListenerOf(connection);
  return who.pid == listener.pid && who.uid == listener.uid ? std::move(connection) : UniqueFd();
}

absl::StatusOr<ServiceSocket> ListenAsService(const std::string& path) {
  if (absl::Status made = MakeFolderOf(path); !made.ok()) return made;
  auto lock = TakeLock(path);
  if (!lock.ok()) return lock.status();
  struct stat before;
  if (lstat(path.c_str(), &before) == 0 && !S_ISSOCK(before.st_mode)) {
    return MakeError(Error::kAlreadyExists,
                     absl::StrCat(path, ": is there and no socket; remove it"));
  }
  unlink(path.c_str());  // of a service that has crashed: the lock is ours
  const mode_t mask = umask(0777 & ~kForOneUser);
  UniqueFd listener = Listen(path);
  const int error = errno;
  umask(mask);
  errno = error;
  if (!listener.valid()) return LinuxSays(path, "cannot be listened at");
  if (geteuid() == 0 && chmod(path.c_str(), kForAll) != 0) return LinuxSays(path, "chmod");
  return ServiceSocket{*std::move(lock), std::move(listener)};
}

}  // namespace host

absl::StatusOr<std::string> OwnServicePath() {
  if (geteuid() == 0) return "/run/parley/broker";
  const char* folder = std::getenv("XDG_RUNTIME_DIR");
  if (folder == nullptr || folder[0] != '/') {
    return MakeError(Error::kInvalidArgument,
                     "XDG_RUNTIME_DIR is no absolute path: log in with a session, or say where the "
                     "broker's socket is");
  }
  return absl::StrCat(folder, "/parley/broker");
}

absl::StatusOr<std::string> ServicePath() {
  auto own = OwnServicePath();
  if (own.ok() && access(own->c_str(), F_OK) == 0) return own;
  const std::string of_root = "/run/parley/broker";
  return !own.ok() || access(of_root.c_str(), F_OK) == 0 ? of_root : *own;
}

namespace {

// The abstract addresses of private brokers, and their launchers as the address has them.
std::vector<std::pair<int, std::string>> PrivateAddresses() {
  std::vector<std::pair<int, std::string>> found;
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    const size_t at = line.rfind('@');
    if (at == line.npos) continue;
    absl::string_view address = absl::string_view(line).substr(at + 1);
    absl::string_view rest = address;
    int pid = 0;
    if (!absl::ConsumePrefix(&rest, host::kPrefix) ||
        !absl::SimpleAtoi(rest.substr(0, rest.find('-')), &pid)) {
      continue;
    }
    found.emplace_back(pid, address);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::string UserName(uid_t uid) {
  const passwd* entry = getpwuid(uid);
  return entry == nullptr ? absl::StrCat(uid) : entry->pw_name;
}

}  // namespace

absl::StatusOr<std::string> PrivateBroker(int launcher_pid) {
  for (const auto& [pid, address] : PrivateAddresses()) {
    if (pid != launcher_pid) continue;
    const UniqueFd connection = host::ConnectTo(address);
    if (!connection.valid()) continue;
    const ucred listener = host::ListenerOf(connection);
    if (listener.pid != launcher_pid) continue;  // anybody may listen at such a one
    if (geteuid() == 0 || geteuid() == listener.uid) return address;
    return MakeError(Error::kNotPermitted,
                     absl::StrCat("run ", pid, " is of user ", UserName(listener.uid),
                                  ": ask as that user, or as root"));
  }
  return MakeError(Error::kNoSuchName, absl::StrCat("process ", launcher_pid,
                                                    " is no launcher of a run on the host kernel"));
}

int ServedBy(const std::string& address) {
  const UniqueFd connection = host::ConnectTo(address);
  return connection.valid() ? host::ListenerOf(connection).pid : 0;
}

std::vector<int> PrivateRuns() {
  std::vector<int> pids;
  for (const auto& [pid, address] : PrivateAddresses()) pids.push_back(pid);
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

}  // namespace parley
