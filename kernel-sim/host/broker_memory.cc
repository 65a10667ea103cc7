// Shared memory, knockers and descriptors for the broker to hand out.
#include "kernel-sim/host/broker_memory.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/errors.h"

namespace parley::host {
namespace {

absl::StatusOr<UniqueFd> Checked(int fd) {
  if (fd >= 0) return UniqueFd(fd);
  return MakeError(Error::kQuotaExhausted,
                   absl::StrCat("the broker has no descriptor left: ", strerror(errno)));
}

absl::StatusOr<UniqueFd> Reopen(const UniqueFd& memory, int flags) {
  const std::string path = absl::StrCat("/proc/self/fd/", memory.get());
  return Checked(open(path.c_str(), flags | O_CLOEXEC));
}

absl::Status Seal(const UniqueFd& memory, int seal) {
  if (fcntl(memory.get(), F_ADD_SEALS, seal) == 0) return absl::OkStatus();
  if (errno == EBUSY) {
    return MakeError(Error::kContested, "somebody still maps the region for writing");
  }
  const int seals = fcntl(memory.get(), F_GET_SEALS);
  if (seals >= 0 && (seals & seal) == seal) return absl::OkStatus();
  return MakeError(Error::kNotPermitted, "the region's memory was sealed against further seals");
}

}  // namespace

absl::StatusOr<UniqueFd> MakeBrokerMemory(const char* name, uint64_t bytes, FurtherSeals seals) {
  auto memory = MakeSharedMemory(name, bytes);
  if (!memory.ok()) return memory.status();
  if (fchmod(memory->get(), 0600) != 0 ||
      (seals == FurtherSeals::kNone && fcntl(memory->get(), F_ADD_SEALS, F_SEAL_SEAL) != 0)) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat("cannot protect shared memory: ", strerror(errno)));
  }
  return memory;
}

// A datagram socket whose far end is itself: of a socket alone each single send and receive can be
// told not to block. Whether a file's do is written in what all who share it can change.
absl::StatusOr<UniqueFd> MakeKnocker() {
  auto knocker = Checked(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!knocker.ok()) return knocker;
  sockaddr_un own = {};
  own.sun_family = AF_UNIX;
  auto* address = reinterpret_cast<sockaddr*>(&own);
  socklen_t size = sizeof(own.sun_family);  // no name: Linux finds one
  bool connected = bind(knocker->get(), address, size) == 0;
  size = sizeof(own);
  connected = connected && getsockname(knocker->get(), address, &size) == 0 &&
              connect(knocker->get(), address, size) == 0;
  if (!connected) {
    return MakeError(Error::kQuotaExhausted, absl::StrCat("no knocker: ", strerror(errno)));
  }
  return knocker;
}

absl::StatusOr<UniqueFd> Duplicate(const UniqueFd& fd) {
  return Checked(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

absl::StatusOr<UniqueFd> ReopenReadOnly(const UniqueFd& memory) { return Reopen(memory, O_RDONLY); }

absl::StatusOr<UniqueFd> ReopenForWriting(const UniqueFd& memory) { return Reopen(memory, O_RDWR); }

absl::Status ForbidNewWriters(const UniqueFd& memory) { return Seal(memory, F_SEAL_FUTURE_WRITE); }

absl::Status ForbidWrites(const UniqueFd& memory) { return Seal(memory, F_SEAL_WRITE); }

void Empty(const UniqueFd& memory, uint64_t bytes) {
  // Fails on what is sealed against writes, as the header says; nothing else can go wrong.
  (void)fallocate(memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  static_cast<off_t>(bytes));
}

}  // namespace parley::host
