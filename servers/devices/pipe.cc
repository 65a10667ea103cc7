// Named pipes. See pipe.h.
#include "servers/devices/pipe.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "ipc/posix.h"
#include "ipc/resource_manager.h"

namespace devices {

Pipe::End Pipe::Open(bool reads, bool writes) {
  End end = {reads, writes, 0, 0};
  // Who has left its bytes behind is as good as there.
  end.readers_before = readers_ever_ - std::min<uint64_t>(readers_, 1);
  end.writers_before = writers_ever_ - (writers_ > 0 || size() > 0 ? 1 : 0);
  if (reads) ++readers_, ++readers_ever_;
  if (writes) ++writers_, ++writers_ever_;
  return end;
}

void Pipe::Close(const End& end) {
  if (end.reads) --readers_;
  if (end.writes) --writers_;
  if (!is_open() && (end.reads || ReadersHaveGone(end))) {
    held_ = std::string();
    taken_ = 0;
  }
}

absl::StatusOr<uint64_t> Pipe::Read(const End& end, ipc::MutableBytes bytes) {
  if (bytes.empty()) return 0;
  if (size() == 0) {
    if (WritersHaveGone(end)) return 0;
    return ipc::PosixError(EAGAIN);
  }
  const uint64_t count = ipc::CopyText(held_, taken_, bytes);
  taken_ += count;
  if (taken_ == held_.size()) {
    held_.clear();
    taken_ = 0;
  }
  return count;
}

absl::StatusOr<uint64_t> Pipe::Write(const End& end, ipc::ConstBytes bytes) {
  if (ReadersHaveGone(end)) return ipc::PosixError(EPIPE);
  if (bytes.empty()) return 0;
  const size_t room = kCapacityBytes - size();
  const size_t count = std::min(bytes.size(), room);
  if (count == 0 || (count < bytes.size() && bytes.size() <= kAtomicBytes)) {
    return ipc::PosixError(EAGAIN);
  }
  // Moved to the front once there is as much to forget as to keep: a byte moves once on average.
  if (taken_ > size()) {
    held_.erase(0, taken_);
    taken_ = 0;
  }
  absl::StrAppend(&held_, ipc::TextOf(bytes.first(count)));
  return count;
}

bool Pipe::IsReadable(const End& end) const {
  return end.reads && (size() > 0 || WritersHaveGone(end));
}

bool Pipe::IsWritable(const End& end) const {
  return end.writes && (kCapacityBytes - size() >= kAtomicBytes || ReadersHaveGone(end));
}

}  // namespace devices
