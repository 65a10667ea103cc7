// Random bytes. See random_source.h.
#include "servers/devices/random_source.h"

#include <sys/random.h>

#include <cerrno>

#include "ipc/posix.h"

namespace devices {

absl::Status RandomSource::Fill(ipc::MutableBytes bytes) {
  if (generator_) {
    for (std::byte& byte : bytes) {
      if (left_ == 0) {
        word_ = (*generator_)();
        left_ = sizeof(word_);
      }
      byte = static_cast<std::byte>(word_);
      word_ >>= 8;
      --left_;
    }
    return absl::OkStatus();
  }
  while (!bytes.empty()) {
    const ssize_t count = getrandom(bytes.data(), bytes.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return ipc::PosixError(EIO, "getrandom");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

}  // namespace devices
