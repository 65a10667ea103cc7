// Resource managers: what a device does that overrides nothing.
#include "ipc/resource_manager.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "libipc/src/resource_server.h"

namespace ipc {

ResourceManager::ResourceManager() : server_(std::make_unique<ResourceServer>(*this)) {}
ResourceManager::~ResourceManager() = default;

int ResourceManager::Run(Process& self, absl::string_view path, std::shared_ptr<Node> root,
                         const PoolOptions& pool) {
  return Run(self, {{std::string(path), std::move(root)}}, pool);
}

int ResourceManager::Run(Process& self, std::vector<Mount> mounts, const PoolOptions& pool) {
  return server_->Run(self, std::move(mounts), pool);
}

void ResourceManager::Wake(const Node& node) { server_->Wake(node); }
int64_t ResourceManager::WallNs() const { return server_->WallNs(); }

// -- Devices

absl::StatusOr<uint64_t> ResourceManager::Read(FileCall&, OpenFile& file, uint64_t, MutableBytes) {
  return PosixError(file.node().IsDirectory() ? EISDIR : EINVAL);
}

absl::StatusOr<uint64_t> ResourceManager::Write(FileCall&, OpenFile&, uint64_t, ConstBytes) {
  return PosixError(EINVAL);
}

void ResourceManager::ReadPieces(OpenFile& file, absl::Span<ReadPiece> pieces) {
  for (ReadPiece& piece : pieces) piece.count = Read(piece.call, file, piece.offset, piece.bytes);
}

uint32_t ResourceManager::Poll(OpenFile&) { return files::kReadable | files::kWritable; }

absl::Status ResourceManager::Control(FileCall&, OpenFile&, ControlRequest&) {
  return PosixError(ENOTTY);
}

absl::Status ResourceManager::Truncate(Node&, uint64_t) { return PosixError(EINVAL); }

absl::Status ResourceManager::Sync(FileCall&, OpenFile&) { return absl::OkStatus(); }

absl::StatusOr<Token> ResourceManager::Map(FileCall&, OpenFile&, uint64_t, uint64_t, bool) {
  return PosixError(ENODEV);
}

absl::StatusOr<files::Stat> ResourceManager::Stat(Node& node) { return node.stat; }

absl::Status ResourceManager::Change(Node& node, const files::Change& change) {
  using files::Change;
  files::Stat& stat = node.stat;
  if ((change.mask & Change::kMode) != 0) stat.mode = (stat.mode & S_IFMT) | change.mode;
  if ((change.mask & Change::kUid) != 0) stat.uid = change.uid;
  if ((change.mask & Change::kGid) != 0) stat.gid = change.gid;
  if ((change.mask & (Change::kAccessed | Change::kAccessedNow)) != 0) {
    stat.accessed_ns = change.accessed_ns;
  }
  if ((change.mask & (Change::kModified | Change::kModifiedNow)) != 0) {
    stat.modified_ns = change.modified_ns;
  }
  return absl::OkStatus();
}

// -- Directories

absl::StatusOr<std::shared_ptr<Node>> ResourceManager::Lookup(Node&, absl::string_view) {
  return PosixError(ENOENT);
}

absl::StatusOr<std::shared_ptr<Node>> ResourceManager::Create(FileCall&, Node&, absl::string_view,
                                                              uint32_t, absl::string_view) {
  return PosixError(EROFS);
}

absl::StatusOr<std::vector<DirectoryEntry>> ResourceManager::List(Node&) {
  return std::vector<DirectoryEntry>();
}

absl::Status ResourceManager::Unlink(Node&, absl::string_view, bool) { return PosixError(EROFS); }

absl::Status ResourceManager::Rename(Node&, absl::string_view, Node&, absl::string_view) {
  return PosixError(EROFS);
}

absl::Status ResourceManager::Link(std::shared_ptr<Node>, Node&, absl::string_view) {
  return PosixError(EPERM);
}

absl::StatusOr<std::string> ResourceManager::ReadLink(Node&) { return PosixError(EINVAL); }

absl::StatusOr<files::StatFs> ResourceManager::StatFs() { return files::StatFs(); }

// -- Opening, closing, and what comes from elsewhere

absl::StatusOr<std::shared_ptr<OpenFile>> ResourceManager::Open(FileCall&,
                                                                std::shared_ptr<Node> node,
                                                                uint32_t) {
  return std::make_shared<OpenFile>(std::move(node));
}

void ResourceManager::Close(OpenFile&) {}
absl::Status ResourceManager::OnStart(Process&, const Channel&) { return absl::OkStatus(); }
void ResourceManager::OnPulse(const Pulse&) {}
void ResourceManager::OnReady(const Ready&) {}

// -- Calls

Deferral::~Deferral() {
  if (server_ != nullptr) server_->Finish(id_, PosixError(EIO));
}

void Deferral::Finish(absl::StatusOr<uint64_t> count) {
  std::exchange(server_, nullptr)->Finish(id_, std::move(count));
}

absl::Status ControlRequest::ReplyBytes(ConstBytes reply, uint64_t value) {
  if (room_.size() < reply.size()) return PosixError(EMSGSIZE);
  std::copy(reply.begin(), reply.end(), room_.begin());
  used_ = reply.size();
  value_ = value;
  return absl::OkStatus();
}

uint64_t CopyText(absl::string_view text, uint64_t offset, MutableBytes bytes) {
  if (offset >= text.size()) return 0;
  const uint64_t count = std::min<uint64_t>(bytes.size(), text.size() - offset);
  std::memcpy(bytes.data(), text.data() + offset, count);
  return count;
}

}  // namespace ipc
