// What a freshly forked child sheds of its launcher, and the sockets they meet at.
#ifndef PARLEY_KERNEL_SIM_HOST_CHILD_H_
#define PARLEY_KERNEL_SIM_HOST_CHILD_H_

#include <string>

#include "kernel-sim/host/fd.h"
#include "kernel-sim/host/wire.h"

namespace parley::host {

// A socket of type SOCK_SEQPACKET that listens at an address: a path, or without a leading slash an
// abstract one. Invalid with errno if it cannot be had.
UniqueFd Listen(const std::string& address);
UniqueFd ConnectTo(const std::string& address);

// Invalid if there is none to be had.
UniqueFd OpenPidfd(int pid);

struct ChildOptions {
  uint32_t uid, gid;
  int cpus;  // 0: all that there are
};
// Makes the calling process, just forked, one of its own: no descriptor above stderr is left, Linux
// kills it with its launcher, it has its own user and default signals. False, with errno, if the
// user cannot be had.
bool BecomeChild(const ChildOptions& options, int launcher_pid);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_CHILD_H_
