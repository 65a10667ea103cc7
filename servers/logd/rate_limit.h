// How much each process may write to the log: a bucket of so many records that fills again at a
// steady rate.
#ifndef PARLEY_SERVERS_LOGD_RATE_LIMIT_H_
#define PARLEY_SERVERS_LOGD_RATE_LIMIT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "servers/logd/ring.h"

namespace logd {

class RateLimit {
 public:
  static constexpr int64_t kBurstRecords = 500;      // a bucket that is full
  static constexpr int64_t kRecordsPerSecond = 100;  // fill it
  // Of processes with a bucket; then the fullest bucket is forgotten, which most often is one that
  // is full, so that nobody gains by it.
  static constexpr size_t kMaxProcesses = 1024;

  // What was kept out of the log of one process; of process 0: of forgotten ones.
  struct Suppressed {
    Writer writer;
    uint64_t records = 0;
  };

  // False: it is suppressed, and counted. `now_ns` never goes back.
  bool Admit(const Writer& writer, int64_t now_ns);
  // What was since the last time.
  std::vector<Suppressed> TakeSuppressed();

  size_t size() const { return buckets_.size(); }

 private:
  static constexpr int64_t kNsPerRecord = 1'000'000'000 / kRecordsPerSecond;
  struct Bucket {
    int64_t full_ns = 0;  // when it is full again: each record puts it off
    Suppressed suppressed;
  };
  void ForgetOne();

  std::map<uint32_t, Bucket> buckets_;  // by process
  uint64_t forgotten_records_ = 0;      // suppressed
};

}  // namespace logd

#endif  // PARLEY_SERVERS_LOGD_RATE_LIMIT_H_
