// Opening files below a folder by openat2(2). See export.h.
#include "servers/fsd/export.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"

namespace fsd {
namespace {

absl::Status HostError(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(absl::StrCat(path, ": no such file"));
    case EXDEV:
      return absl::PermissionDeniedError(absl::StrCat(path, ": leads out of the exported folder"));
    case EACCES:
    case EPERM:
    case ELOOP:
      return absl::PermissionDeniedError(absl::StrCat(path, ": ", std::strerror(error)));
    default:
      return absl::InternalError(absl::StrCat(path, ": ", std::strerror(error)));
  }
}

int OpenBeneath(int root, const std::string& path) {
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // a pipe must not make the server wait
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

absl::StatusOr<uint64_t> File::ReadAt(uint64_t offset, absl::Span<std::byte> bytes) const {
  constexpr uint64_t kMaxOffset = std::numeric_limits<int64_t>::max();
  if (offset > kMaxOffset - bytes.size()) {
    return absl::OutOfRangeError(absl::StrCat(path_, ": no file has an offset of ", offset));
  }
  uint64_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = pread(descriptor_.number(), bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return HostError(path_, errno);
    if (count == 0) break;
    done += static_cast<uint64_t>(count);
  }
  return done;
}

absl::StatusOr<Export> Export::Make(const std::string& root) {
  Descriptor folder(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (folder.number() < 0) {
    return absl::NotFoundError(
        absl::StrCat(root, ": cannot export this folder: ", std::strerror(errno)));
  }
  return Export(std::move(folder));
}

absl::StatusOr<File> Export::Open(std::string_view path) const {
  const std::string name(path);
  if (name.empty()) return absl::InvalidArgumentError("the path of a file must not be empty");
  Descriptor descriptor(OpenBeneath(root_.number(), name));
  if (descriptor.number() < 0) return HostError(name, errno);
  struct stat status = {};
  if (fstat(descriptor.number(), &status) != 0) return HostError(name, errno);
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not a regular file"));
  }
  return File(std::move(descriptor), name, static_cast<uint64_t>(status.st_size));
}

}  // namespace fsd
