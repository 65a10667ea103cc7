// Errors inside statuses.
#include "kernel-sim/core/errors.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "absl/strings/cord.h"
#include "kernel-sim/core/bounds.h"
#include "tests/core/death.h"

namespace parley {
namespace {

TEST_CASE("core: each error travels inside its status, with a sentence of its own") {
  std::set<std::string_view> sentences;
  for (int i = 1; i <= static_cast<int>(Error::kServerError); ++i) {
    const auto error = static_cast<Error>(i);
    const absl::Status status = MakeError(error, "what happened");
    CHECK_FALSE(status.ok());
    CHECK(ErrorOf(status) == error);
    CHECK(status.message() == "what happened");
    CHECK_FALSE(Describe(error).empty());
    CHECK(sentences.insert(Describe(error)).second);
  }
}

TEST_CASE("core: what S9 wants told apart has different errors, where the code is the same too") {
  const absl::Status before = MakeError(Error::kDeadlineBeforeReceive, "");
  const absl::Status after = MakeError(Error::kDeadlineAfterReceive, "");
  CHECK(before.code() == after.code());
  CHECK(ErrorOf(before) != ErrorOf(after));
  CHECK(MakeError(Error::kServerDiedBeforeReceive, "").code() == absl::StatusCode::kUnavailable);
  CHECK(MakeError(Error::kServerDiedAfterReceive, "").code() == absl::StatusCode::kUnknown);
}

TEST_CASE("core: a status that no kernel made is the server's, OK is no error") {
  CHECK(ErrorOf(absl::OkStatus()) == Error::kNone);
  CHECK(ErrorOf(absl::InternalError("odd")) == Error::kServerError);
  absl::Status garbled = absl::InternalError("odd");
  garbled.SetPayload("parley/error", absl::Cord("two"));
  CHECK(ErrorOf(garbled) == Error::kServerError);
  for (char byte : {'\0', '\x7f', '\xff'}) {
    garbled.SetPayload("parley/error", absl::Cord(std::string(1, byte)));
    CHECK(ErrorOf(garbled) == Error::kServerError);
  }
}

TEST_CASE("core: a server's error keeps its code, and its text up to the bound") {
  const std::string long_text(kMaxErrorTextBytes + 10, 'x');
  const absl::Status status = MakeServerError(absl::StatusCode::kDataLoss, long_text);
  CHECK(status.code() == absl::StatusCode::kDataLoss);
  CHECK(status.message().size() == kMaxErrorTextBytes);
  CHECK(ErrorOf(status) == Error::kServerError);
}

TEST_CASE("core: an annotation goes in front and keeps the error") {
  const absl::Status status = Annotate(MakeError(Error::kNoSuchName, "nobody"), "/dev/gfx");
  CHECK(status.message() == "/dev/gfx: nobody");
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(ErrorOf(status) == Error::kNoSuchName);
  CHECK(Annotate(absl::OkStatus(), "/dev/gfx").ok());
}

TEST_CASE("core: no error cannot be made into one") {
  CHECK(tests::BreaksAnInvariant([] { (void)MakeError(Error::kNone, ""); }));
}

}  // namespace
}  // namespace parley
