// A peer's socket, as the broker's loop has it, and what is still to leave through it.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_SOCKET_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/packet.h"

namespace parley::host {

inline constexpr size_t kBytesOfADescriptor = 512;  // what one counts for in that

struct Socket {
  // kDraining: the broker has forgotten the peer; what was sent before is still to leave.
  enum class State : uint8_t { kOpen, kDraining, kClosed };
  PeerId id = PeerId::kNone;
  State state = State::kOpen;
  bool overflowed = false;
  bool receiving = false, sending = false, polling = false;
  UniqueFd fd, pidfd;
  SocketMessage incoming, outgoing;
  std::deque<Packet> outbox;  // the first is being sent if `sending`
  size_t unsent_bytes = 0;
};

inline size_t Weight(const Packet& packet) {
  return packet.bytes.size() + packet.fds.size() * kBytesOfADescriptor;
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_SOCKET_H_
