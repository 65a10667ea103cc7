// Who is at the far end of a socket, as Linux vouches for it.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_PEER_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_PEER_H_

#include <optional>

#include "kernel-sim/host/fd.h"
#include "kernel-sim/host/wire.h"

namespace parley::host {

struct PeerIdentity {
  Far credentials;  // as they were when it connected; no ProcessId
  UniqueFd pidfd;
};

// None if it is gone, or in no namespace of ours.
std::optional<PeerIdentity> IdentifyPeer(const UniqueFd& socket);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_PEER_H_
