// A send in flight, as its own thread sees it.
#ifndef PARLEY_KERNEL_SIM_HOST_SENDING_H_
#define PARLEY_KERNEL_SIM_HOST_SENDING_H_

#include "kernel-sim/host/process.h"

namespace parley::host {

struct Process::Sending {
  HostThread& thread;
  const SendArguments& arguments;
  uint64_t request_bytes = 0, reply_room = 0;
  OutSlot out = {};
  uint32_t sequence = 0;
  int level = 0;
  bool may_close_circle = false;  // somebody may wait for this thread (L4)
  int64_t begun_ns = 0;           // with a response limit, else 0
  int64_t until = kNever;         // CLOCK_MONOTONIC; of its deadline, or of its grace
  bool knocked = false;
  bool slept = false;
  int64_t check_after_ns = 2'000'000;  // L4: how long after the last look the next one is,
  int64_t next_check = kNever;         // and when
  struct Reference {
    HeldRegion* held;
    SharedReference shared;
    uint32_t reclaims;  // of the region so far
  };
  absl::InlinedVector<Reference, 2> references = {};  // R5
  Error leave_error = Error::kNone;  // D3: it has asked to leave, and gets this when its grace ends
  Error released_error = Error::kNone;  // of one that was taken back while it was being received
  Slot& slot() const { return out.slot(); }
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_SENDING_H_
