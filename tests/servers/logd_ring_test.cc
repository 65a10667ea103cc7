// The ring of records beside a list of all, and the rate limit beside a bucket that counts.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "servers/logd/rate_limit.h"
#include "servers/logd/ring.h"
#include "tests/core/drive.h"

namespace {

using logd::Cursor;
using logd::RateLimit;
using logd::Record;
using logd::Ring;
using tests::Choices;
using tests::Size;

class RingRig {
 public:
  static size_t Cost(const std::string& text) { return Ring::CostBytes({0, 0, {}, 0, text}); }

  RingRig(Size size, Choices&)
      : small_(size == Size::kSmall),
        max_bytes_(Cost("") * (size == Size::kSmall ? 2 : 40) + 10),
        ring_(max_bytes_) {}

  void Step(Choices& choices) {
    switch (choices.Below(4)) {
      case 0:
        if (readers_.size() < 4) readers_.push_back({ring_.Begin(), Oldest(), 0});
        break;
      case 1:
        if (!readers_.empty()) Read(choices);
        break;
      default:
        Add(small_ ? std::string(choices.Below(2) * 9, 'x')
                   : std::string(choices.Below(10), 'a' + static_cast<char>(choices.Below(26))));
    }
    size_t bytes = 0;
    for (size_t i = Oldest(); i < all_.size(); ++i) bytes += Cost(all_[i]);
    REQUIRE(ring_.bytes() == bytes);
    REQUIRE(bytes <= max_bytes_);
  }

 private:
  struct Reader {
    Cursor cursor;
    size_t next, lost;
  };

  // As many of the newest as there is room for.
  size_t Oldest() const {
    size_t oldest = all_.size();
    for (size_t bytes = 0; oldest > 0; --oldest) {
      bytes += Cost(all_[oldest - 1]);
      if (bytes > max_bytes_) break;
    }
    return oldest;
  }

  void Add(const std::string& text) {
    all_.push_back(text);
    REQUIRE(ring_.Add({0, 7, {}, 3, text}) == all_.size());
  }

  void Read(Choices& choices) {
    Reader& reader = choices.OneOf(readers_);
    if (reader.next < Oldest()) {
      reader.lost += Oldest() - reader.next;
      reader.next = Oldest();
    }
    const Record* record = ring_.Find(reader.cursor);
    REQUIRE(reader.cursor.lost == reader.lost);
    REQUIRE((record == nullptr) == (reader.next == all_.size()));
    REQUIRE(ring_.IsAtEnd(reader.cursor) == (record == nullptr));
    if (record == nullptr) return;
    REQUIRE(record->text == all_[reader.next]);
    REQUIRE(record->sequence == ++reader.next);
    ++reader.cursor.next;
    if (choices.Below(2) == 0) reader.lost = reader.cursor.lost = 0;
  }

  const bool small_;
  const size_t max_bytes_;
  Ring ring_;
  std::vector<std::string> all_;
  std::vector<Reader> readers_;
};

TEST_CASE("the ring of records does what its model does, at random") {
  tests::DriveAtRandom<RingRig>(tests::kRandomOperations / 10);
}

TEST_CASE("the ring of records does what its model does, in every short sequence") {
  tests::DriveThroughAll<RingRig>(6);
}

class LimitRig {
 public:
  LimitRig(Size size, Choices&) : processes_(size == Size::kSmall ? 1 : 3) {}

  void Step(Choices& choices) {
    if (choices.Below(50) == 0) now_ns_ += choices.Below(2'000'000'000);
    if (choices.Below(2) == 0) now_ns_ += choices.Below(20'000'000);
    if (choices.Below(1000) == 0) return Take();
    const uint32_t process = 1 + choices.Below(processes_);
    Bucket& bucket = buckets_.try_emplace(process, Bucket{now_ns_}).first->second;
    const int64_t more = (now_ns_ - bucket.at_ns) * RateLimit::kRecordsPerSecond;
    bucket.billionths = std::min(bucket.billionths + more, RateLimit::kBurstRecords * kRecord);
    bucket.at_ns = now_ns_;
    const bool admitted = bucket.billionths >= kRecord;
    REQUIRE(limit_.Admit({process, process + 100, 5}, now_ns_) == admitted);
    bucket.billionths -= admitted ? kRecord : 0;
    bucket.suppressed += admitted ? 0 : 1;
  }

 private:
  static constexpr int64_t kRecord = 1'000'000'000;
  struct Bucket {
    int64_t at_ns;
    int64_t billionths = RateLimit::kBurstRecords * kRecord;  // of a record
    uint64_t suppressed = 0;
  };

  void Take() {
    size_t taken = 0;
    for (const RateLimit::Suppressed& suppressed : limit_.TakeSuppressed()) {
      Bucket& bucket = buckets_.at(suppressed.writer.process);
      REQUIRE(suppressed.writer.pid == suppressed.writer.process + 100);
      REQUIRE(suppressed.records == bucket.suppressed);
      bucket.suppressed = 0;
      ++taken;
    }
    for (const auto& [process, bucket] : buckets_) REQUIRE(bucket.suppressed == 0);
    REQUIRE(taken <= buckets_.size());
  }

  const uint32_t processes_;
  int64_t now_ns_ = 0;
  RateLimit limit_;
  std::map<uint32_t, Bucket> buckets_;
};

TEST_CASE("the rate limit does what its model does, at random") {
  tests::DriveAtRandom<LimitRig>(tests::kRandomOperations / 5);
}

TEST_CASE("the rate limit knows so many processes, and forgets the one that has written least") {
  RateLimit limit;
  for (int64_t i = 0; i < RateLimit::kBurstRecords + 7; ++i) {
    CHECK(limit.Admit({1, 1, 0}, 0) == (i < RateLimit::kBurstRecords));
  }
  for (uint32_t process = 2; process < 2 * RateLimit::kMaxProcesses; ++process) {
    CHECK(limit.Admit({process, process, 0}, 1));
    CHECK(limit.size() <= RateLimit::kMaxProcesses);
  }
  CHECK_FALSE(limit.Admit({1, 1, 0}, 2));
  const auto suppressed = limit.TakeSuppressed();
  REQUIRE(suppressed.size() == 1);
  CHECK(suppressed[0].writer.process == 1);
  CHECK(suppressed[0].records == 8);
}

TEST_CASE("what was suppressed of a forgotten process is told without its name") {
  RateLimit limit;
  for (uint32_t process = 1; process <= RateLimit::kMaxProcesses + 1; ++process) {
    for (int64_t i = 0; i <= RateLimit::kBurstRecords; ++i) limit.Admit({process, 0, 0}, 0);
  }
  const auto suppressed = limit.TakeSuppressed();
  REQUIRE(suppressed.size() == RateLimit::kMaxProcesses + 1);
  CHECK(suppressed.back().writer.process == 0);
  CHECK(suppressed.back().records == 1);
}

}  // namespace
