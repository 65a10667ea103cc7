// What clients say to logd, the log at /dev/log, besides reading and writing lines: control
// requests with structs (ipc::File::Control).
//
// Errors, as POSIX has them: EBADF: the file is not open for that. EINVAL: a severity or a length
// that there is not. Next waits for a record, or gives EAGAIN to who has opened with O_NONBLOCK.
#ifndef PARLEY_SERVERS_LOGD_PROTOCOL_H_
#define PARLEY_SERVERS_LOGD_PROTOCOL_H_

#include <cstddef>
#include <cstdint>

#include "ipc/typed.h"

namespace logd {

inline constexpr char kName[] = "/dev/log";
inline constexpr size_t kMaxTextBytes = 1024;  // of a record; a longer line becomes several

// As syslog(3) has them; kErr and what is worse is never suppressed.
enum Severity : uint32_t { kEmerg, kAlert, kCrit, kErr, kWarning, kNotice, kInfo, kDebug };
inline constexpr uint32_t kSeverities = 8;

struct AddRequest {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
  uint32_t severity = kInfo;
  uint32_t text_bytes = 0;
  char text[kMaxTextBytes] = {};
};
struct AddReply {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
  uint64_t sequence = 0;  // 0: it was suppressed
};

// The next record at this open file's place, which moves behind it; others than these are passed.
struct NextRequest {
  static constexpr ipc::MessageType kType{.code = 3, .version = 1};
  uint32_t severity = kDebug;  // that, and worse
  uint32_t reserved = 0;
};
struct NextReply {
  static constexpr ipc::MessageType kType{.code = 4, .version = 1};
  uint64_t lost = 0;  // records that were dropped before this file came to them
  uint64_t sequence = 0;
  int64_t time_ns = 0;   // since 1970
  uint32_t process = 0;  // ipc::ProcessRef's
  uint32_t pid = 0, uid = 0;
  uint32_t severity = 0;
  uint32_t text_bytes = 0;
  uint32_t reserved = 0;
  char text[kMaxTextBytes] = {};  // as it was written: common::Printable makes it safe to show
};

}  // namespace logd

#endif  // PARLEY_SERVERS_LOGD_PROTOCOL_H_
