// The file server: a resource manager of a host's folder.
#include "servers/fsd/fsd.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ipc/resource_manager.h"
#include "servers/fsd/disk.h"
#include "servers/fsd/host_tree.h"

namespace fsd {
namespace {

constexpr absl::Duration kRequestCost =
    absl::Microseconds(15);  // of CPU time: a path, a table, a transfer set up
// So many reads that each begin where the last ended are a stream: Linux then reads twice as far
// ahead.
constexpr int kReadsOfAStream = 3;

struct Options {
  std::string folder, name = kName;
  std::optional<uint64_t> megabytes_per_second;
};

// An open file with a descriptor of its own; of a directory none.
class HostFile : public ipc::OpenFile {
 public:
  HostFile(std::shared_ptr<ipc::Node> node, common::Descriptor descriptor, uint32_t flags)
      : OpenFile(std::move(node)), descriptor_(std::move(descriptor)) {
    if ((flags & O_ACCMODE) != O_RDONLY) writers().push_back(this->descriptor());
  }
  ~HostFile() override { std::erase(writers(), descriptor()); }
  int descriptor() const { return descriptor_.number(); }

  // A read is about to be made.
  void Note(uint64_t offset, uint64_t length) {
    if (is_stream_) return;
    in_order_ = offset == next_ ? in_order_ + 1 : 0;
    next_ = offset + length;
    if (in_order_ < kReadsOfAStream) return;
    posix_fadvise(descriptor(), 0, 0, POSIX_FADV_SEQUENTIAL);  // a hint: it cannot matter if not
    is_stream_ = true;
  }

 private:
  std::vector<int>& writers() const { return static_cast<HostNode&>(node()).writers; }

  common::Descriptor descriptor_;
  uint64_t next_ = 0;
  int in_order_ = 0;
  bool is_stream_ = false;
};

class FileServer final : public ipc::ResourceManager {
 public:
  FileServer(HostTree tree, std::optional<uint64_t> megabytes_per_second)
      : tree_(std::move(tree)), megabytes_per_second_(megabytes_per_second) {}

 private:
  static const HostNode& Host(const ipc::Node& node) { return static_cast<const HostNode&>(node); }

  absl::Status OnStart(ipc::Process& self, const ipc::Channel& channel) override {
    self_ = &self;
    if (!megabytes_per_second_ && !self.has_virtual_time()) {
      auto ring = MakeRingDisk(channel);
      if (ring.ok()) {
        disk_ = *std::move(ring);
        return absl::OkStatus();
      }
      std::fprintf(stderr, "%s: one transfer at a time: %s; see 'parley doctor'\n",
                   self.name().c_str(), std::string(ring.status().message()).c_str());
    }
    auto disk = MakeTimedDisk(self, channel, megabytes_per_second_.value_or(0));
    if (!disk.ok()) return disk.status();
    disk_ = *std::move(disk);
    return absl::OkStatus();
  }
  void OnPulse(const ipc::Pulse&) override { disk_->GoOn(); }
  void OnReady(const ipc::Ready&) override { disk_->GoOn(); }

  absl::StatusOr<std::shared_ptr<ipc::OpenFile>> Open(ipc::FileCall&,
                                                      std::shared_ptr<ipc::Node> node,
                                                      uint32_t flags) override {
    self_->Charge(kRequestCost);
    if (node->IsDirectory())
      return std::make_shared<HostFile>(std::move(node), common::Descriptor(), O_RDONLY);
    auto descriptor = HostTree::Open(static_cast<HostNode&>(*node), flags);
    if (!descriptor.ok()) return descriptor.status();
    return std::make_shared<HostFile>(std::move(node), *std::move(descriptor), flags);
  }

