// Tests of servers/gfxd/png.h.
#include <doctest/doctest.h>
#include <png.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "servers/gfxd/png.h"

namespace gfxd {
namespace {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "parley-png-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  bool empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::string path_;
};

TEST_CASE("a picture that is written as PNG reads back the same") {
  const TemporaryFolder folder;
  const std::string path = folder.File("picture.png");
  const Pixel pixels[] = {Rgba(1, 2, 3), Rgba(255, 0, 128), Rgba(9, 8, 7), Rgba(0, 0, 0)};
  REQUIRE(WritePng(path, {pixels, 2, 2}).ok());

  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_file(&image, path.c_str()) != 0);
  CHECK(image.width == 2);
  CHECK(image.height == 2);
  image.format = PNG_FORMAT_RGBA;
  std::vector<uint8_t> bytes(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, bytes.data(), 0, nullptr) != 0);
  CHECK(bytes == std::vector<uint8_t>{1, 2, 3, 255, 255, 0, 128, 255, 9, 8, 7, 255, 0, 0, 0, 255});
}

TEST_CASE("a picture's bytes are those of its file") {
  const Pixel pixels[] = {Rgba(1, 2, 3), Rgba(255, 0, 128)};
  const std::string bytes = EncodePng({pixels, 2, 1}).value();
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0);
  CHECK(image.width == 2);
  CHECK(image.height == 1);
  png_image_free(&image);
}

TEST_CASE("a picture that cannot be written leaves nothing and names its path") {
  const TemporaryFolder folder;
  const Pixel pixel = 0;
  const absl::Status status = WritePng(folder.File("none/picture.png"), {&pixel, 1, 1});
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StrContains(status.message(), "none/picture.png"));
  CHECK(folder.empty());
}

}  // namespace
}  // namespace gfxd
