// How many descriptors a broker may have, and gives its users.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_RAISE_LIMITS_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_RAISE_LIMITS_H_

#include <sys/resource.h>

#include "kernel-sim/host/broker.h"

namespace parley::host {

// As many descriptors as there can be. No user has all of them: where others come too, a quarter.
inline BrokerLimits RaiseLimits(bool private_to_launcher) {
  BrokerLimits limits;
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return limits;
  const rlimit raised = {files.rlim_max, files.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) files = raised;
  limits.descriptors_per_user = files.rlim_cur / 4 * (private_to_launcher ? 3 : 1);
  return limits;
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_RAISE_LIMITS_H_
