// Regions: memory that messages refer to instead of carrying it, granted by token (R1 to R10).
//
// A Region is this process's hold on one: the one it created and owns, or one that somebody granted
// it. A Lease is a range that came with a message and is valid until the reply. Both give out
// addresses only while they may be touched; that check is one load (R6). Whoever keeps an address
// longer is on its own: a touch after the end of the right is caught on the simulated kernel and
// reported with process, region and rule.
//
// Threads: a Region or Lease may be used from several threads, but closed or moved by one only when
// no other uses it.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_REGION_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_REGION_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "ipc/bytes.h"
#include "ipc/token.h"

namespace parley {
class Kernel;
}

namespace ipc {

// What a grant allows. Writing includes reading; granting on can be added to either.
enum class Access : uint8_t {
  kRead = 1,
  kReadWrite = 3,
  kReadAndGrant = 5,
  kReadWriteAndGrant = 7,
};

// R5: a range of a region in a message, and what the server may do with it. A value; made by
// Region.
struct RegionReference {
  enum class Direction : uint8_t { kIn = 1, kOut = 2, kInOut = 3 };
  uint32_t region = 0;
  uint64_t offset = 0;
  uint64_t length = 0;  // bytes
  Direction direction = Direction::kIn;
};

// An address range with the word that tells whether it may still be touched. Base of Region and
// Lease.
class MappedRange {
 public:
  // The bytes to read; empty once the right to touch them has ended, and for those who hold
  // nothing. Never blocks.
  ConstBytes read() const { return live() ? ConstBytes(address_, length_) : ConstBytes(); }
  // The bytes to write; empty also where only reading is allowed.
  MutableBytes write() const {
    return writable_ && live() ? MutableBytes(address_, length_) : MutableBytes();
  }
  uint64_t size() const { return length_; }  // bytes
  bool writable() const { return writable_; }
  // Acquire: pairs with the kernel's release when it ends the right, see read() and write().
  bool live() const {
    return live_ != nullptr && live_->load(std::memory_order_acquire) == live_value_;
  }

 protected:
  MappedRange() = default;
  MappedRange(MappedRange&& other) noexcept
      : address_(other.address_),
        length_(other.length_),
        live_(std::exchange(other.live_, nullptr)),
        live_value_(other.live_value_),
        writable_(other.writable_) {}

  std::byte* address_ = nullptr;
  uint64_t length_ = 0;
  const std::atomic<uint64_t>* live_ = nullptr;
  uint64_t live_value_ = 0;
  bool writable_ = false;
};

class [[nodiscard]] Region : public MappedRange {
 public:
  static constexpr uint64_t kAll = ~uint64_t{0};

  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  // Unmaps it. The owner's ends the region once the leases in flight have ended (R8); all grants
  // die with it.
  ~Region();

  // For CallOptions::regions: lets the server of that call read, write, or both, until it replies
  // (R5). `length` kAll is up to the end. The calling thread is blocked meanwhile, so nobody
  // changes the bytes under the server.
  RegionReference In(uint64_t offset = 0, uint64_t length = kAll) const;
  RegionReference Out(uint64_t offset = 0, uint64_t length = kAll) const;
  RegionReference InOut(uint64_t offset = 0, uint64_t length = kAll) const;

  // R2, R3: a token with which `holder` alone can redeem a page-aligned range (bytes). Never
  // blocks. kNotPermitted: more than this hold has, or writing where others may not. kLeaseEnded:
  // revoked. kNoSuchName: no such process. kInvalidArgument: no whole pages within the region.
  absl::StatusOr<Token> Grant(ProcessRef holder, Access access, uint64_t offset = 0,
                              uint64_t length = kAll) const;
  // R4: immutable for everyone, for ever. By the owner. kNotPermitted: not the owner. kContested: a
  // lease to write is in flight.
  absl::Status Freeze();
  // R7: by the owner: every grant and lease dies, and the contents are from now on in memory that
  // nobody else maps, at the same address. kNotPermitted: not the owner. kQuotaExhausted: no
  // memory.
  absl::Status Reclaim();
  // R5: kContested while a server may still be writing for a client that has left. kLeaseEnded:
  // revoked.
  absl::Status Check() const;

 private:
  friend class Process;
  Region(parley::Kernel* kernel, uint32_t handle) : kernel_(kernel), handle_(handle) {}
  RegionReference Refer(uint64_t offset, uint64_t length,
                        RegionReference::Direction direction) const;

  parley::Kernel* kernel_;
  uint32_t handle_;
};

// R5: a range that the sender of a message let us use. Valid until the reply; dies with the
// message, when the client leaves, and when the owner revokes: then read() and write() are empty
// (R9: never a fault).
class [[nodiscard]] Lease : public MappedRange {
 public:
  Lease(Lease&&) noexcept = default;

 private:
  friend class Message;
  Lease() = default;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_REGION_H_
