// A packet of wire.h, made and taken apart; and how it goes over a socket with its descriptors.
#ifndef PARLEY_KERNEL_SIM_HOST_PACKET_H_
#define PARLEY_KERNEL_SIM_HOST_PACKET_H_

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel-sim/host/fd.h"
#include "kernel-sim/host/wire.h"

namespace parley::host {

// One packet, as it was received or is to be sent. What it holds is another process's claim.
struct Packet {
  std::vector<std::byte> bytes;
  Fds fds;

  template <WireStruct T>
  static Packet Of(uint32_t call, const T& body, std::string_view tail = {}) {
    Packet packet;
    const Header header = {T::kKind, call};
    packet.bytes.reserve(sizeof(header) + sizeof(T) + tail.size());
    packet.Append(&header, sizeof(header));
    if constexpr (std::is_empty_v<T>) {
      packet.bytes.push_back({});  // its one byte is padding, and could be anything
    } else {
      packet.Append(&body, sizeof(T));
    }
    packet.Append(tail.data(), tail.size());
    return packet;
  }

  void Append(const void* data, size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), begin, begin + size);
  }

  // None for one that is too short to have a header.
  std::optional<Header> header() const {
    if (bytes.size() < sizeof(Header)) return std::nullopt;
    Header header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    return header;
  }
  // REQUIRES: it has a header.
  void SetCall(uint32_t call) {
    std::memcpy(bytes.data() + offsetof(Header, call), &call, sizeof(call));
  }
  // The body as a T, none if it is another kind or too short.
  template <WireStruct T>
  std::optional<T> As() const {
    const std::optional<Header> head = header();
    if (!head || head->kind != T::kKind || bytes.size() < sizeof(Header) + sizeof(T)) {
      return std::nullopt;
    }
    T body;
    std::memcpy(&body, bytes.data() + sizeof(Header), sizeof(T));
    return body;
  }
  // What follows the body of a T. REQUIRES: As<T>() gave one.
  template <WireStruct T>
  std::string_view Tail() const {
    const size_t begin = sizeof(Header) + sizeof(T);
    return {reinterpret_cast<const char*>(bytes.data()) + begin, bytes.size() - begin};
  }
};

// The strings of a tail, each ended by a zero byte; what follows the last zero is dropped.
std::vector<std::string> SplitTail(std::string_view tail);
std::string JoinTail(const std::vector<std::string>& strings);

// The buffers of one sendmsg or recvmsg, for both who block and who do it by io_uring.
class SocketMessage {
 public:
  // For a send: `packet` stays where it is until it is over.
  void PrepareSend(const Packet& packet);
  void PrepareReceive();
  msghdr* header() { return &header_; }
  // After a receive of `size` bytes: the packet, its descriptors owned. kInvalidArgument: cut, or
  // too many descriptors; those that have come are in `refused`.
  absl::StatusOr<Packet> Take(size_t size);
  Fds& refused() { return refused_; }
  // The sender as Linux vouches for it, if it has sent its credentials along.
  std::optional<ucred> credentials() const { return credentials_; }

 private:
  msghdr header_ = {};
  iovec part_ = {};
  std::unique_ptr<std::byte[]> buffer_;  // of kMaxPacketBytes, once it receives
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPacketFds) +
                                        CMSG_SPACE(sizeof(ucred))> control_ = {};
  std::optional<ucred> credentials_;
  Fds refused_;
};

// Sends, waiting for room; with `flags` of MSG_DONTWAIT not: kDeadline, if there is none.
// kNoSuchChannel: the far end is gone.
absl::Status SendPacket(const UniqueFd& socket, const Packet& packet, int flags = 0);
// Waits for the next packet. Without its descriptors, if Linux has no room for them all: whoever
// needs them says so. kNoSuchChannel: the far end is gone; kDeadline: the socket's own time is
// over.
absl::StatusOr<Packet> ReceivePacket(const UniqueFd& socket);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_PACKET_H_
