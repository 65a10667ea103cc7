// Running systems, for the parley tool: where their brokers are, and what they show. Not installed.
#ifndef PARLEY_LIBIPC_SYSTEM_H_
#define PARLEY_LIBIPC_SYSTEM_H_

#include "kernel-sim/look.h"
#include "kernel-sim/service.h"

#endif  // PARLEY_LIBIPC_SYSTEM_H_
