// Which descriptors can be watched.
#include "kernel-sim/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernel-sim/refusals.h"

namespace parley {
namespace {

absl::StatusOr<UniqueFd> CopyOf(int descriptor) {
  UniqueFd copy(fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (copy.valid()) return copy;
  if (errno == EBADF) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("descriptor ", descriptor, " is not open"));
  }
  return MakeError(Error::kQuotaExhausted, absl::StrCat("no more descriptors: ", strerror(errno)));
}

// Linux tells.
absl::Status CheckCanBeWaitedFor(int descriptor, const UniqueFd& copy) {
  const UniqueFd probe(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event = {};
  if (!probe.valid()) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat("no more descriptors: ", strerror(errno)));
  }
  if (epoll_ctl(probe.get(), EPOLL_CTL_ADD, copy.get(), &event) == 0) return absl::OkStatus();
  return MakeError(Error::kInvalidArgument,
                   absl::StrCat("descriptor ", descriptor,
                                " cannot be waited for; files and folders are always ready"));
}

}  // namespace

short WatchedDescriptor::events() const {
  static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT);
  return readiness == Readiness::kReadable ? POLLIN : POLLOUT;
}

bool WatchedDescriptor::IsReady() const {
  pollfd look = {descriptor.get(), events(), 0};
  return poll(&look, 1, 0) == 1;
}

absl::StatusOr<WatchedDescriptor*> WatchTable::Make(Channel& channel, int descriptor,
                                                    Readiness readiness, int priority,
                                                    int ceiling) {
  if (readiness != Readiness::kReadable && readiness != Readiness::kWritable) {
    return MakeError(Error::kInvalidArgument, "no such readiness");
  }
  if (absl::Status valid = CheckPulse({0, 0, priority}, ceiling); !valid.ok()) return valid;
  auto copy = CopyOf(descriptor);
  if (!copy.ok()) return copy.status();
  absl::Status can = CheckCanBeWaitedFor(descriptor, *copy);
  if (!can.ok()) return can;
  if (handles_.full()) return Refuse(Error::kQuotaExhausted);
  auto record = std::make_unique<WatchedDescriptor>();
  WatchedDescriptor& watch = *record;
  watch.channel = &channel;
  watch.handle = handles_.Add(&watch);
  watch.descriptor = *std::move(copy);
  watch.readiness = readiness;
  watch.priority = priority;
  records_[watch.handle] = std::move(record);
  return &watch;
}

std::unique_ptr<WatchedDescriptor> WatchTable::Remove(WatchHandle handle) {
  if (handles_.Remove(handle) == nullptr) return nullptr;
  return std::move(records_.extract(handle).mapped());
}

std::vector<WatchedDescriptor*> WatchTable::OfChannel(const Channel& channel) const {
  std::vector<WatchedDescriptor*> found;
  handles_.ForEach([&](WatchedDescriptor& watch) {
    if (watch.channel == &channel) found.push_back(&watch);
  });
  return found;
}

}  // namespace parley
