// YUV4MPEG2 (.y4m): a line that describes the film, then frames, each behind a line of its own.
#ifndef PARLEY_APPS_CINEMA_Y4M_H_
#define PARLEY_APPS_CINEMA_Y4M_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace cinema {

inline constexpr std::string_view kFrameMark = "FRAME\n";
inline constexpr size_t kMaxFilmHeaderBytes = 1024;
inline constexpr int kMaxFilmSide = 8192;  // pixels

struct Film {
  int width = 0;
  int height = 0;
  int64_t frame_period_ns = 0;
  uint64_t header_bytes = 0;  // before the first frame's mark
  uint64_t frame_bytes = 0;   // of one frame, without its mark
  uint64_t frame_count = 0;

  // Where frame `index`'s mark begins; its pixels follow the mark.
  uint64_t FrameOffset(uint64_t index) const {
    return header_bytes + index * (kFrameMark.size() + frame_bytes);
  }
};

// Reads the film's description from the first bytes of a file of `file_bytes`. Only 8 bit 4:2:0 is
// taken, and frame marks without parameters. kInvalidArgument: the text says what is wrong with the
// file.
absl::StatusOr<Film> ParseFilm(std::string_view head, uint64_t file_bytes);

}  // namespace cinema

#endif  // PARLEY_APPS_CINEMA_Y4M_H_
