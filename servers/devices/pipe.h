// A named pipe: bytes that writers leave for readers, as POSIX's FIFOs have it.
//
// An open does not wait for the other side; the first read or write does. So a reader waits while
// no writer has come, and what a writer leaves behind before any reader has come stays there.
//
// Invariant: at most kCapacityBytes are held.
#ifndef PARLEY_SERVERS_DEVICES_PIPE_H_
#define PARLEY_SERVERS_DEVICES_PIPE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "ipc/bytes.h"

namespace devices {

class Pipe {
 public:
  static constexpr size_t kCapacityBytes = 64 << 10;  // full: a writer waits
  static constexpr size_t kAtomicBytes = 4096;        // PIPE_BUF: a write up to that is not divided

  // One that has the pipe open. Made by Open, handed back by Close.
  struct End {
    bool reads = false, writes = false;
    // How many had ever come before this one, less one if it found somebody there: more than these
    // have come means that it has seen somebody.
    uint64_t readers_before = 0, writers_before = 0;
  };
  End Open(bool reads, bool writes);
  void Close(const End& end);

  // 0: all writers have gone. EAGAIN: wait for one, or for what it writes.
  absl::StatusOr<uint64_t> Read(const End& end, ipc::MutableBytes bytes);
  // As many as there is room for, and all of a write up to kAtomicBytes. EAGAIN: no room. EPIPE:
  // all readers have gone.
  absl::StatusOr<uint64_t> Write(const End& end, ipc::ConstBytes bytes);
  // Whether a read, or an atomic write, would not wait.
  bool IsReadable(const End& end) const;
  bool IsWritable(const End& end) const;

  size_t size() const { return held_.size() - taken_; }
  bool is_open() const { return readers_ + writers_ > 0; }

 private:
  bool WritersHaveGone(const End& end) const {
    return writers_ == 0 && writers_ever_ != end.writers_before;
  }
  bool ReadersHaveGone(const End& end) const {
    return readers_ == 0 && readers_ever_ != end.readers_before;
  }

  std::string held_;
  size_t taken_ = 0;  // of held_'s beginning: read already
  uint64_t readers_ = 0, writers_ = 0;
  uint64_t readers_ever_ = 0, writers_ever_ = 0;
};

}  // namespace devices

#endif  // PARLEY_SERVERS_DEVICES_PIPE_H_
