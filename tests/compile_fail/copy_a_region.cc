// A process's hold on a region is one object: a copy would unmap the pages under the other.
#include "ipc/region.h"

uint64_t Size(const ipc::Region& region) {
#ifndef CANARY_OK
  ipc::Region copy = region;
#else
  const ipc::Region& copy = region;
#endif
  return copy.size();
}
