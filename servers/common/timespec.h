// Times of files: nanoseconds since 1970, and as the host has them.
#ifndef PARLEY_SERVERS_COMMON_TIMESPEC_H_
#define PARLEY_SERVERS_COMMON_TIMESPEC_H_

#include <time.h>

#include <cstdint>

namespace common {

inline int64_t ToNs(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

inline timespec ToTimespec(int64_t ns) {
  timespec time = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  if (time.tv_nsec < 0) {  // before 1970
    --time.tv_sec;
    time.tv_nsec += 1'000'000'000;
  }
  return time;
}

}  // namespace common

#endif  // PARLEY_SERVERS_COMMON_TIMESPEC_H_
