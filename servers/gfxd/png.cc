// PNG by libpng's simplified interface. See png.h.
#include "servers/gfxd/png.h"

#include <png.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"

namespace gfxd {

absl::StatusOr<std::string> EncodePng(Picture picture) {
  std::vector<uint8_t> rgb;
  ToRgb(picture, rgb);
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_RGB;
  image.flags = PNG_IMAGE_FLAG_FAST;
  std::string encoded(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t bytes = encoded.size();
  if (png_image_write_to_memory(&image, encoded.data(), &bytes, /*convert_to_8bit=*/0, rgb.data(),
                                0, nullptr) == 0) {
    return absl::InternalError(absl::StrCat("cannot encode the picture: ", image.message));
  }
  encoded.resize(bytes);
  return encoded;
}

absl::Status WritePng(const std::string& path, Picture picture) {
  const auto encoded = EncodePng(picture);
  if (!encoded.ok()) {
    return absl::UnavailableError(absl::StrCat(path, ": ", encoded.status().message()));
  }
  const std::string draft = absl::StrCat(path, ".part");
  std::FILE* file = std::fopen(draft.c_str(), "wb");
  bool written =
      file != nullptr && std::fwrite(encoded->data(), 1, encoded->size(), file) == encoded->size();
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (written && std::rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
  const std::string why = std::strerror(errno);
  std::remove(draft.c_str());
  return absl::UnavailableError(absl::StrCat(path, ": cannot write the picture: ", why));
}

}  // namespace gfxd
