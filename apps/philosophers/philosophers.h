// Five philosophers at a round table; each fork is a server, and eating takes two of them.
//
// Naive, everybody takes the left fork first and the table can come to a standstill; ordered,
// everybody takes the lower-numbered fork first and it cannot. Exploration of schedules finds the
// one and confirms the other.
#ifndef PARLEY_APPS_PHILOSOPHERS_PHILOSOPHERS_H_
#define PARLEY_APPS_PHILOSOPHERS_PHILOSOPHERS_H_

#include "ipc/process.h"

namespace philosophers {

// Serves /fork/NUMBER. Arguments: NUMBER.
int Fork(ipc::Process& self);

// Arguments: NUMBER COUNT MEALS naive|ordered. Ends with 0 when it has eaten MEALS times.
int Philosopher(ipc::Process& self);

}  // namespace philosophers

#endif  // PARLEY_APPS_PHILOSOPHERS_PHILOSOPHERS_H_
