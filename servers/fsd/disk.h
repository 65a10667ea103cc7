// Where fsd's reads and writes go: the host's disk by io_uring, or one whose speed is given.
//
// Either takes them in the order of their priority and, within one, of their arrival.
//
// Threads: one at a time.
#ifndef PARLEY_SERVERS_FSD_DISK_H_
#define PARLEY_SERVERS_FSD_DISK_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "ipc/resource_manager.h"

namespace fsd {

// Between a file and memory. Both stay as they are until it is over.
struct Transfer {
  enum class Kind : uint8_t { kRead, kWrite, kSync };
  Kind kind = Kind::kRead;
  int descriptor = -1;
  uint64_t offset = 0;
  std::byte* bytes = nullptr;
  uint64_t length = 0;
};

inline Transfer ReadOf(int descriptor, const ipc::ReadPiece& piece) {
  return {.descriptor = descriptor,
          .offset = piece.offset,
          .bytes = piece.bytes.data(),
          .length = piece.bytes.size()};
}
// Makes it, waiting for the disk; how many bytes: fewer at the file's end. PosixError.
absl::StatusOr<uint64_t> MakeTransfer(const Transfer& transfer);

class Disk {
 public:
  virtual ~Disk() = default;
  // Makes the transfer, or defers the call until it is made.
  virtual absl::StatusOr<uint64_t> Begin(ipc::FileCall& call, const Transfer& transfer) = 0;
  // The same with several reads of one file.
  virtual void BeginReads(int descriptor, absl::Span<ipc::ReadPiece> pieces) {
    for (ipc::ReadPiece& piece : pieces) piece.count = Begin(piece.call, ReadOf(descriptor, piece));
  }
  // Its timer's pulse has come, or its descriptor is ready.
  virtual void GoOn() = 0;
};

// One transfer at a time, so many million bytes a second; 0: in no time.
absl::StatusOr<std::unique_ptr<Disk>> MakeTimedDisk(ipc::Process& self, const ipc::Channel& channel,
                                                    uint64_t megabytes_per_second);
// The host's. Not every Linux permits io_uring: PosixError.
absl::StatusOr<std::unique_ptr<Disk>> MakeRingDisk(const ipc::Channel& channel);

}  // namespace fsd

#endif  // PARLEY_SERVERS_FSD_DISK_H_
