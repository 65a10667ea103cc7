// The recorder: what the screen showed, as a film and as pictures. See gfxd.h.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "servers/gfxd/gfxd.h"
#include "servers/gfxd/png.h"
#include "servers/gfxd/protocol.h"

namespace gfxd {
namespace {

constexpr uint8_t kFrameDone = 1;
constexpr int kFramePriority = 90;

// A file or pipe that bytes are appended to, if there is one: a film fills a disk soon, so nobody
// makes one by chance.
class FilmFile {
 public:
  explicit FilmFile(std::string path) : path_(std::move(path)) {
    descriptor_ = open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (descriptor_ < 0) open_error_ = errno;
    if (open_error_ == ENOENT) {
      std::fprintf(stderr, "recorder: %s: not there, so no film is kept\n", path_.c_str());
    }
  }
  FilmFile(const FilmFile&) = delete;
  FilmFile& operator=(const FilmFile&) = delete;
  ~FilmFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  absl::Status Append(Picture picture) {
    if (open_error_ == ENOENT) return absl::OkStatus();
    if (descriptor_ < 0) return Failure(open_error_);
    ToRgb(picture, rgb_);
    for (size_t done = 0; done < rgb_.size();) {
      const ssize_t count = write(descriptor_, rgb_.data() + done, rgb_.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return Failure(errno);
      done += static_cast<size_t>(count);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Failure(int error) const {
    return absl::UnavailableError(
        absl::StrCat(path_, ": cannot write the film: ", std::strerror(error)));
  }

  const std::string path_;
  int descriptor_ = -1;
  int open_error_ = 0;
  std::vector<uint8_t> rgb_;
};

absl::Status Record(ipc::Process& self, FilmFile& film, const std::string& folder,
                    std::set<uint64_t> snapshots) {
  auto gfx = self.Open(kName, absl::Seconds(1));
  if (!gfx.ok()) return gfx.status();
  const auto screen = gfx->Call<ScreenReply>(ScreenRequest{});
  if (!screen.ok()) return screen.status();
  const auto shown = gfx->Call<FramebufferReply>(FramebufferRequest{});
  if (!shown.ok()) return shown.status();
  const auto framebuffers = self.Redeem(shown->token);
  if (!framebuffers.ok()) return framebuffers.status();
  auto channel = self.CreateChannel("frames");
  if (!channel.ok()) return channel.status();
  const auto event =
      channel->RegisterEvent(*gfx, kFrameDone, 0, kFramePriority, /*any_value=*/true);
  if (!event.ok()) return event.status();
  if (auto watched = gfx->Call<WatchReply>(WatchRequest{*event}); !watched.ok())
    return watched.status();

  const size_t bytes =
      static_cast<size_t>(screen->width) * static_cast<size_t>(screen->height) * sizeof(Pixel);
  for (;;) {
    auto received = channel->Receive();
    if (!received.ok()) return absl::OkStatus();
    if (received->pulse() == nullptr) continue;
    const uint64_t frame = received->pulse()->value;
    const ipc::ConstBytes all = framebuffers->read();
    if (all.size() < kFramebuffers * bytes) return absl::OkStatus();  // gfxd has ended
    const ipc::ConstBytes pixels = all.subspan(frame % kFramebuffers * bytes);
    const Picture picture = {reinterpret_cast<const Pixel*>(pixels.data()), screen->width,
                             screen->height};
    if (absl::Status status = film.Append(picture); !status.ok()) return status;
    self.Count("frames_recorded");
    if (snapshots.count(frame) == 0) continue;
    const std::string path = absl::StrFormat("%s/frame-%04d.png", folder, frame);
    if (absl::Status status = WritePng(path, picture); !status.ok()) return status;
  }
}

}  // namespace

int Recorder(ipc::Process& self) {
  const auto& arguments = self.arguments();
  std::set<uint64_t> snapshots;
  for (size_t i = 2; i < arguments.size(); ++i) {
    uint64_t frame = 0;
    if (absl::SimpleAtoi(arguments[i], &frame)) snapshots.insert(frame);
  }
  if (arguments.size() < 2 || snapshots.size() != arguments.size() - 2) {
    std::fprintf(stderr, "usage: recorder FILM-FILE PICTURE-FOLDER FRAME...\n");
    return 2;
  }
  FilmFile film(arguments[0]);
  const absl::Status status = Record(self, film, arguments[1], std::move(snapshots));
  if (status.ok()) return 0;
  std::fprintf(stderr, "recorder: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace gfxd
