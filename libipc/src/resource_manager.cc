// Resource managers: what a device does that overrides nothing.
#include "ipc/resource_manager.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "libipc/src/resource_server.h"

namespace ipc {

ResourceManager::ResourceManager() : server_(std::make_unique<Server>(*this)) {}
ResourceManager::~ResourceManager() = default;

int ResourceManager::Run(Process& self, absl::string_view path, std::shared_ptr<Node> root) {
  return server_->Run(self, path, std::move(root));
}

void ResourceManager::Wake(const Node& node) { server_->Wake(node); }

absl::StatusOr<uint64_t> ResourceManager::Read(OpenFile& file, uint64_t, MutableBytes) {
  return PosixError(file.node().IsDirectory() ? EISDIR : EINVAL);
}

absl::StatusOr<uint64_t> ResourceManager::Write(OpenFile&, uint64_t, ConstBytes) {
  return PosixError(EINVAL);
}

uint32_t ResourceManager::Poll(OpenFile&) { return files::kReadable | files::kWritable; }

absl::StatusOr<uint64_t> ResourceManager::Control(OpenFile&, uint64_t, ConstBytes, MutableBytes,
                                                  uint64_t&) {
  return PosixError(ENOTTY);
}

absl::Status ResourceManager::Truncate(Node&, uint64_t) { return PosixError(EINVAL); }

absl::Status ResourceManager::Sync(OpenFile&) { return absl::OkStatus(); }

absl::StatusOr<std::shared_ptr<Node>> ResourceManager::Lookup(Node&, absl::string_view) {
  return PosixError(ENOENT);
}

absl::StatusOr<std::shared_ptr<Node>> ResourceManager::Create(Node&, absl::string_view, uint32_t) {
  return PosixError(EROFS);
}

absl::StatusOr<std::vector<DirectoryEntry>> ResourceManager::List(Node&) {
  return std::vector<DirectoryEntry>();
}

absl::Status ResourceManager::Unlink(Node&, absl::string_view, bool) { return PosixError(EROFS); }

absl::Status ResourceManager::Rename(Node&, absl::string_view, Node&, absl::string_view) {
  return PosixError(EROFS);
}

absl::StatusOr<std::shared_ptr<OpenFile>> ResourceManager::Open(std::shared_ptr<Node> node,
                                                                uint32_t) {
  return std::make_shared<OpenFile>(std::move(node));
}

void ResourceManager::Close(OpenFile&) {}

uint64_t CopyText(absl::string_view text, uint64_t offset, MutableBytes bytes) {
  if (offset >= text.size()) return 0;
  const uint64_t count = std::min<uint64_t>(bytes.size(), text.size() - offset);
  std::memcpy(bytes.data(), text.data() + offset, count);
  return count;
}

}  // namespace ipc
