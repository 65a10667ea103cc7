// The host's disk, by io_uring.
//
// What Linux has in memory is read at once, or is over when it has been submitted, and is answered
// then. For the rest an eventfd tells when something has ended: it is on while something is under
// way and nobody looks. (Linux can tell by itself only of what its own threads have ended, and most
// reads of a disk end in this thread, while it sleeps in another call.)
#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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
    Outcome outcome = ReadNow(transfer);
    if (outcome) return *std::move(outcome);
    const auto slot = Prepare(call, transfer, outcome);
    Proceed();
    if (outcome) return *std::move(outcome);
    if (slot) Leave(*slot, call);
    return ipc::Deferred();
  }

  // With one submission for all of them.
  void BeginReads(int descriptor, absl::Span<ipc::ReadPiece> pieces) override {
    std::array<Outcome, ipc::files::kMaxOperations> outcomes;
    std::array<std::optional<uint32_t>, ipc::files::kMaxOperations> slots;
    for (size_t i = 0; i < pieces.size(); ++i) {
      slots[i] = Prepare(pieces[i].call, ReadOf(descriptor, pieces[i]), outcomes[i]);
    }
    Proceed();
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (outcomes[i]) {
        pieces[i].count = *std::move(outcomes[i]);
      } else if (slots[i]) {
        Leave(*slots[i], pieces[i].call);
      }
    }
  }

  void GoOn() override {
    eventfd_t count = 0;
    eventfd_read(event_.number(), &count);
    Harvest();
  }

 private:
  using Outcome = std::optional<absl::StatusOr<uint64_t>>;
  struct Begun {
    Transfer transfer;
    uint64_t done = 0;
    std::optional<ipc::Deferral> deferral = std::nullopt;
    Outcome* outcome = nullptr;  // instead, while its Begin is still running
  };

  // A read of what Linux has in memory takes one call that does not wait, with less around it than
  // the ring has. Nothing: the ring is to make it.
  static Outcome ReadNow(const Transfer& transfer) {
    if (transfer.kind != Transfer::Kind::kRead) return std::nullopt;
    const iovec into = {transfer.bytes, transfer.length};
    const ssize_t count =
        preadv2(transfer.descriptor, &into, 1, static_cast<off_t>(transfer.offset), RWF_NOWAIT);
    const bool all = count >= 0 && static_cast<uint64_t>(count) == transfer.length;
    if (!all && count != 0) return std::nullopt;
    return static_cast<uint64_t>(count);
  }

  // Its slot, to be submitted; none: it has been deferred, and has to wait for one.
  std::optional<uint32_t> Prepare(ipc::FileCall& call, const Transfer& transfer, Outcome& outcome) {
    if (!free_.empty()) return Issue({.transfer = transfer, .outcome = &outcome});
    waiting_.emplace(std::pair(-call.from().priority, next_arrival_++),
                     Begun{.transfer = transfer, .deferral = call.Defer()});
    return std::nullopt;
  }

  // It is not over, and its Begin is.
  void Leave(uint32_t slot, ipc::FileCall& call) {
    begun_[slot].outcome = nullptr;
    begun_[slot].deferral.emplace(call.Defer());
  }

  uint32_t Issue(Begun begun) {
    const uint32_t slot = free_.back();
    free_.pop_back();
    begun_[slot] = std::move(begun);
    Enter(slot);
    return slot;
  }

  // What is left of it. The ring has as many entries as there are slots.
  void Enter(uint32_t slot) {
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
  }

  // Begins what has been entered, ends what is over, and sees to it that the rest is heard of. Not
  // every Linux can leave signals out; then there are some too many.
  void Proceed() {
    io_uring_cq_eventfd_toggle(&ring_, false);
    Submit();
    Harvest();
    if (free_.size() == kMostUnderWay) return;
    // From here on it is signalled; what has ended just before was not. The other side of the
    // barrier is Linux's, between the entry that it makes and its look at this flag; so it is the
    // processor's, not one of the language, which the thread sanitizer does not know.
    io_uring_cq_eventfd_toggle(&ring_, true);
    __sync_synchronize();
    Harvest();
  }

  // All that has been entered.
  void Submit() {
    while (io_uring_sq_ready(&ring_) > 0) {
      const int submitted = io_uring_submit(&ring_);
      // Negative: Linux is out of memory for the moment, or was interrupted.
      if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN) break;
    }
  }

  // Ends what is over, and begins what can be.
  void Harvest() {
    io_uring_cqe* entry = nullptr;
    while (io_uring_peek_cqe(&ring_, &entry) == 0) {
      const auto slot = static_cast<uint32_t>(entry->user_data);
      const int result = entry->res;
      io_uring_cqe_seen(&ring_, entry);
      End(slot, result);
      // Before the next look: what was begun may be over at once.
      Submit();
    }
  }

  void End(uint32_t slot, int result) {
    Begun& begun = begun_[slot];
    Outcome over = Take(begun, result);
    if (!over) return Enter(slot);
    std::optional<ipc::Deferral> deferral = std::exchange(begun.deferral, std::nullopt);
    Outcome* const outcome = begun.outcome;
    free_.push_back(slot);
    if (outcome != nullptr) {
      *outcome = std::move(over);
    } else {
      deferral->Finish(*std::move(over));
    }
    if (!waiting_.empty()) Issue(std::move(waiting_.extract(waiting_.begin()).mapped()));
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
