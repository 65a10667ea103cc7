// pipe: a pipe with a name.
#include "servers/pipe/pipe.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <memory>

#include "ipc/resource_manager.h"

namespace pipe_server {
namespace {

constexpr size_t kMostBytes = 64 << 10;

class Pipe : public ipc::ResourceManager {
  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile& file, uint64_t,
                                ipc::MutableBytes bytes) override {
    if (bytes.empty()) return 0;
    if (bytes_.empty()) return ipc::PosixError(EAGAIN);
    const size_t count = std::min(bytes.size(), bytes_.size());
    const auto end = bytes_.begin() + static_cast<ptrdiff_t>(count);
    std::copy(bytes_.begin(), end, bytes.begin());
    bytes_.erase(bytes_.begin(), end);
    Wake(file.node());
    return count;
  }
  absl::StatusOr<uint64_t> Write(ipc::FileCall&, ipc::OpenFile& file, uint64_t,
                                 ipc::ConstBytes bytes) override {
    const size_t count = std::min(bytes.size(), kMostBytes - bytes_.size());
    if (count == 0 && !bytes.empty()) return ipc::PosixError(EAGAIN);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(count));
    Wake(file.node());
    return count;
  }
  uint32_t Poll(ipc::OpenFile&) override {
    return (bytes_.empty() ? 0 : ipc::files::kReadable) |
           (bytes_.size() < kMostBytes ? ipc::files::kWritable : 0);
  }

  std::deque<std::byte> bytes_;
};

}  // namespace

int Main(ipc::Process& self) {
  if (self.arguments().size() != 1) {
    std::fprintf(stderr, "pipe: expected NAME\n");
    return 2;
  }
  Pipe pipe;
  return pipe.Run(self, self.arguments()[0], std::make_shared<ipc::Node>(S_IFIFO | 0666));
}

}  // namespace pipe_server
