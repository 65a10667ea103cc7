// Errors as POSIX has them: an errno inside an absl::Status (M1).
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_POSIX_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_POSIX_H_

#include "absl/status/status.h"

namespace ipc {

// A Status that carries `error`, with the nearest canonical code and "TEXT: what errno says" for
// people. REQUIRES: error is not 0. Any thread.
absl::Status PosixError(int error, absl::string_view text = {});

// The errno of a status: the one it carries, else the nearest to its ipc::Error (a dead server is
// EIO, a deadline ETIMEDOUT, a cancel EINTR) or to its canonical code. 0 for OK. Any thread.
int PosixErrorOf(const absl::Status& status);

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_POSIX_H_
