// Errors as POSIX has them.
#include "ipc/posix.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ipc/error.h"

namespace ipc {
namespace {

constexpr char kPayload[] = "parley.posix";

int ErrnoOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kCancelled:
      return EINTR;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return EINVAL;
    case absl::StatusCode::kDeadlineExceeded:
      return ETIMEDOUT;
    case absl::StatusCode::kNotFound:
      return ENOENT;
    case absl::StatusCode::kAlreadyExists:
      return EEXIST;
    case absl::StatusCode::kPermissionDenied:
      return EACCES;
    case absl::StatusCode::kResourceExhausted:
      return ENOSPC;
    case absl::StatusCode::kFailedPrecondition:
      return EBUSY;
    case absl::StatusCode::kUnimplemented:
      return ENOSYS;
    default:
      return EIO;
  }
}

}  // namespace

absl::Status PosixError(int error, absl::string_view text) {
  const absl::Status plain = absl::ErrnoToStatus(error, text);
  absl::Status status = text.empty() ? absl::Status(plain.code(), std::strerror(error)) : plain;
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(error)));
  return status;
}

int PosixErrorOf(const absl::Status& status) {
  if (const auto payload = status.GetPayload(kPayload)) {
    int error = 0;
    if (absl::SimpleAtoi(std::string(*payload), &error)) return error;
  }
  switch (ErrorOf(status)) {
    case Error::kNoSuchChannel:
    case Error::kServerDiedBeforeReceive:
    case Error::kServerDiedAfterReceive:
    case Error::kNotReplied:
      return EIO;
    case Error::kWouldDeadlock:
      return EDEADLK;
    case Error::kBadAddress:
      return EFAULT;
    case Error::kBadHandle:
      return EBADF;
    case Error::kQuotaExhausted:
      return ENOMEM;
    default:
      return ErrnoOf(status.code());
  }
}

}  // namespace ipc
