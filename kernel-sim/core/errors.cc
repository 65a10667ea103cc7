// Errors as statuses: code, sentence, and the Error itself as a payload.
#include "kernel-sim/core/errors.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "kernel-sim/core/bounds.h"
#include "kernel-sim/core/check.h"

namespace parley {
namespace {

constexpr char kPayload[] = "parley/error";

struct Row {
  Error error;
  absl::StatusCode code;
  std::string_view sentence;
};

using Code = absl::StatusCode;
constexpr Row kRows[] = {
    {Error::kNone, Code::kOk, "no error"},
    {Error::kInvalidArgument, Code::kInvalidArgument, "an argument is not possible"},
    {Error::kBadAddress, Code::kInvalidArgument, "a span is not the caller's own memory"},
    {Error::kBadHandle, Code::kInvalidArgument, "the handle is not open in this process"},
    {Error::kNoSuchName, Code::kNotFound, "nobody serves this name"},
    {Error::kAlreadyExists, Code::kAlreadyExists, "the name is taken"},
    {Error::kNoSuchChannel, Code::kNotFound, "the connection is dead; nothing was sent"},
    {Error::kServerDiedBeforeReceive, Code::kUnavailable,
     "the server died before the receive; the request has not run"},
    {Error::kServerDiedAfterReceive, Code::kUnknown,
     "the server died after the receive; the request may have run"},
    {Error::kDeadlineBeforeReceive, Code::kDeadlineExceeded,
     "the deadline passed before the receive; the request has not run"},
    {Error::kDeadlineAfterReceive, Code::kDeadlineExceeded,
     "the deadline passed after the receive; the request may have run"},
    {Error::kDeadline, Code::kDeadlineExceeded, "the deadline passed"},
    {Error::kCancelled, Code::kCancelled, "the thread was cancelled"},
    {Error::kWouldDeadlock, Code::kFailedPrecondition, "would deadlock"},
    {Error::kNotPermitted, Code::kPermissionDenied, "not permitted"},
    {Error::kQuotaExhausted, Code::kResourceExhausted, "a quota is used up"},
    {Error::kNotReplied, Code::kAborted, "the server dropped the message without a reply"},
    {Error::kMessageGone, Code::kNotFound,
     "the message is answered already, or its client has gone"},
    {Error::kLeaseEnded, Code::kFailedPrecondition, "the lease or grant has ended"},
    {Error::kContested, Code::kFailedPrecondition,
     "a server may still be writing into the region; wait, or reclaim it"},
    {Error::kForked, Code::kFailedPrecondition, "the child of a fork holds no kernel objects"},
    {Error::kProcessEnded, Code::kCancelled, "the process is being ended"},
    {Error::kWrongType, Code::kInvalidArgument, "a message of another type, version or size"},
    {Error::kServerError, Code::kUnknown, "the server replied with an error"},
};

const Row& RowOf(Error error) {
  const Row& row = kRows[static_cast<size_t>(error)];
  PARLEY_CHECK(row.error == error);
  return row;
}

absl::Status Make(Error error, Code code, std::string_view text) {
  absl::Status status(code, absl::string_view(text.data(), text.size()));
  status.SetPayload(kPayload, absl::Cord(std::string(1, static_cast<char>(error))));
  return status;
}

}  // namespace

std::string_view Describe(Error error) { return RowOf(error).sentence; }

absl::Status MakeError(Error error, std::string_view text) {
  PARLEY_CHECK(error != Error::kNone);
  return Make(error, RowOf(error).code, text);
}

absl::Status MakeServerError(absl::StatusCode code, std::string_view text) {
  return Make(Error::kServerError, code, text.substr(0, kMaxErrorTextBytes));
}

Error ErrorOf(const absl::Status& status) {
  if (status.ok()) return Error::kNone;
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value() || payload->size() != 1) return Error::kServerError;
  const auto error = static_cast<uint8_t>(*payload->char_begin());
  const bool known = error != 0 && error <= static_cast<uint8_t>(Error::kServerError);
  return known ? static_cast<Error>(error) : Error::kServerError;
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(std::string(context), ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

std::string DescribeUncaught(const std::exception& exception) {
  const auto* without_value = dynamic_cast<const absl::BadStatusOrAccess*>(&exception);
  if (without_value == nullptr) return absl::StrCat("uncaught exception: ", exception.what());
  return absl::StrCat("uncaught exception: no value: ",
                      without_value->status().ToString(absl::StatusToStringMode::kWithNoExtraData));
}

}  // namespace parley
