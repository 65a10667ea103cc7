// pipe, a pipe with a name: what is written to it is read from it, once, in order.
#ifndef PARLEY_SERVERS_PIPE_PIPE_H_
#define PARLEY_SERVERS_PIPE_PIPE_H_

#include "ipc/process.h"

namespace pipe_server {

// Argument: NAME. A read of an empty pipe blocks, and a write to a full one (64 KiB); it has no
// end, whoever closes it.
int Main(ipc::Process& self);

}  // namespace pipe_server

#endif  // PARLEY_SERVERS_PIPE_PIPE_H_
