// Every way a kernel call can fail, as one enum, and how it travels inside an absl::Status.
//
// The Status has the nearest canonical code and a sentence; the Error is attached to it, so that
// callers can tell apart what S9 wants told apart (a deadline before and after the receive have the
// same canonical code).
#ifndef PARLEY_KERNEL_SIM_CORE_ERRORS_H_
#define PARLEY_KERNEL_SIM_CORE_ERRORS_H_

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace parley {

enum class Error : uint8_t {
  kNone = 0,
  kInvalidArgument,  // a size, priority, code or span that no call could accept
  kBadAddress,       // a span that does not name the caller's own readable / writable memory (L5)
  kBadHandle,        // a handle that this process does not hold
  kNoSuchName,       // N2: nobody serves the path
  kAlreadyExists,    // N1: the name is taken
  kNoSuchChannel,    // S9: the connection is dead or its channel gone; nothing was sent
  kServerDiedBeforeReceive,  // S9: the request has not run
  kServerDiedAfterReceive,   // S9: the request may have run
  kDeadlineBeforeReceive,    // S9, D2: the request has not run and never will
  kDeadlineAfterReceive,     // S9, D3: the request may have run
  kDeadline,                 // the deadline of a call other than a send
  kCancelled,                // D5: somebody cancelled this thread
  kWouldDeadlock,            // L4: the text names the cycle
  kNotPermitted,             // rights, ceilings, modes, a token of somebody else
  kQuotaExhausted,           // U2, R1: the text names the quota
  kNotReplied,               // S4: the server dropped the message
  kMessageGone,              // S4, D3: the client has left, died, or been answered already
  kLeaseEnded,               // R5, R7: the lease, grant or region is not valid any more
  kContested,                // R5: somebody may still be writing into the region
  kForked,                   // L3: the child of a fork holds nothing
  kProcessEnded,             // the caller's process is being ended; unwind
  kWrongType,                // a typed call met a message of another type, version or size
  kServerError,              // whatever the server replied
};

// A Status for `error` that says `text`. Error::kServerError takes its canonical code from
// MakeServerError.
absl::Status MakeError(Error error, std::string_view text);

// What a server replied instead of bytes: its canonical code and text (cut at kMaxErrorTextBytes).
absl::Status MakeServerError(absl::StatusCode code, std::string_view text);

// The Error inside `status`: kNone for OK, kServerError for a status that no kernel made.
Error ErrorOf(const absl::Status& status);

// The same error with `context` and ": " in front of its text (the object's name, as a user knows
// it).
absl::Status Annotate(const absl::Status& status, std::string_view context);

// "deadline passed after the receive", ...: the default sentence of an error.
std::string_view Describe(Error error);

// "uncaught exception: ..." for people: an error that was thrown as its text, without the payload.
std::string DescribeUncaught(const std::exception& exception);

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_ERRORS_H_
