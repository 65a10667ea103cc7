// A call to the broker that waits for its answer.
#ifndef PARLEY_KERNEL_SIM_HOST_PENDING_CALL_H_
#define PARLEY_KERNEL_SIM_HOST_PENDING_CALL_H_

#include "kernel-sim/host/process.h"

namespace parley::host {

struct Process::PendingCall {
  const Packet* packet = nullptr;
  std::atomic<uint32_t> done{0};
  absl::StatusOr<Packet> answer = absl::InternalError("no answer");
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_PENDING_CALL_H_
