// The sockets of brokers: how they are met, and how a service takes its path.
#ifndef PARLEY_KERNEL_SIM_HOST_SERVICE_H_
#define PARLEY_KERNEL_SIM_HOST_SERVICE_H_

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "kernel-sim/host/fd.h"

namespace parley::host {

// The abstract address of a run's private broker begins with this.
std::string PrivatePrefix(int launcher_pid);
bool IsPrivate(const std::string& address);

// Connects, to a broker of this user or of uid 0; as uid 0 to anyone's. The text says what to do.
absl::StatusOr<UniqueFd> ConnectToBroker(const std::string& address);
// Connects to whom `listener` (ListenerOf) names; invalid if somebody else has taken the address.
UniqueFd ConnectToSame(const std::string& address, const ucred& listener);
// Who listens at the far end, as Linux vouches for it.
ucred ListenerOf(const UniqueFd& connection);

// The lock is held, beside the socket in a file with ".lock" added, for as long as the service
// lives; whoever has it may replace a socket that is still there after a crash.
struct ServiceSocket {
  UniqueFd lock, listener;
};
// Makes the folder where it is missing. Open to all users if made by uid 0, else to its own.
// kAlreadyExists: another service has the path.
absl::StatusOr<ServiceSocket> ListenAsService(const std::string& path);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_SERVICE_H_
