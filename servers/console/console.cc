// The console's manager: typing comes in by a descriptor, and lines go out to who reads.
#include "servers/console/console.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/strip.h"
#include "ipc/dispatcher.h"
#include "ipc/resource_manager.h"
#include "servers/console/screen.h"
#include "servers/console/terminal.h"

namespace console {
namespace {

struct ConsoleFile : ipc::OpenFile {
  using OpenFile::OpenFile;
  bool asks = false;    // has read, and waits for a line
  bool at_end = false;  // somebody has typed ^D while it did
  std::string rest;     // of the line that it has read a part of
};

class Manager : public ipc::ResourceManager {
 public:
  Manager(std::shared_ptr<ipc::Node> node, Terminal terminal)
      : node_(std::move(node)), terminal_(std::move(terminal)) {}

 private:
  absl::Status OnStart(ipc::Process& self, const ipc::Channel& channel) override {
    priority_ = self.priority();
    dispatcher_.emplace(channel);
    return Watch();
  }

  // -- The terminal

  // Typing is watched for unless its echo would find no room, and room when there is need of it.
  absl::Status Watch() {
    absl::Status watched =
        Keep(typing_, !is_gone_ && !terminal_.is_full(), ipc::Readiness::kReadable);
    watched.Update(Keep(room_, terminal_.waiting_bytes() > 0, ipc::Readiness::kWritable));
    return watched;
  }
  absl::Status Keep(std::optional<ipc::DescriptorWatch>& watch, bool wanted,
                    ipc::Readiness readiness) {
    if (wanted == watch.has_value()) return absl::OkStatus();
    if (!wanted) {
      watch.reset();
      return absl::OkStatus();
    }
    auto made = dispatcher_->Watch(terminal_.descriptor(), readiness, priority_);
    if (made.ok()) watch.emplace(*std::move(made));
    return made.status();
  }

  void OnReady(const ipc::Ready& ready) override {
    if (typing_ && ready.Is(*typing_)) Type();
    Show("");
    Wake(*node_);
  }

  void Type() {
    const auto typed = terminal_.Read();
    if (!typed.ok()) return Lose(typed.status());
    screen_.set_columns(terminal_.Columns());
    Screen::Typed done = screen_.Type(*typed, kMaxFinishedLines - finished_.size());
    for (Finished& finished : done.finished) {
      if (finished.is_end && EndForWhoAsks()) continue;
      finished_.push_back(std::move(finished));
    }
    Show(done.echo);
  }

  // False: nobody does, so that it is for the next.
  bool EndForWhoAsks() {
    bool any = false;
    for (ConsoleFile* file : files_) {
      any |= file->asks;
      file->at_end |= std::exchange(file->asks, false);
    }
    return any;
  }

  // To the terminal, or to what waits for it. That it cannot be watched for room is tried again
  // with whatever comes next.
  void Show(absl::string_view bytes) {
    terminal_.Show(bytes);
    if (absl::Status flushed = terminal_.Flush(); !flushed.ok()) Lose(flushed);
    Watch().IgnoreError();
  }

  void Lose(const absl::Status& why) {
    if (!std::exchange(is_gone_, true)) {
      std::fprintf(stderr, "console: %s; /dev/console has no more terminal\n",
                   std::string(why.message()).c_str());
    }
  }

  // -- Its files

  absl::StatusOr<std::shared_ptr<ipc::OpenFile>> Open(ipc::FileCall&,
                                                      std::shared_ptr<ipc::Node> node,
                                                      uint32_t) override {
    auto file = std::make_shared<ConsoleFile>(std::move(node));
    files_.push_back(file.get());
    return file;
  }
  void Close(ipc::OpenFile& file) override { files_.remove(static_cast<ConsoleFile*>(&file)); }

  // One line at most, as of a terminal.
  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile& opened, uint64_t,
                                ipc::MutableBytes bytes) override {
    auto& file = static_cast<ConsoleFile&>(opened);
    if (bytes.empty() || std::exchange(file.at_end, false)) return 0;
    if (file.rest.empty()) {
      file.asks = finished_.empty() && !is_gone_;
      if (file.asks) return ipc::PosixError(EAGAIN);
      if (finished_.empty()) return 0;  // the terminal is gone
      const Finished first = std::move(finished_.front());
      finished_.pop_front();
      if (first.is_end) return 0;
      file.rest = first.line + "\n";
    }
    const uint64_t count = ipc::CopyText(file.rest, 0, bytes);
    file.rest.erase(0, count);
    return count;
  }

  absl::StatusOr<uint64_t> Write(ipc::FileCall&, ipc::OpenFile&, uint64_t,
                                 ipc::ConstBytes bytes) override {
    if (is_gone_) return ipc::PosixError(EIO);
    if (terminal_.is_full()) return ipc::PosixError(EAGAIN);
    bytes = bytes.subspan(0, Terminal::kMaxWaitingBytes);
    if (!bytes.empty()) Show(screen_.Print(ipc::TextOf(bytes)));
    return bytes.size();
  }

  uint32_t Poll(ipc::OpenFile& opened) override {
    const auto& file = static_cast<ConsoleFile&>(opened);
    const bool readable = file.at_end || !file.rest.empty() || !finished_.empty() || is_gone_;
    return (readable ? ipc::files::kReadable : 0) |
           (is_gone_ || !terminal_.is_full() ? ipc::files::kWritable : 0);
  }

  const std::shared_ptr<ipc::Node> node_;
  Terminal terminal_;
  Screen screen_;
  std::deque<Finished> finished_;  // that nobody has read: at most kMaxFinishedLines
  std::list<ConsoleFile*> files_;  // open
  bool is_gone_ = false;           // the terminal

  int priority_ = 0;
  std::optional<ipc::Dispatcher> dispatcher_;
  std::optional<ipc::DescriptorWatch> typing_, room_;  // none: it is not watched for that now
};

absl::StatusOr<Terminal> TerminalFor(absl::string_view path) {
  if (!path.empty()) return Terminal::Open(std::string(path));
  auto made = Terminal::Make();
  if (made.ok()) {
    std::printf("console: %s\n", made->path().c_str());
    std::fflush(stdout);
  }
  return made;
}

}  // namespace

int Main(ipc::Process& self) {
  const std::vector<std::string>& arguments = self.arguments();
  absl::string_view path;  // empty: a new one
  if (!arguments.empty()) path = arguments[0];
  if (arguments.size() > 1 ||
      (!arguments.empty() && (!absl::ConsumePrefix(&path, "--tty=") || path.empty()))) {
    std::fprintf(stderr, "usage: console [--tty=PATH]\n");
    return 2;
  }
  auto terminal = TerminalFor(path);
  if (!terminal.ok()) {
    std::fprintf(stderr, "console: %s\n", std::string(terminal.status().message()).c_str());
    return 1;
  }
  // All may show text; what is typed is for its owner.
  auto node = std::make_shared<ipc::Node>(S_IFCHR | 0622);
  node->stat.uid = self.uid();
  node->stat.gid = self.gid();
  Manager manager(node, *std::move(terminal));
  return manager.Run(self, kName, node);
}

}  // namespace console
