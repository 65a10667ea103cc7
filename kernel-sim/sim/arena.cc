// Region memory on one memfd.
#include "kernel-sim/sim/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/check.h"

namespace parley::sim {
namespace {

int Protection(Rights rights) {
  return (Includes(rights, Rights::kRead) ? PROT_READ : 0) |
         (Includes(rights, Rights::kWrite) ? PROT_READ | PROT_WRITE : 0);
}

absl::Status HostRefused(const char* what) {
  return MakeError(Error::kQuotaExhausted,
                   absl::StrCat("the host refused ", what, ": ", std::strerror(errno)));
}

}  // namespace

Arena::~Arena() {
  if (file_ >= 0) close(file_);
}

absl::StatusOr<uint64_t> Arena::Allocate(uint64_t bytes) {
  if (file_ < 0) {
    file_ = memfd_create("parley-regions", MFD_CLOEXEC);
    if (file_ < 0) return HostRefused("a memory file");
  }
  if (ftruncate(file_, static_cast<off_t>(end_ + bytes)) != 0) return HostRefused("region memory");
  const uint64_t offset = end_;
  end_ += bytes;
  return offset;
}

void Arena::Release(uint64_t offset, uint64_t bytes) {
  PARLEY_CHECK(fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0);
}

absl::StatusOr<std::byte*> Arena::Map(uint64_t offset, uint64_t bytes, Rights rights) {
  void* address =
      mmap(nullptr, bytes, Protection(rights), MAP_SHARED, file_, static_cast<off_t>(offset));
  if (address == MAP_FAILED) return HostRefused("a mapping of a region");
  return static_cast<std::byte*>(address);
}

absl::Status Arena::Remap(std::byte* address, uint64_t offset, uint64_t bytes, Rights rights) {
  if (mmap(address, bytes, Protection(rights), MAP_SHARED | MAP_FIXED, file_,
           static_cast<off_t>(offset)) == MAP_FAILED) {
    return HostRefused("a mapping of a region");
  }
  return absl::OkStatus();
}

void Arena::Protect(std::byte* address, uint64_t bytes, Rights rights) {
  PARLEY_CHECK(mprotect(address, bytes, Protection(rights)) == 0);
}

void Arena::Unmap(std::byte* address, uint64_t bytes) { PARLEY_CHECK(munmap(address, bytes) == 0); }

bool Arena::Detach(std::byte* address, uint64_t offset, uint64_t bytes) {
  if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
           0) == MAP_FAILED) {
    return false;
  }
  Read(offset, address, bytes);
  return true;
}

void Arena::Read(uint64_t offset, std::byte* to, uint64_t bytes) const {
  while (bytes > 0) {
    const ssize_t count = pread(file_, to, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    PARLEY_CHECK(count > 0);
    offset += static_cast<uint64_t>(count);
    to += count;
    bytes -= static_cast<uint64_t>(count);
  }
}

}  // namespace parley::sim
