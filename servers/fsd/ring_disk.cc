// The host's disk, by io_uring.
//
// What Linux has in memory is over when it has been submitted, and is answered then. For the rest
// an eventfd tells when something has ended: while a transfer is under way, Linux signals it for
// each that ends, but not for what Begin takes itself. (Linux could also signal only what it counts
// as asynchronous. That leaves out what a worker of its own has begun and this thread then ends
// unawares: each read that had to wait for a disk, and each error.)
#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "ipc/dispatcher.h"
#include "servers/common/descriptor.h"
#include "servers/fsd/disk.h"

namespace fsd {
namespace {

// Under way at a time; those beyond wait here, where a higher priority can overtake them.
constexpr unsigned kMostUnderWay = 128;
constexpr int kInterruptPriority = 200;

class RingDisk final : public Disk {
 public:
  RingDisk() : begun_(kMostUnderWay) {
    for (uint32_t i = 0; i < kMostUnderWay; ++i) free_.push_back(kMostUnderWay - 1 - i);
  }
  ~RingDisk() override {
    if (is_up_) io_uring_queue_exit(&ring_);
  }

  absl::Status SetUp(const ipc::Channel& channel) {
    const int made = io_uring_queue_init(kMostUnderWay, &ring_, 0);
    if (made < 0) return ipc::PosixError(-made, "io_uring");
    is_up_ = true;
    event_ = common::Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event_.valid()) return ipc::PosixError(errno, "eventfd");
    const int told = io_uring_register_eventfd(&ring_, event_.number());
    if (told < 0) return ipc::PosixError(-told, "io_uring");
    auto watch = ipc::Dispatcher(channel).Watch(event_.number(), ipc::Readiness::kReadable,
                                                kInterruptPriority);
    if (!watch.ok()) return watch.status();
    watch_.emplace(*std::move(watch));
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Begin(ipc::FileCall& call, const Transfer& transfer) override {
    if (free_.empty()) {
      waiting_.emplace(std::pair(-call.from().priority, next_arrival_++),
                       Begun{transfer, 0, call.Defer()});
      return ipc::Deferred();
    }
    // Not every Linux can; then there are signals too many.
    io_uring_cq_eventfd_toggle(&ring_, false);
    const uint32_t slot = Issue({transfer, 0, std::nullopt});
    auto over = Harvest(slot);
    if (IsUnderWay()) {
      // From here on it is signalled; what has ended since the last look was not. The other side of
      // the barrier is Linux's, between the entry that it makes and its look at this flag.
      io_uring_cq_eventfd_toggle(&ring_, true);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      auto late = Harvest(over ? kMostUnderWay : slot);
      if (!over) over = std::move(late);
    }
    if (over) return *std::move(over);
    begun_[slot].deferral.emplace(call.Defer());
    return ipc::Deferred();
  }

  void GoOn() override {
    eventfd_t count = 0;
    eventfd_read(event_.number(), &count);
    Harvest(kMostUnderWay);
  }

 private:
  struct Begun {
    Transfer transfer;
    uint64_t done = 0;
    std::optional<ipc::Deferral> deferral;  // none: its Begin is still running
  };
  using Outcome = std::optional<absl::StatusOr<uint64_t>>;

  bool IsUnderWay() const { return free_.size() < kMostUnderWay; }

  uint32_t Issue(Begun begun) {
    const uint32_t slot = free_.back();
    free_.pop_back();
    begun_[slot] = std::move(begun);
    Submit(slot);
    return slot;
  }

  // What is left of it. The ring has as many entries as there are slots.
  void Submit(uint32_t slot) {
    const Begun& begun = begun_[slot];
    const Transfer& transfer = begun.transfer;
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    std::byte* const bytes = transfer.bytes + begun.done;
    const auto length =
        static_cast<unsigned>(std::min<uint64_t>(transfer.length - begun.done, uint64_t{1} << 30));
    const uint64_t offset = transfer.offset + begun.done;
    if (transfer.kind == Transfer::Kind::kRead) {
      io_uring_prep_read(entry, transfer.descriptor, bytes, length, offset);
    } else if (transfer.kind == Transfer::Kind::kWrite) {
      io_uring_prep_write(entry, transfer.descriptor, bytes, length, offset);
    } else {
      io_uring_prep_fsync(entry, transfer.descriptor, 0);
    }
    io_uring_sqe_set_data64(entry, slot);
    int submitted = 0;  // negative: Linux is out of memory for the moment, or was interrupted
    do {
      submitted = io_uring_submit(&ring_);
    } while (submitted == -EINTR || submitted == -EAGAIN);
  }

  // Ends what is over, and begins what can be. The outcome of `wanted`, if that is over.
  Outcome Harvest(uint32_t wanted) {
    Outcome outcome;
    io_uring_cqe* entry = nullptr;
    while (io_uring_peek_cqe(&ring_, &entry) == 0) {
      const auto slot = static_cast<uint32_t>(entry->user_data);
      const int result = entry->res;
      io_uring_cqe_seen(&ring_, entry);
      auto over = Take(begun_[slot], result);
      if (!over) {
        Submit(slot);
        continue;
      }
      std::optional<ipc::Deferral> deferral = std::move(begun_[slot].deferral);
      begun_[slot] = {};
      free_.push_back(slot);
      if (slot == wanted) {
        outcome = std::move(over);
        wanted = kMostUnderWay;  // another may have the slot from now on
      } else {
        deferral->Finish(*std::move(over));
      }
      if (!waiting_.empty()) Issue(std::move(waiting_.extract(waiting_.begin()).mapped()));
    }
    return outcome;
  }

  // What a completion means: nothing, if it is to go on. A file of the host's gives less than it
  // was asked for at its end, but also when it is interrupted.
  static Outcome Take(Begun& begun, int result) {
    if (result == -EINTR || result == -EAGAIN) return std::nullopt;
    if (result < 0 && begun.done == 0) return ipc::PosixError(-result);
    if (result > 0) begun.done += static_cast<uint64_t>(result);
    if (result <= 0 || begun.done == begun.transfer.length) return begun.done;
    return std::nullopt;
  }

  io_uring ring_ = {};
  bool is_up_ = false;
  common::Descriptor event_;
  std::optional<ipc::DescriptorWatch> watch_;
  std::vector<Begun> begun_;
  std::vector<uint32_t> free_;  // of begun_
  uint64_t next_arrival_ = 0;
  std::map<std::pair<int, uint64_t>, Begun> waiting_;  // by (-priority, arrival)
};

}  // namespace

absl::StatusOr<std::unique_ptr<Disk>> MakeRingDisk(const ipc::Channel& channel) {
  auto disk = std::make_unique<RingDisk>();
  absl::Status is_up = disk->SetUp(channel);
  if (!is_up.ok()) return is_up;
  return disk;
}

}  // namespace fsd
