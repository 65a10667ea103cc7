// A deadline is a time or a duration: a bare number has no unit.
#include "ipc/channel.h"

bool Ready(const ipc::Channel& channel) {
#ifndef CANARY_OK
  return channel.Receive(ipc::Deadline(5)).ok();
#else
  return channel.Receive(ipc::Deadline(absl::Milliseconds(5))).ok();
#endif
}
