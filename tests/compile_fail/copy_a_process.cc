// A process is not copied: programs reach everything through the one they were given.
#include "ipc/process.h"

int Program(ipc::Process& self) {
#ifndef CANARY_OK
  ipc::Process other = self;
#else
  ipc::Process& other = self;
#endif
  return static_cast<int>(other.arguments().size());
}
