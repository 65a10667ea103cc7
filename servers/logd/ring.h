// The records of the log, the newest of them: a bound in bytes, and the oldest make room.
//
// Records are numbered from 1 on without gaps, so a reader that finds another number than it waits
// for knows how many it has lost.
#ifndef PARLEY_SERVERS_LOGD_RING_H_
#define PARLEY_SERVERS_LOGD_RING_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace logd {

// Who has written a record, as the kernel vouches for it.
struct Writer {
  uint32_t process = 0;  // ipc::ProcessRef's; 0: several
  uint32_t pid = 0, uid = 0;
};

struct Record {
  uint64_t sequence = 0;
  int64_t time_ns = 0;  // since 1970
  Writer writer;
  uint32_t severity = 0;
  std::string text;
};

// A reader's place in the log.
struct Cursor {
  uint64_t next = 1;  // the sequence number that it waits for
  uint64_t lost = 0;  // dropped before it came to them; whoever tells so sets it to 0
};

class Ring {
 public:
  // REQUIRES: at least CostBytes of the longest record.
  explicit Ring(size_t max_bytes) : max_bytes_(max_bytes) {}

  static size_t CostBytes(const Record& record) { return sizeof(Record) + record.text.size(); }

  // Gives it its number, which it returns.
  uint64_t Add(Record record);
  // A cursor at the oldest.
  Cursor Begin() const { return {next_ - records_.size(), 0}; }
  // What the cursor waits for, or the oldest after what it has lost; null: not there yet. Valid
  // until Add.
  const Record* Find(Cursor& cursor) const;
  bool IsAtEnd(const Cursor& cursor) const { return cursor.next == next_; }

  size_t bytes() const { return bytes_; }

 private:
  const size_t max_bytes_;
  size_t bytes_ = 0;
  uint64_t next_ = 1;
  std::deque<Record> records_;  // the last one's number is next_ - 1
};

}  // namespace logd

#endif  // PARLEY_SERVERS_LOGD_RING_H_
