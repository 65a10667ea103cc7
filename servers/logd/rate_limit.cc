// The rate limit. See rate_limit.h.
#include "servers/logd/rate_limit.h"

#include <algorithm>
#include <utility>

namespace logd {

bool RateLimit::Admit(const Writer& writer, int64_t now_ns) {
  auto found = buckets_.find(writer.process);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kMaxProcesses) ForgetOne();
    found = buckets_.emplace(writer.process, Bucket{now_ns, {writer, 0}}).first;
  }
  Bucket& bucket = found->second;
  const int64_t full_ns = std::max(bucket.full_ns, now_ns) + kNsPerRecord;
  if (full_ns - now_ns > kBurstRecords * kNsPerRecord) {
    ++bucket.suppressed.records;
    return false;
  }
  bucket.full_ns = full_ns;
  return true;
}

void RateLimit::ForgetOne() {
  const auto fullest = std::min_element(
      buckets_.begin(), buckets_.end(),
      [](const auto& a, const auto& b) { return a.second.full_ns < b.second.full_ns; });
  forgotten_records_ += fullest->second.suppressed.records;
  buckets_.erase(fullest);
}

std::vector<RateLimit::Suppressed> RateLimit::TakeSuppressed() {
  std::vector<Suppressed> taken;
  for (auto& [process, bucket] : buckets_) {
    if (bucket.suppressed.records == 0) continue;
    taken.push_back(bucket.suppressed);
    bucket.suppressed.records = 0;
  }
  if (forgotten_records_ > 0) taken.push_back({{}, std::exchange(forgotten_records_, 0)});
  return taken;
}

}  // namespace logd
