// console: /dev/console, a terminal with a line to edit, for all programs. docs/servers.md says how
// it is used.
#ifndef PARLEY_SERVERS_CONSOLE_CONSOLE_H_
#define PARLEY_SERVERS_CONSOLE_CONSOLE_H_

#include <cstddef>

#include "ipc/process.h"

namespace console {

inline constexpr char kName[] = "/dev/console";
// That nobody has read; then Enter is refused with a bell.
inline constexpr size_t kMaxFinishedLines = 64;

// Arguments: [--tty=PATH], the terminal to use. Without it a new one is made, and standard output
// says its path.
int Main(ipc::Process& self);

}  // namespace console

#endif  // PARLEY_SERVERS_CONSOLE_CONSOLE_H_
