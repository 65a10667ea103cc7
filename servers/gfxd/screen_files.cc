// A resource manager of one folder with two files. See screen_files.h.
#include "servers/gfxd/screen_files.h"

#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "ipc/resource_manager.h"
#include "servers/gfxd/png.h"

namespace gfxd {
namespace {

constexpr size_t kMaxOpen = 16;  // files of one client; each may hold a picture
constexpr char kRaw[] = "fb0", kPng[] = "fb0.png";
constexpr double kEncodeNs = 60;  // CPU time for a pixel, by the cost model of compositor.cc

using Taken = std::shared_ptr<const std::string>;

struct ScreenFile : ipc::OpenFile {
  ScreenFile(std::shared_ptr<ipc::Node> node, uint64_t client)
      : OpenFile(std::move(node)), client(client) {}
  const uint64_t client;
  Taken picture;  // what is read now; null: nothing
};

class Manager : public ipc::ResourceManager {
 public:
  Manager(ipc::Process& self, Screen& screen)
      : self_(self),
        screen_(screen),
        raw_(std::make_shared<ipc::Node>(S_IFCHR | 0444)),
        png_(std::make_shared<ipc::Node>(S_IFCHR | 0444)) {
    raw_->stat.size = screen.bytes();
  }

 private:
  absl::StatusOr<std::shared_ptr<ipc::Node>> Lookup(ipc::Node&, absl::string_view name) override {
    if (name == kRaw) return raw_;
    if (name == kPng) return png_;
    return ipc::PosixError(ENOENT);
  }
  absl::StatusOr<std::vector<ipc::DirectoryEntry>> List(ipc::Node&) override {
    return std::vector<ipc::DirectoryEntry>{{kRaw, raw_->stat.inode, raw_->stat.mode},
                                            {kPng, png_->stat.inode, png_->stat.mode}};
  }

  absl::StatusOr<std::shared_ptr<ipc::OpenFile>> Open(ipc::FileCall& call,
                                                      std::shared_ptr<ipc::Node> node,
                                                      uint32_t flags) override {
    if (node->IsDirectory()) return ResourceManager::Open(call, std::move(node), flags);
    if ((flags & O_ACCMODE) != O_RDONLY) return ipc::PosixError(EROFS);  // root may ask for it
    const uint64_t client = call.from().sender.id();
    if (open_[client] == kMaxOpen) return ipc::PosixError(EMFILE);
    ++open_[client];
    return std::make_shared<ScreenFile>(std::move(node), client);
  }
  void Close(ipc::OpenFile& opened) override {
    if (opened.node().IsDirectory()) return;
    const auto open = open_.find(static_cast<ScreenFile&>(opened).client);
    if (--open->second == 0) open_.erase(open);
  }

  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile& opened, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    if (opened.node().IsDirectory()) return ipc::PosixError(EISDIR);
    auto& file = static_cast<ScreenFile&>(opened);
    if (offset == 0 || file.picture == nullptr) {
      auto picture = Take(opened.shared_node() == png_);
      if (!picture.ok()) return picture.status();
      file.picture = *std::move(picture);
    }
    return ipc::CopyText(*file.picture, offset, bytes);
  }

  // Who looks at the same frame shares its picture.
  absl::StatusOr<Taken> Take(bool png) {
    Shot& last = png ? last_png_ : last_raw_;
    auto [frame, pixels] = screen_.Look();
    if (Taken shared = last.picture.lock(); shared != nullptr && last.frame == frame) return shared;
    std::string bytes(reinterpret_cast<const char*>(pixels.data()), screen_.bytes());
    if (png) {
      self_.Charge(absl::Nanoseconds(kEncodeNs * static_cast<double>(pixels.size())));
      auto encoded = EncodePng({pixels.data(), screen_.width(), screen_.height()});
      if (!encoded.ok()) return ipc::PosixError(EIO, encoded.status().message());
      bytes = *std::move(encoded);
    }
    const auto taken = std::make_shared<const std::string>(std::move(bytes));
    last = {frame, taken};
    return taken;
  }

  // The size of the screen, for who reads its bytes.
  absl::Status Control(ipc::FileCall&, ipc::OpenFile&, ipc::ControlRequest& request) override {
    if (!request.Is<SizeRequest>()) return ipc::PosixError(ENOTTY);
    return request.Reply(SizeReply{screen_.width(), screen_.height()});
  }

  ipc::Process& self_;
  Screen& screen_;
  const std::shared_ptr<ipc::Node> raw_, png_;
  struct Shot {
    uint64_t frame = 0;
    std::weak_ptr<const std::string> picture;  // as long as somebody reads it
  };
  Shot last_raw_, last_png_;
  absl::flat_hash_map<uint64_t, size_t> open_;  // files, by client
};

}  // namespace

int ServeScreenFiles(ipc::Process& self, Screen& screen) {
  Manager manager(self, screen);
  return manager.Run(self, kFolder, std::make_shared<ipc::Node>(S_IFDIR | 0555));
}

}  // namespace gfxd
