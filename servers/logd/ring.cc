// The ring of records. See ring.h.
#include "servers/logd/ring.h"

#include <utility>

namespace logd {

uint64_t Ring::Add(Record record) {
  record.sequence = next_++;
  bytes_ += CostBytes(record);
  records_.push_back(std::move(record));
  while (bytes_ > max_bytes_) {
    bytes_ -= CostBytes(records_.front());
    records_.pop_front();
  }
  return next_ - 1;
}

const Record* Ring::Find(Cursor& cursor) const {
  const uint64_t oldest = next_ - records_.size();
  if (cursor.next < oldest) {
    cursor.lost += oldest - cursor.next;
    cursor.next = oldest;
  }
  return IsAtEnd(cursor) ? nullptr : &records_[cursor.next - oldest];
}

}  // namespace logd
