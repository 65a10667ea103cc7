// The programs that this tool can run: the name server, the servers, and the demo app sets.
#ifndef PARLEY_APPS_PARLEY_PROGRAMS_H_
#define PARLEY_APPS_PARLEY_PROGRAMS_H_

#include "libipc/machine.h"

namespace parley_tool {

ipc::ProgramTable Programs();

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_PROGRAMS_H_
