// What stopped the Mars Pathfinder in 1997, in five processes on one CPU.
//
// The spacecraft's bus is a server. A low-priority task (the weather) uses it now and then; a
// high-priority task distributes the bus's data in every cycle and must be done before the next
// one; a middle-priority task (communications) computes for long. While the bus works for the
// weather, communications keeps it off the CPU and distribution waits behind both, unless the bus
// runs at the priority of who waits for it. A watchdog resets the spacecraft when a cycle was not
// finished.
#ifndef PARLEY_APPS_PATHFINDER_PATHFINDER_H_
#define PARLEY_APPS_PATHFINDER_PATHFINDER_H_

#include "ipc/process.h"

namespace pathfinder {

// Serves /bus. With the argument --fixed-priority its channel takes no part in priority inheritance
// (rule P5).
int Bus(ipc::Process& self);

// Serves /watchdog: counts a cycle in which no sign of life came as a reset.
int Watchdog(ipc::Process& self);

int Weather(ipc::Process& self);         // low
int Communications(ipc::Process& self);  // middle
int Distribution(ipc::Process& self);    // high; ends after all cycles

}  // namespace pathfinder

#endif  // PARLEY_APPS_PATHFINDER_PATHFINDER_H_
