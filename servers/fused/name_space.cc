// The name space as a tree of directories.
#include "servers/fused/name_space.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "ipc/error.h"
#include "ipc/posix.h"

namespace fused {
namespace {

constexpr uint8_t kNamesChanged = 1;  // pulse code
constexpr int kPulsePriority = 10;
constexpr uint64_t kInodeMask = (uint64_t{1} << 48) - 1;  // what Server::InodeOf leaves to a server

// What every path below a directory begins with.
std::string Below(absl::string_view directory) {
  std::string prefix(directory);
  if (!absl::EndsWith(prefix, "/")) prefix += "/";
  return prefix;
}

// FNV-1a: the same name, the same inode, as long as Linux may remember it.
uint64_t InodeOfName(absl::string_view path) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : path) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash & kInodeMask;
}

bool DiedUnserved(const absl::Status& status) {
  const ipc::Error error = ipc::ErrorOf(status);
  return error == ipc::Error::kNoSuchChannel || error == ipc::Error::kServerDiedBeforeReceive;
}

bool Died(const absl::Status& status) {
  return DiedUnserved(status) || ipc::ErrorOf(status) == ipc::Error::kServerDiedAfterReceive;
}

// As a directory of names has it; and, without permissions, a name whose server serves no files.
Found FoundName(absl::string_view path, uint32_t mode) {
  Found found;
  found.stat.inode = InodeOfName(path);
  found.stat.mode = mode;
  found.stat.links = S_ISDIR(mode) ? 2 : 1;
  return found;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NameSpace>> NameSpace::Make(ipc::Process& self) {
  auto channel = self.CreateChannel("names");
  if (!channel.ok()) return channel.status();
  auto mutex = self.CreateMutex();
  if (!mutex.ok()) return mutex.status();
  absl::Status watched = self.Watch("/", *channel, kNamesChanged, kPulsePriority);
  if (!watched.ok()) return watched;
  return std::unique_ptr<NameSpace>(new NameSpace(self, *std::move(channel), *std::move(mutex)));
}

// With the lock held, so that nobody uses names of which another thread has just heard that they
// have changed.
absl::Status NameSpace::Refresh() {
  while (channel_.Receive(ipc::Deadline::Poll()).ok()) stale_ = true;
  if (!stale_) return absl::OkStatus();
  auto names = self_.ListNames("/");
  if (!names.ok()) return names.status();
  names_ = {names->begin(), names->end()};
  for (auto& [name, served] : served_) {
    if (!names_.contains(name)) served.server.reset();
  }
  stale_ = false;
  return absl::OkStatus();
}

// The longest that the path is, or lies below.
const std::string* NameSpace::NameOf(absl::string_view path) const {
  for (;;) {
    if (const auto at = names_.find(path); at != names_.end()) return &*at;
    if (path.size() <= 1) return nullptr;
    const size_t end = path.rfind('/');
    path = path.substr(0, std::max<size_t>(end, 1));
  }
}

bool NameSpace::LeadsToNames(absl::string_view path) const {
  const std::string prefix = Below(path);
  const auto at = names_.lower_bound(prefix);
  return path == "/" || (at != names_.end() && absl::StartsWith(*at, prefix));
}

absl::StatusOr<Server> NameSpace::ServerOf(absl::string_view path) {
  const ipc::MutexLock lock(mutex_);
  if (!lock.ok()) return lock.status();
  if (absl::Status fresh = Refresh(); !fresh.ok()) return fresh;
  const std::string* name = NameOf(path);
  if (name == nullptr && !LeadsToNames(path)) {
    stale_ = true;
    if (absl::Status fresh = Refresh(); !fresh.ok()) return fresh;
    name = NameOf(path);
  }
  if (name == nullptr) return ipc::PosixError(ENOENT, path);
  Served& served = served_.try_emplace(*name, Served{.number = served_.size() + 1}).first->second;
  if (served.server) return *served.server;
  auto files = ipc::FileServer::Connect(self_, *name);
  if (!files.ok()) return files.status();
  // It has gone meanwhile, and the connection is to who serves what is above.
  if (files->name() != *name) return ipc::PosixError(ENOENT, path);
  served.server = Server{*std::move(files), served.number, ++served.versions};
  return *served.server;
}

// If it is still the one.
absl::Status NameSpace::Drop(const Server& server) {
  const ipc::MutexLock lock(mutex_);
  if (!lock.ok()) return lock.status();
  const auto at = served_.find(server.files.name());
  if (at != served_.end() && at->second.server && at->second.server->version == server.version) {
    at->second.server.reset();
  }
  return absl::OkStatus();
}

absl::Status NameSpace::Do(absl::string_view path, Repeat repeat, Operation operation) {
  auto server = ServerOf(path);
  if (!server.ok()) return server.status();
  absl::Status done = operation(*server);
  if (!Died(done)) return done;
  if (absl::Status dropped = Drop(*server); !dropped.ok()) return dropped;
  if (repeat == Repeat::kNever && !DiedUnserved(done)) return done;
  auto successor = ServerOf(path);
  if (successor.ok()) return operation(*successor);
  return ipc::PosixErrorOf(successor.status()) == ENOENT ? done : successor.status();
}

absl::StatusOr<Found> NameSpace::FindNames(absl::string_view path) {
  const ipc::MutexLock lock(mutex_);
  if (!lock.ok()) return lock.status();
  if (!LeadsToNames(path)) return ipc::PosixError(ENOENT, path);
  return FoundName(path, S_IFDIR | 0555);
}

absl::StatusOr<Found> NameSpace::Find(absl::string_view path) {
  Found found;
  found.is_served = true;
  bool is_name = false;
  absl::Status done = Do(path, Repeat::kHarmless, [&](const Server& server) {
    is_name = server.files.name() == path;
    auto stat = server.files.Stat(path, /*follow=*/false);
    if (!stat.ok()) return stat.status();
    found.stat = *stat;
    found.stat.inode = server.InodeOf(stat->inode);
    return absl::OkStatus();
  });
  if (done.ok()) return found;
  const int error = ipc::PosixErrorOf(done);
  if (error == ENOENT || error == ENOTDIR) return FindNames(path);
  if (is_name && !Died(done) && (error == EIO || error == ENOSYS || error == EINVAL)) {
    return FoundName(path, S_IFREG);
  }
  return done;
}

absl::StatusOr<std::vector<std::string>> NameSpace::NamesIn(absl::string_view directory) {
  const ipc::MutexLock lock(mutex_);
  if (!lock.ok()) return lock.status();
  if (absl::Status fresh = Refresh(); !fresh.ok()) return fresh;
  const std::string prefix = Below(directory);
  std::vector<std::string> parts;
  for (auto at = names_.upper_bound(prefix); at != names_.end(); ++at) {
    absl::string_view rest = *at;
    if (!absl::ConsumePrefix(&rest, prefix)) break;
    const std::string part(rest.substr(0, rest.find('/')));
    if (parts.empty() || parts.back() != part) parts.push_back(part);
  }
  // "a-b" is sorted before "a/c", and both after "a".
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  return parts;
}

absl::StatusOr<std::vector<ipc::ListedName>> NameSpace::List(absl::string_view directory) {
  auto found = Find(directory);
  if (!found.ok()) return found.status();
  if (!S_ISDIR(found->stat.mode)) return ipc::PosixError(ENOTDIR, directory);
  std::vector<ipc::ListedName> list;
  if (found->is_served) {
    absl::Status done = Do(directory, Repeat::kHarmless, [&](const Server& server) {
      auto file = server.files.Open(directory, O_RDONLY | O_DIRECTORY);
      if (!file.ok()) return file.status();
      auto listed = file->List();
      if (!listed.ok()) return listed.status();
      list = *std::move(listed);
      for (ipc::ListedName& name : list) name.inode = server.InodeOf(name.inode);
      return absl::OkStatus();
    });
    if (!done.ok()) return done;
  }
  auto parts = NamesIn(directory);
  if (!parts.ok()) return parts.status();
  const std::string prefix = Below(directory);
  for (std::string& part : *parts) {
    const bool known = std::any_of(list.begin(), list.end(), [&](const ipc::ListedName& listed) {
      return listed.name == part;
    });
    // Of what kind it is, its server alone knows: 0 is DT_UNKNOWN.
    if (!known) list.push_back({part, InodeOfName(prefix + part), 0});
  }
  return list;
}

absl::Status NameSpace::CheckServes(const Server& server, absl::string_view path) {
  const ipc::MutexLock lock(mutex_);
  if (!lock.ok()) return lock.status();
  const std::string* name = NameOf(path);
  if (name == nullptr) return ipc::PosixError(ENOENT, path);
  return *name == server.files.name() ? absl::OkStatus() : ipc::PosixError(EXDEV, path);
}

}  // namespace fused
