// Errors: what an absl::Status that came from Parley means, told apart finely (S9).
//
// A Status has a canonical code and a sentence that names the object ("/calc/add: ..."). Where two
// circumstances share a code, ErrorOf tells them apart: a deadline that passed before the receive,
// and after it.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_ERROR_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_ERROR_H_

#include <cstdint>

#include "absl/status/status.h"

namespace ipc {

// In brackets the canonical code of the Status.
enum class Error : uint8_t {
  kNone = 0,         // [OK]
  kInvalidArgument,  // a size, priority, code or path that no call could accept [InvalidArgument]
  kBadAddress,       // a span that is not the caller's own memory (L5) [InvalidArgument]
  kBadHandle,        // an object that is closed or was never made [InvalidArgument]
  kNoSuchName,       // nobody serves the path (N2); no such program or process [NotFound]
  kAlreadyExists,    // the name is taken (N1) [AlreadyExists]
  kNoSuchChannel,    // the connection is dead; nothing was sent [NotFound]
  kServerDiedBeforeReceive,  // the request has not run [Unavailable]
  kServerDiedAfterReceive,   // the request may have run [Unknown]
  kDeadlineBeforeReceive,    // D2: the request has not run and never will [DeadlineExceeded]
  kDeadlineAfterReceive,     // D3: the request may have run [DeadlineExceeded]
  kDeadline,                 // of a call other than a send [DeadlineExceeded]
  kCancelled,                // D5: another thread cancelled this one [Cancelled]
  kWouldDeadlock,            // L4: the text names the circle [FailedPrecondition]
  kNotPermitted,             // rights, ceilings, modes, a token of somebody else [PermissionDenied]
  kQuotaExhausted,           // U2, R1: the text says which quota [ResourceExhausted]
  kNotReplied,               // S4: the server dropped the message [Aborted]
  kMessageGone,              // S4, D3: answered already, or its client has gone [NotFound]
  kLeaseEnded,               // R5, R7: the lease, grant or region has ended [FailedPrecondition]
  kContested,     // R5: a server may still be writing into the region [FailedPrecondition]
  kForked,        // L3: the child of a fork holds no kernel objects [FailedPrecondition]
  kProcessEnded,  // this process is being ended [Cancelled]
  kWrongType,     // a typed call met another type, version or size [InvalidArgument]
  kServerError,   // whatever the server replied [its own code]
};

// The Error inside `status`: kNone for OK, kServerError for a Status that did not come from Parley.
// Any thread.
Error ErrorOf(const absl::Status& status);

// A Status of that kind, for servers and tests that make errors of their own. REQUIRES: error is
// not kNone.
absl::Status MakeStatus(Error error, absl::string_view text);

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_ERROR_H_
