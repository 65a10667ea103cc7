// A disk of a given speed.
#include <unistd.h>

#include <cerrno>
#include <map>
#include <utility>

#include "servers/fsd/device.h"
#include "servers/fsd/disk.h"

namespace fsd {
namespace {

constexpr int kInterruptPriority = 200;  // a finished transfer frees the device for the next

class TimedDisk final : public Disk {
 public:
  TimedDisk(ipc::Process& self, ipc::Timer timer, uint64_t bytes_per_second)
      : self_(self), timer_(std::move(timer)), device_(bytes_per_second) {}

  absl::StatusOr<uint64_t> Begin(ipc::FileCall& call, const Transfer& transfer) override {
    const uint64_t ticket = ++last_ticket_;
    device_.Submit(ticket, call.from().priority, transfer.length, now_ns());
    begun_.emplace(ticket, Begun{call.Defer(), transfer});
    GoOn();
    return ipc::Deferred();
  }

  void GoOn() override {
    while (const auto ticket = device_.TakeDone(now_ns())) {
      Begun begun = std::move(begun_.extract(*ticket).mapped());
      begun.deferral.Finish(MakeTransfer(begun.transfer));
    }
    // Without a timer, which only a dying channel refuses, nobody is left to be answered.
    if (const auto next = device_.next_done_ns()) {
      timer_.Arm(absl::FromUnixNanos(*next)).IgnoreError();
    }
  }

 private:
  struct Begun {
    ipc::Deferral deferral;
    Transfer transfer;
  };
  int64_t now_ns() const { return absl::ToUnixNanos(self_.Now()); }

  ipc::Process& self_;
  ipc::Timer timer_;
  Device device_;
  uint64_t last_ticket_ = 0;
  std::map<uint64_t, Begun> begun_;
};

}  // namespace

absl::StatusOr<uint64_t> MakeTransfer(const Transfer& transfer) {
  if (transfer.kind == Transfer::Kind::kSync) {
    if (fsync(transfer.descriptor) != 0) return ipc::PosixError(errno);
    return 0;
  }
  uint64_t done = 0;
  while (done < transfer.length) {
    std::byte* const bytes = transfer.bytes + done;
    const uint64_t length = transfer.length - done;
    const auto offset = static_cast<off_t>(transfer.offset + done);
    const ssize_t count = transfer.kind == Transfer::Kind::kRead
                              ? pread(transfer.descriptor, bytes, length, offset)
                              : pwrite(transfer.descriptor, bytes, length, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && done == 0) return ipc::PosixError(errno);
    if (count <= 0) break;
    done += static_cast<uint64_t>(count);
  }
  return done;
}

absl::StatusOr<std::unique_ptr<Disk>> MakeTimedDisk(ipc::Process& self, const ipc::Channel& channel,
                                                    uint64_t megabytes_per_second) {
  auto timer = channel.MakeTimer(1, 0, kInterruptPriority);
  if (!timer.ok()) return timer.status();
  return std::make_unique<TimedDisk>(self, *std::move(timer), megabytes_per_second * 1'000'000);
}

}  // namespace fsd
