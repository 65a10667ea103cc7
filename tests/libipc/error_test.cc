// The errors of the public header beside the kernel's (S9).
#include "ipc/error.h"

#include <doctest/doctest.h>

#include <map>

#include "kernel-sim/core/errors.h"

namespace {

using absl::StatusCode;
using ipc::Error;

// The codes that the public header promises.
const std::map<Error, StatusCode> kPromised = {
    {Error::kInvalidArgument, StatusCode::kInvalidArgument},
    {Error::kBadAddress, StatusCode::kInvalidArgument},
    {Error::kBadHandle, StatusCode::kInvalidArgument},
    {Error::kNoSuchName, StatusCode::kNotFound},
    {Error::kAlreadyExists, StatusCode::kAlreadyExists},
    {Error::kNoSuchChannel, StatusCode::kNotFound},
    {Error::kServerDiedBeforeReceive, StatusCode::kUnavailable},
    {Error::kServerDiedAfterReceive, StatusCode::kUnknown},
    {Error::kDeadlineBeforeReceive, StatusCode::kDeadlineExceeded},
    {Error::kDeadlineAfterReceive, StatusCode::kDeadlineExceeded},
    {Error::kDeadline, StatusCode::kDeadlineExceeded},
    {Error::kCancelled, StatusCode::kCancelled},
    {Error::kWouldDeadlock, StatusCode::kFailedPrecondition},
    {Error::kNotPermitted, StatusCode::kPermissionDenied},
    {Error::kQuotaExhausted, StatusCode::kResourceExhausted},
    {Error::kNotReplied, StatusCode::kAborted},
    {Error::kMessageGone, StatusCode::kNotFound},
    {Error::kLeaseEnded, StatusCode::kFailedPrecondition},
    {Error::kContested, StatusCode::kFailedPrecondition},
    {Error::kForked, StatusCode::kFailedPrecondition},
    {Error::kProcessEnded, StatusCode::kCancelled},
    {Error::kWrongType, StatusCode::kInvalidArgument},
};

TEST_CASE("every error has the code that its header promises, and is told apart again") {
  for (const auto& [error, code] : kPromised) {
    const absl::Status status = ipc::MakeStatus(error, "text");
    CHECK(status.code() == code);
    CHECK(status.message() == "text");
    CHECK(ipc::ErrorOf(status) == error);
  }
  CHECK(kPromised.size() == static_cast<size_t>(Error::kServerError) - 1);
}

TEST_CASE("errors have the same numbers on both sides of the door") {
  using Kernel = parley::Error;
  const std::map<Error, Kernel> pairs = {
      {Error::kInvalidArgument, Kernel::kInvalidArgument},
      {Error::kBadAddress, Kernel::kBadAddress},
      {Error::kBadHandle, Kernel::kBadHandle},
      {Error::kNoSuchName, Kernel::kNoSuchName},
      {Error::kAlreadyExists, Kernel::kAlreadyExists},
      {Error::kNoSuchChannel, Kernel::kNoSuchChannel},
      {Error::kServerDiedBeforeReceive, Kernel::kServerDiedBeforeReceive},
      {Error::kServerDiedAfterReceive, Kernel::kServerDiedAfterReceive},
      {Error::kDeadlineBeforeReceive, Kernel::kDeadlineBeforeReceive},
      {Error::kDeadlineAfterReceive, Kernel::kDeadlineAfterReceive},
      {Error::kDeadline, Kernel::kDeadline},
      {Error::kCancelled, Kernel::kCancelled},
      {Error::kWouldDeadlock, Kernel::kWouldDeadlock},
      {Error::kNotPermitted, Kernel::kNotPermitted},
      {Error::kQuotaExhausted, Kernel::kQuotaExhausted},
      {Error::kNotReplied, Kernel::kNotReplied},
      {Error::kMessageGone, Kernel::kMessageGone},
      {Error::kLeaseEnded, Kernel::kLeaseEnded},
      {Error::kContested, Kernel::kContested},
      {Error::kForked, Kernel::kForked},
      {Error::kProcessEnded, Kernel::kProcessEnded},
      {Error::kWrongType, Kernel::kWrongType},
      {Error::kServerError, Kernel::kServerError},
  };
  for (const auto& [error, kernel] : pairs) {
    CHECK(static_cast<int>(error) == static_cast<int>(kernel));
  }
  CHECK(pairs.size() == static_cast<size_t>(Error::kServerError));
}

TEST_CASE("a status that did not come from a kernel is a server's, OK is none") {
  CHECK(ipc::ErrorOf(absl::OkStatus()) == Error::kNone);
  CHECK(ipc::ErrorOf(absl::NotFoundError("x")) == Error::kServerError);
}

}  // namespace
