// Shared memory that cannot shrink under who maps it.
#include "kernel-sim/host/fd.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/errors.h"

namespace parley::host {

absl::StatusOr<UniqueFd> MakeSharedMemory(const char* name, uint64_t bytes) {
  UniqueFd memory(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid() || ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0 ||
      fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat("no shared memory of ", bytes, " bytes: ", strerror(errno)));
  }
  return memory;
}

absl::StatusOr<SharedMapping> MapShared(const UniqueFd& memory, uint64_t bytes, bool writable) {
  struct stat status = {};
  const int seals = fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(memory.get(), &status) != 0 ||
      static_cast<uint64_t>(status.st_size) != bytes) {
    return MakeError(Error::kInvalidArgument, "not a sealed file of the agreed size");
  }
  void* address = mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
                       memory.get(), 0);
  if (address == MAP_FAILED) {
    return MakeError(Error::kQuotaExhausted,
                     absl::StrCat("cannot map ", bytes, " bytes: ", strerror(errno)));
  }
  return SharedMapping(static_cast<std::byte*>(address), bytes);
}

}  // namespace parley::host
