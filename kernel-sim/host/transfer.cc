// One copy between two processes, by process_vm_readv and process_vm_writev.
//
// Linux names the far process by its number, which could be another's by the time of the copy. So
// what was moved counts only if the process, by its pidfd, is still there afterwards: then the
// number was its own all the while. A write that went astray went to a process of the same user,
// which this one could have written to anyhow.
#include "kernel-sim/host/transfer.h"

#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <vector>

#include "kernel-sim/refusals.h"

namespace parley::host {

bool IsAlive(const FarProcess& far) {
  pollfd pidfd = {far.pidfd.get(), POLLIN, 0};
  return poll(&pidfd, 1, 0) == 0;
}

namespace {

static_assert(sizeof(iovec) == sizeof(ConstBytes));

absl::Status Failure(const FarProcess& far) {
  // A seccomp filter may say any of them.
  const bool refused = errno == EPERM || errno == EACCES || errno == ENOSYS;
  if (errno == ESRCH || !IsAlive(far)) return Refuse(Error::kMessageGone);
  if (refused) {
    return MakeError(Error::kNotPermitted,
                     "Linux does not permit to copy between these two processes");
  }
  // One that is being killed has lost its memory before its pidfd says that it is dead.
  const bool dead = errno == ESRCH || !IsAlive(far);
  return Refuse(dead ? Error::kMessageGone : Error::kBadAddress);
}

// The far process's parts, from `offset` on, `length` bytes of them.
absl::StatusOr<std::vector<iovec>> FetchParts(const FarProcess& far, const RemoteParts& parts,
                                              uint64_t offset, uint64_t length) {
  std::vector<iovec> fetched(parts.count);
  const iovec local = {fetched.data(), fetched.size() * sizeof(iovec)};
  const iovec remote = {reinterpret_cast<void*>(parts.address), local.iov_len};
  const auto pid = static_cast<pid_t>(far.far.pid);
  if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != static_cast<ssize_t>(local.iov_len)) {
    return Failure(far);
  }
  std::vector<iovec> wanted;
  for (const iovec& part : fetched) {
    if (length == 0) break;
    if (offset >= part.iov_len) {
      offset -= part.iov_len;
      continue;
    }
    const uint64_t run = std::min<uint64_t>(part.iov_len - offset, length);
    wanted.push_back({static_cast<char*>(part.iov_base) + offset, run});
    offset = 0;
    length -= run;
  }
  if (length > 0) return Refuse(Error::kBadAddress);  // fewer than it said
  return wanted;
}

// The caller's own parts, `length` bytes of them.
template <typename Parts>
std::vector<iovec> OwnParts(const Parts& parts, uint64_t length) {
  std::vector<iovec> own;
  for (const auto& part : parts) {
    const uint64_t run = std::min<uint64_t>(part.size(), length);
    if (run == 0) continue;
    own.push_back({const_cast<std::byte*>(part.data()), run});
    length -= run;
  }
  return own;
}

void Skip(std::vector<iovec>& parts, size_t& first, uint64_t bytes) {
  while (bytes > 0) {
    const uint64_t run = std::min<uint64_t>(parts[first].iov_len, bytes);
    parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + run;
    parts[first].iov_len -= run;
    bytes -= run;
    if (parts[first].iov_len == 0) ++first;
  }
}

template <typename Parts, typename Copy>
absl::StatusOr<uint64_t> Move(const FarProcess& far, const RemoteParts& parts, uint64_t bytes,
                              uint64_t offset, const Parts& local, Copy copy) {
  const uint64_t length = std::min(bytes - offset, TotalBytes(local));
  if (length == 0) return 0;
  auto remote = FetchParts(far, parts, offset, length);
  if (!remote.ok()) return remote.status();
  std::vector<iovec> own = OwnParts(local, length);
  size_t own_first = 0, remote_first = 0;
  for (uint64_t moved = 0; moved < length;) {
    const ssize_t run =
        copy(static_cast<pid_t>(far.far.pid), &own[own_first], own.size() - own_first,
             &(*remote)[remote_first], remote->size() - remote_first, 0);
    if (run <= 0) return Failure(far);
    moved += static_cast<uint64_t>(run);
    Skip(own, own_first, static_cast<uint64_t>(run));
    Skip(*remote, remote_first, static_cast<uint64_t>(run));
  }
  if (!IsAlive(far)) return Refuse(Error::kMessageGone);
  return length;
}

}  // namespace

absl::StatusOr<uint64_t> ReadRemote(const FarProcess& far, const RemoteParts& parts, uint64_t bytes,
                                    uint64_t offset, MutableParts destination) {
  return Move(far, parts, bytes, offset, destination, process_vm_readv);
}

absl::StatusOr<uint64_t> WriteRemote(const FarProcess& far, const RemoteParts& parts,
                                     uint64_t bytes, uint64_t offset, ConstParts source) {
  return Move(far, parts, bytes, offset, source, process_vm_writev);
}

}  // namespace parley::host
