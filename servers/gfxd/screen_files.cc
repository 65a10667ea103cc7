// A resource manager of one folder with two files. See screen_files.h.
#include "servers/gfxd/screen_files.h"

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ipc/resource_manager.h"
#include "servers/gfxd/png.h"

namespace gfxd {
namespace {

constexpr size_t kMaxOpen = 64;  // of all clients; each may hold a picture
constexpr char kRaw[] = "fb0", kPng[] = "fb0.png";
constexpr double kEncodeNs = 60;  // CPU time for a pixel, by the cost model of compositor.cc

struct ScreenFile : ipc::OpenFile {
  using OpenFile::OpenFile;
  std::string picture;  // what is read now
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

  absl::StatusOr<std::shared_ptr<ipc::OpenFile>> Open(ipc::FileCall&,
                                                      std::shared_ptr<ipc::Node> node,
                                                      uint32_t) override {
    if (open_ == kMaxOpen) return ipc::PosixError(ENFILE, "many look at the screen already");
    ++open_;
    return std::make_shared<ScreenFile>(std::move(node));
  }
  void Close(ipc::OpenFile&) override { --open_; }

  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile& opened, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    if (opened.node().IsDirectory()) return ipc::PosixError(EISDIR);
    auto& file = static_cast<ScreenFile&>(opened);
    if (offset == 0 || file.picture.empty()) {
      auto picture = Take(opened.shared_node() == png_);
      if (!picture.ok()) return picture.status();
      file.picture = *std::move(picture);
    }
    return ipc::CopyText(file.picture, offset, bytes);
  }

  absl::StatusOr<std::string> Take(bool png) {
    const std::vector<Pixel> pixels = screen_.Look();
    if (!png) return std::string(reinterpret_cast<const char*>(pixels.data()), screen_.bytes());
    self_.Charge(absl::Nanoseconds(kEncodeNs * static_cast<double>(pixels.size())));
    auto encoded = EncodePng({pixels.data(), screen_.width(), screen_.height()});
    if (!encoded.ok()) return ipc::PosixError(EIO, encoded.status().message());
    return encoded;
  }

  // The size of the screen, for who reads its bytes.
  absl::Status Control(ipc::FileCall&, ipc::OpenFile&, ipc::ControlRequest& request) override {
    if (!request.Is<SizeRequest>()) return ipc::PosixError(ENOTTY);
    return request.Reply(SizeReply{screen_.width(), screen_.height()});
  }

  ipc::Process& self_;
  Screen& screen_;
  const std::shared_ptr<ipc::Node> raw_, png_;
  size_t open_ = 0;
};

}  // namespace

int ServeScreenFiles(ipc::Process& self, Screen& screen) {
  Manager manager(self, screen);
  return manager.Run(self, kFolder, std::make_shared<ipc::Node>(S_IFDIR | 0555));
}

}  // namespace gfxd