  absl::StatusOr<uint64_t> Read(ipc::FileCall& call, ipc::OpenFile& open, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    self_->Charge(kRequestCost);
    auto& file = static_cast<HostFile&>(open);
    if (file.node().IsDirectory()) return ipc::PosixError(EISDIR);
    file.Note(offset, bytes.size());
    return disk_->Begin(call, {.descriptor = file.descriptor(),
                               .offset = offset,
                               .bytes = bytes.data(),
                               .length = bytes.size()});
  }
  void ReadPieces(ipc::OpenFile& open, absl::Span<ipc::ReadPiece> pieces) override {
    auto& file = static_cast<HostFile&>(open);
    for (const ipc::ReadPiece& piece : pieces) {
      self_->Charge(kRequestCost);
      file.Note(piece.offset, piece.bytes.size());
    }
    disk_->BeginReads(file.descriptor(), pieces);
  }
  absl::StatusOr<uint64_t> Write(ipc::FileCall& call, ipc::OpenFile& open, uint64_t offset,
                                 ipc::ConstBytes bytes) override {
    self_->Charge(kRequestCost);
    return disk_->Begin(call, {.kind = Transfer::Kind::kWrite,
                               .descriptor = static_cast<HostFile&>(open).descriptor(),
                               .offset = offset,
                               .bytes = const_cast<std::byte*>(bytes.data()),
                               .length = bytes.size()});
  }
  absl::Status Sync(ipc::FileCall& call, ipc::OpenFile& open) override {
    const int descriptor = static_cast<HostFile&>(open).descriptor();
    if (descriptor < 0) return absl::OkStatus();
    return disk_->Begin(call, {.kind = Transfer::Kind::kSync, .descriptor = descriptor}).status();
  }

  absl::StatusOr<ipc::files::Stat> Stat(ipc::Node& node) override {
    return HostTree::Stat(Host(node));
  }
  absl::Status Change(ipc::Node& node, const ipc::files::Change& change) override {
    return HostTree::Change(Host(node), change);
  }
  absl::Status Truncate(ipc::Node& node, uint64_t size) override {
    return HostTree::Truncate(Host(node), size);
  }
  absl::StatusOr<std::string> ReadLink(ipc::Node& node) override {
    return HostTree::ReadLink(Host(node));
  }
  absl::StatusOr<ipc::files::StatFs> StatFs() override { return tree_.StatFs(); }

  absl::StatusOr<std::shared_ptr<ipc::Node>> Lookup(ipc::Node& directory,
                                                    absl::string_view name) override {
    return tree_.Lookup(Host(directory), std::string(name));
  }
  absl::StatusOr<std::shared_ptr<ipc::Node>> Create(ipc::FileCall& call, ipc::Node& directory,
                                                    absl::string_view name, uint32_t mode,
                                                    absl::string_view target) override {
    return tree_.Create(Host(directory), std::string(name), mode, std::string(target),
                        call.from().uid, call.from().gid);
  }
  absl::StatusOr<std::vector<ipc::DirectoryEntry>> List(ipc::Node& directory) override {
    return HostTree::List(Host(directory));
  }
  absl::Status Unlink(ipc::Node& directory, absl::string_view name, bool is_directory) override {
    return HostTree::Unlink(Host(directory), std::string(name), is_directory);
  }
  absl::Status Rename(ipc::Node& from, absl::string_view name, ipc::Node& to,
                      absl::string_view new_name) override {
    return HostTree::Rename(Host(from), std::string(name), Host(to), std::string(new_name));
  }
  absl::Status Link(std::shared_ptr<ipc::Node> node, ipc::Node& directory,
                    absl::string_view name) override {
    return HostTree::Link(Host(*node), Host(directory), std::string(name));
  }

  HostTree tree_;
  const std::optional<uint64_t> megabytes_per_second_;
  ipc::Process* self_ = nullptr;
  std::unique_ptr<Disk> disk_;
};

std::optional<Options> Parse(const std::vector<std::string>& arguments) {
  Options options;
  for (const std::string& argument : arguments) {
    absl::string_view value = argument;
    uint64_t number = 0;
    if (absl::ConsumePrefix(&value, "--device-mbps=")) {
      if (!absl::SimpleAtoi(value, &number) || number > 1'000'000) return std::nullopt;
      options.megabytes_per_second = number;
    } else if (absl::ConsumePrefix(&value, "--name=")) {
      options.name = std::string(value);
    } else if (options.folder.empty() && !absl::StartsWith(value, "--")) {
      options.folder = argument;
    } else {
      return std::nullopt;
    }
  }
  if (options.folder.empty()) return std::nullopt;
  return options;
}

}  // namespace

int Main(ipc::Process& self) {
  const auto options = Parse(self.arguments());
  if (!options) {
    std::fprintf(stderr, "usage: fsd FOLDER [--name=/PATH] [--device-mbps=N]\n");
    return 2;
  }
  auto tree = HostTree::Make(options->folder);
  if (!tree.ok()) {
    std::fprintf(stderr, "fsd: %s\n", std::string(tree.status().message()).c_str());
    return 1;
  }
  std::shared_ptr<ipc::Node> root = tree->root();
  FileServer server(*std::move(tree), options->megabytes_per_second);
  return server.Run(self, options->name, std::move(root));
}

}  // namespace fsd
