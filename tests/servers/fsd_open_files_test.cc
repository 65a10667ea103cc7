// Tests of servers/fsd/open_files.h.
#include <doctest/doctest.h>

#include "servers/fsd/open_files.h"
#include "servers/fsd/protocol.h"

namespace fsd {
namespace {

constexpr OpenFiles::Client kClient = 7, kStranger = 8;

File AnyFile() { return File(Descriptor(-1), "film", 10); }

TEST_CASE("a number names its file for its own client until it is closed") {
  OpenFiles files;
  const uint32_t number = files.Add(kClient, AnyFile()).value();
  CHECK(files.Find(kClient, number).value()->path() == "film");
  CHECK(files.Find(kStranger, number).status().code() == absl::StatusCode::kNotFound);
  CHECK(files.Remove(kStranger, number).code() == absl::StatusCode::kNotFound);
  CHECK(files.Remove(kClient, number).ok());
  CHECK(files.Remove(kClient, number).code() == absl::StatusCode::kNotFound);
  CHECK(files.Add(kClient, AnyFile()).value() != number);
}

TEST_CASE("a file that somebody reads stays open past its close") {
  OpenFiles files;
  const uint32_t number = files.Add(kClient, AnyFile()).value();
  const auto reading = files.Find(kClient, number).value();
  CHECK(files.Remove(kClient, number).ok());
  CHECK(reading->size_bytes() == 10);
}

TEST_CASE("the end of a client closes its files, all of them and nobody else's") {
  OpenFiles files;
  for (size_t i = 0; i < kMaxOpenFiles; ++i) CHECK(files.Add(kClient, AnyFile()).ok());
  const uint32_t other = files.Add(kStranger, AnyFile()).value();
  CHECK(files.Add(kClient, AnyFile()).status().code() == absl::StatusCode::kResourceExhausted);
  files.RemoveAll(kClient);
  CHECK(files.Find(kStranger, other).ok());
  for (size_t i = 0; i < kMaxOpenFiles; ++i) CHECK(files.Add(kClient, AnyFile()).ok());
}

}  // namespace
}  // namespace fsd
