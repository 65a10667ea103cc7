// Packets over a Unix socket of type SOCK_SEQPACKET.
#include "kernel-sim/host/packet.h"

#include <cerrno>

#include "kernel-sim/core/errors.h"

namespace parley::host {

std::vector<std::string> SplitTail(std::string_view tail) {
  std::vector<std::string> strings;
  for (size_t end; (end = tail.find('\0')) != std::string_view::npos; tail.remove_prefix(end + 1)) {
    strings.emplace_back(tail.substr(0, end));
  }
  return strings;
}

std::string JoinTail(const std::vector<std::string>& strings) {
  std::string tail;
  for (const std::string& string : strings) tail.append(string).push_back('\0');
  return tail;
}

void SocketMessage::PrepareSend(const Packet& packet) {
  part_ = {const_cast<std::byte*>(packet.bytes.data()), packet.bytes.size()};
  header_ = {};
  header_.msg_iov = &part_;
  header_.msg_iovlen = 1;
  if (packet.fds.empty()) return;
  header_.msg_control = control_.data();
  header_.msg_controllen = CMSG_SPACE(sizeof(int) * packet.fds.size());
  cmsghdr* control = CMSG_FIRSTHDR(&header_);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof(int) * packet.fds.size());
  for (size_t i = 0; i < packet.fds.size(); ++i) {
    const int fd = packet.fds[i].get();
    std::memcpy(CMSG_DATA(control) + i * sizeof(int), &fd, sizeof(fd));
  }
}

void SocketMessage::PrepareReceive() {
  if (buffer_ == nullptr) buffer_ = std::make_unique_for_overwrite<std::byte[]>(kMaxPacketBytes);
  part_ = {buffer_.get(), kMaxPacketBytes};
  header_ = {};
  header_.msg_iov = &part_;
  header_.msg_iovlen = 1;
  header_.msg_control = control_.data();
  header_.msg_controllen = control_.size();
}

absl::StatusOr<Packet> SocketMessage::Take(size_t size) {
  Packet packet;
  credentials_.reset();
  for (cmsghdr* control = CMSG_FIRSTHDR(&header_); control != nullptr;
       control = CMSG_NXTHDR(&header_, control)) {
    if (control->cmsg_level != SOL_SOCKET) continue;
    if (control->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials;
      std::memcpy(&credentials, CMSG_DATA(control), sizeof(credentials));
      credentials_ = credentials;
    } else if (control->cmsg_type == SCM_RIGHTS) {
      const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
        packet.fds.emplace_back(fd);
      }
    }
  }
  if ((header_.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    refused_ = std::move(packet.fds);
    return MakeError(Error::kInvalidArgument, "a packet that is too long");
  }
  packet.bytes.assign(buffer_.get(), buffer_.get() + size);
  return packet;
}

absl::Status SendPacket(const UniqueFd& socket, const Packet& packet, int flags) {
  SocketMessage message;
  message.PrepareSend(packet);
  for (;;) {
    if (sendmsg(socket.get(), message.header(), MSG_NOSIGNAL | flags) >= 0) {
      return absl::OkStatus();
    }
    if (errno == EAGAIN) return MakeError(Error::kDeadline, "no room for another packet");
    if (errno != EINTR) return MakeError(Error::kNoSuchChannel, "the broker is gone");
  }
}

absl::StatusOr<Packet> ReceivePacket(const UniqueFd& socket) {
  SocketMessage message;
  for (;;) {
    message.PrepareReceive();
    const ssize_t size = recvmsg(socket.get(), message.header(), MSG_CMSG_CLOEXEC);
    if (size > 0) {
      const bool cut = (message.header()->msg_flags & MSG_CTRUNC) != 0;
      message.header()->msg_flags &= ~MSG_CTRUNC;
      auto packet = message.Take(static_cast<size_t>(size));
      if (cut && packet.ok()) packet->fds.clear();
      return packet;
    }
    if (size < 0 && errno == EAGAIN) return MakeError(Error::kDeadline, "the broker is silent");
    if (size == 0 || errno != EINTR) {
      return MakeError(Error::kNoSuchChannel, "the broker is gone");
    }
  }
}

}  // namespace parley::host
