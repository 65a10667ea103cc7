// Errors of the kernel, told to programs.
#include "ipc/error.h"

#include <string>

#include "kernel-sim/core/errors.h"

namespace ipc {

// The two enums are one list; the last names of both pin it.
static_assert(static_cast<int>(Error::kServerError) ==
              static_cast<int>(parley::Error::kServerError));
static_assert(static_cast<int>(Error::kNotReplied) == static_cast<int>(parley::Error::kNotReplied));
static_assert(static_cast<int>(Error::kCancelled) == static_cast<int>(parley::Error::kCancelled));

Error ErrorOf(const absl::Status& status) { return static_cast<Error>(parley::ErrorOf(status)); }

absl::Status MakeStatus(Error error, absl::string_view text) {
  return parley::MakeError(static_cast<parley::Error>(error), std::string(text));
}

}  // namespace ipc
