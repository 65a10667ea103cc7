// Pictures as PNG files, by libpng.
#ifndef PARLEY_SERVERS_GFXD_PNG_H_
#define PARLEY_SERVERS_GFXD_PNG_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "servers/gfxd/pixel.h"

namespace gfxd {

// The picture, without its alpha, as the bytes of a PNG file. kInternal: libpng's own words.
absl::StatusOr<std::string> EncodePng(Picture picture);

// Writes the picture, without its alpha, to `path`: whole or not at all (a file beside it that is
// renamed at the end). kUnavailable: the file cannot be written; the text names it and says why.
absl::Status WritePng(const std::string& path, Picture picture);

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_PNG_H_
