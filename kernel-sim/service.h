// Where brokers of the host kernel are found: the long-lived service of this machine or user, and
// the private ones of runs. Used by the parley tool and parleyd (libipc/system.h hands it on).
#ifndef PARLEY_KERNEL_SIM_SERVICE_H_
#define PARLEY_KERNEL_SIM_SERVICE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace parley {

// The path at which this user's service is to listen: /run/parley/broker for uid 0, else
// $XDG_RUNTIME_DIR/parley/broker. kInvalidArgument: that is not set, or no absolute path.
absl::StatusOr<std::string> OwnServicePath();
// The path at which a service is to be found: this user's own if it is there, else uid 0's.
absl::StatusOr<std::string> ServicePath();
// The address of the broker of the run with this launcher, which has to be the far end.
// kNoSuchName: there is none. kNotPermitted: it is of another user, to whom it shows itself, and to
// uid 0.
absl::StatusOr<std::string> PrivateBroker(int launcher_pid);
// The process that listens there, 0 if none does or it is not to be known.
int ServedBy(const std::string& address);
// The launchers of all runs on this machine, sorted; also those of other users.
std::vector<int> PrivateRuns();

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_SERVICE_H_
