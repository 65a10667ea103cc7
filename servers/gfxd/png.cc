// PNG by libpng's simplified interface. See png.h.
#include "servers/gfxd/png.h"

#include <png.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"

namespace gfxd {

absl::Status WritePng(const std::string& path, Picture picture) {
  std::vector<uint8_t> rgb;
  ToRgb(picture, rgb);
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_RGB;

  const std::string draft = absl::StrCat(path, ".part");
  errno = 0;
  const int written =
      png_image_write_to_file(&image, draft.c_str(), /*convert_to_8bit=*/0, rgb.data(), 0, nullptr);
  if (written != 0 && std::rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
  const std::string why = errno != 0 ? std::strerror(errno) : image.message;
  std::remove(draft.c_str());
  return absl::UnavailableError(absl::StrCat(path, ": cannot write the picture: ", why));
}

}  // namespace gfxd
