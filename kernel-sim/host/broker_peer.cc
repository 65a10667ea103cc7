// The credentials and the pidfd of a socket's far end.
#include "kernel-sim/host/broker_peer.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>

#ifndef SO_PEERPIDFD  // Linux 6.5; headers are older
#define SO_PEERPIDFD 77
#endif

namespace parley::host {
namespace {

UniqueFd PidfdOf(const UniqueFd& socket, pid_t pid) {
  int fd = -1;
  socklen_t length = sizeof(fd);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERPIDFD, &fd, &length) == 0) return UniqueFd(fd);
  if (errno != ENOPROTOOPT) return UniqueFd();
  // The number may be another process's by now; but not if the far end, whose it was when it
  // connected, is still there after the look-up.
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd far = {socket.get(), POLLRDHUP, 0};
  return poll(&far, 1, 0) == 0 ? std::move(pidfd) : UniqueFd();
}

}  // namespace

std::optional<PeerIdentity> IdentifyPeer(const UniqueFd& socket) {
  ucred linux_says = {};
  socklen_t length = sizeof(linux_says);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &linux_says, &length) != 0) {
    return std::nullopt;
  }
  PeerIdentity peer;
  peer.credentials = {ProcessId::kNone, static_cast<uint32_t>(linux_says.pid), linux_says.uid,
                      linux_says.gid};
  peer.pidfd = PidfdOf(socket, linux_says.pid);
  if (!peer.pidfd.valid()) return std::nullopt;
  return peer;
}

}  // namespace parley::host
