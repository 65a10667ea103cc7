// Terminals of the host. See terminal.h.
#include "servers/console/terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace console {
namespace {

absl::Status Failed(const std::string& what) {
  const int error = errno;
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(error)));
}

bool IsForNow() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

absl::StatusOr<Terminal> Terminal::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return Failed(path);
  Terminal terminal(path, descriptor, descriptor);
  if (absl::Status raw = terminal.MakeRaw(); !raw.ok()) return raw;
  return terminal;
}

absl::StatusOr<Terminal> Terminal::Make() {
  const int descriptor = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return Failed("a new terminal");
  Terminal terminal("a new terminal", descriptor, -1);
  std::array<char, 64> path = {};
  if (grantpt(descriptor) != 0 || unlockpt(descriptor) != 0 ||
      ptsname_r(descriptor, path.data(), path.size()) != 0) {
    return Failed("a new terminal");
  }
  terminal.path_ = path.data();
  terminal.settings_ = open(path.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal.settings_ < 0) return Failed(terminal.path_);
  if (absl::Status raw = terminal.MakeRaw(); !raw.ok()) return raw;
  return terminal;
}

absl::Status Terminal::MakeRaw() {
  if (tcgetattr(settings_, &before_) != 0) return Failed(path_);  // no terminal, for one
  termios raw = before_;
  cfmakeraw(&raw);
  if (tcsetattr(settings_, TCSANOW, &raw) != 0) return Failed(path_);
  is_raw_ = true;
  return absl::OkStatus();
}

Terminal::Terminal(Terminal&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      settings_(std::exchange(other.settings_, -1)),
      is_raw_(std::exchange(other.is_raw_, false)),
      before_(other.before_),
      waiting_(std::move(other.waiting_)) {}

// TCSANOW: waiting until a terminal that takes nothing has taken all would be for ever.
Terminal::~Terminal() {
  if (is_raw_) tcsetattr(settings_, TCSANOW, &before_);
  if (settings_ >= 0 && settings_ != descriptor_) close(settings_);
  if (descriptor_ >= 0) close(descriptor_);
}

size_t Terminal::Columns() const {
  winsize size = {};
  return ioctl(descriptor_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

absl::StatusOr<std::string> Terminal::Read() {
  std::string typed(kReadBytes, '\0');
  const ssize_t count = read(descriptor_, typed.data(), typed.size());
  if (count < 0 && IsForNow()) return "";
  if (count < 0) return Failed(path_);
  if (count == 0) return absl::UnavailableError(absl::StrCat(path_, ": it has been hung up"));
  typed.resize(static_cast<size_t>(count));
  return typed;
}

absl::Status Terminal::Flush() {
  size_t written = 0;
  absl::Status gone;
  while (written < waiting_.size()) {
    const ssize_t count = write(descriptor_, waiting_.data() + written, waiting_.size() - written);
    if (count < 0 && IsForNow()) break;
    if (count < 0) {
      gone = Failed(path_);
      written = waiting_.size();
      break;
    }
    written += static_cast<size_t>(count);
  }
  waiting_.erase(0, written);
  return gone;
}

}  // namespace console
