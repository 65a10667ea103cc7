// The terminal that a person sits at: a descriptor that never blocks, with what waits to be shown.
//
// It is put into raw mode, and back as it was when this is destroyed.
#ifndef PARLEY_SERVERS_CONSOLE_TERMINAL_H_
#define PARLEY_SERVERS_CONSOLE_TERMINAL_H_

#include <termios.h>

#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace console {

class Terminal {
 public:
  // Whoever shows more waits while so much has not reached the terminal.
  static constexpr size_t kMaxWaitingBytes = 64 << 10;

  // An existing one. The error says its path, and why.
  static absl::StatusOr<Terminal> Open(const std::string& path);
  // A new pair; the other side, at path(), is for a person to attach to.
  static absl::StatusOr<Terminal> Make();
  Terminal(Terminal&& other) noexcept;
  ~Terminal();

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  size_t Columns() const;  // 80 if it does not know

  // What has been typed, kReadBytes at most; nothing: not now. kUnavailable: the terminal is gone.
  static constexpr size_t kReadBytes = 256;
  absl::StatusOr<std::string> Read();

  void Show(absl::string_view bytes) { waiting_.append(bytes.data(), bytes.size()); }
  // Writes what the terminal takes now. kUnavailable: it is gone, and so is what waited.
  absl::Status Flush();
  size_t waiting_bytes() const { return waiting_.size(); }
  bool is_full() const { return waiting_.size() >= kMaxWaitingBytes; }

 private:
  Terminal(std::string path, int descriptor, int settings)
      : path_(std::move(path)), descriptor_(descriptor), settings_(settings) {}
  absl::Status MakeRaw();

  std::string path_;
  int descriptor_;  // -1: moved from
  // Whose mode is set: the same, or the far side of a pair. That stays open, so that typing goes on
  // when a person leaves and another comes.
  int settings_;
  bool is_raw_ = false;
  termios before_ = {};
  std::string waiting_;
};

}  // namespace console

#endif  // PARLEY_SERVERS_CONSOLE_TERMINAL_H_
