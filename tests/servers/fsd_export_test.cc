// Tests of servers/fsd/export.h: no way out of the exported folder.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "servers/fsd/export.h"

namespace fsd {
namespace {

// A folder with `inside/` to export, and a secret beside it.
class Folders {
 public:
  Folders() {
    std::string name = (std::filesystem::temp_directory_path() / "parley-fsd-XXXXXX").string();
    path_ = mkdtemp(name.data());
    std::filesystem::create_directories(path_ + "/inside/sub");
    std::ofstream(path_ + "/secret") << "secret";
    std::ofstream(root() + "/film") << "0123456789";
    std::filesystem::create_symlink("../secret", root() + "/relative");
    std::filesystem::create_symlink(path_ + "/secret", root() + "/absolute");
    std::filesystem::create_directory_symlink("..", root() + "/up");
    std::filesystem::create_symlink("film", root() + "/alias");
    std::filesystem::create_symlink("loop", root() + "/loop");
  }
  ~Folders() { std::filesystem::remove_all(path_); }
  std::string root() const { return path_ + "/inside"; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

absl::Span<std::byte> Bytes(std::string& text) {
  return absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size());
}

TEST_CASE("a file is read at any offset, and short at its end") {
  const Folders folders;
  const Export exported = Export::Make(folders.root()).value();
  const File file = exported.Open("film").value();
  CHECK(file.size_bytes() == 10);
  std::string text(4, '?');
  CHECK(file.ReadAt(3, Bytes(text)).value() == 4);
  CHECK(text == "3456");
  CHECK(file.ReadAt(8, Bytes(text)).value() == 2);
  CHECK(text.substr(0, 2) == "89");
  CHECK(file.ReadAt(99, Bytes(text)).value() == 0);
  CHECK(file.ReadAt(~uint64_t{0}, Bytes(text)).status().code() == absl::StatusCode::kOutOfRange);
}

TEST_CASE("no path leads out of the exported folder") {
  const Folders folders;
  const Export exported = Export::Make(folders.root()).value();
  for (const std::string& path :
       {std::string("../secret"), std::string("sub/../../secret"), std::string("relative"),
        std::string("absolute"), std::string("up/secret"), folders.path() + "/secret"}) {
    CAPTURE(path);
    CHECK(exported.Open(path).status().code() == absl::StatusCode::kPermissionDenied);
  }
}

TEST_CASE("what stays inside is served, links and '..' included") {
  const Folders folders;
  const Export exported = Export::Make(folders.root()).value();
  CHECK(exported.Open("alias").ok());
  CHECK(exported.Open("sub/../film").ok());
}

TEST_CASE("what cannot be opened is refused by name and cause") {
  const Folders folders;
  const Export exported = Export::Make(folders.root()).value();
  const absl::Status missing = exported.Open("none").status();
  CHECK(missing.code() == absl::StatusCode::kNotFound);
  CHECK(absl::StrContains(missing.message(), "none: no such file"));
  CHECK(exported.Open("film/below").status().code() == absl::StatusCode::kNotFound);
  CHECK(exported.Open("sub").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(exported.Open("").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(exported.Open("loop").status().code() == absl::StatusCode::kPermissionDenied);
  REQUIRE(mkfifo((folders.root() + "/pipe").c_str(), 0600) == 0);
  CHECK(exported.Open("pipe").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(Export::Make(folders.root() + "/film").status().code() == absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace fsd
