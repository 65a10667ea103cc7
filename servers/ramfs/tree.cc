// The files of ramfs.
#include "servers/ramfs/tree.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace ramfs {

// A node that takes its part of the budget.
struct Tree::Entry : ipc::Node {
  Entry(uint32_t mode, std::shared_ptr<Budget> from) : ipc::Node(mode), budget(std::move(from)) {
    budget->used += kNodeBytes;
  }
  ~Entry() override { budget->used -= kNodeBytes; }
  const std::shared_ptr<Budget> budget;
};

struct Tree::Folder : Entry {
  using Entry::Entry;
  std::map<std::string, std::shared_ptr<ipc::Node>, std::less<>> entries;
};

// A file, or where a symbolic link leads.
struct Tree::Text : Entry {
  using Entry::Entry;
  ~Text() override { budget->used -= bytes.size(); }
  std::string bytes;
};

Tree::Folder& Tree::FolderOf(ipc::Node& node) { return static_cast<Folder&>(node); }
Tree::Text& Tree::TextOf(ipc::Node& node) { return static_cast<Text&>(node); }

std::shared_ptr<ipc::Node> Tree::MakeRoot() { return Make(S_IFDIR | S_ISVTX | 0777, {}); }

// Null: the budget is used up.
std::shared_ptr<ipc::Node> Tree::Make(uint32_t mode, absl::string_view target) {
  if (budget_->limit - budget_->used < kNodeBytes + target.size()) return nullptr;
  if (S_ISDIR(mode)) {
    auto folder = std::make_shared<Folder>(mode, budget_);
    folder->stat.links = 2;
    return folder;
  }
  auto text = std::make_shared<Text>(mode, budget_);
  Resize(*text, target.size());
  std::copy(target.begin(), target.end(), text->bytes.begin());
  return text;
}

bool Tree::Resize(Text& text, uint64_t size) {
  const uint64_t has = text.bytes.size();
  if (size > has && size - has > budget_->limit - budget_->used) return false;
  text.bytes.resize(size);
  if (size < has) text.bytes.shrink_to_fit();
  budget_->used += size - has;  // less than before, where it wraps around
  text.stat.size = size;
  return true;
}

// -- Files

absl::StatusOr<uint64_t> Tree::Read(ipc::FileCall& call, ipc::OpenFile& file, uint64_t offset,
                                    ipc::MutableBytes bytes) {
  if (file.node().IsDirectory()) return ResourceManager::Read(call, file, offset, bytes);
  return ipc::CopyText(TextOf(file.node()).bytes, offset, bytes);
}

absl::StatusOr<uint64_t> Tree::Write(ipc::FileCall&, ipc::OpenFile& file, uint64_t offset,
                                     ipc::ConstBytes bytes) {
  Text& text = TextOf(file.node());
  const uint64_t has = text.bytes.size();
  const uint64_t room = std::max(has, has + (budget_->limit - budget_->used));
  if (bytes.empty()) return 0;
  if (offset >= room) return ipc::PosixError(ENOSPC);
  const uint64_t count = std::min<uint64_t>(bytes.size(), room - offset);
  if (offset + count > has) Resize(text, offset + count);
  std::memcpy(text.bytes.data() + offset, bytes.data(), count);
  return count;
}

absl::Status Tree::Truncate(ipc::Node& node, uint64_t size) {
  return Resize(TextOf(node), size) ? absl::OkStatus() : ipc::PosixError(ENOSPC);
}

absl::StatusOr<std::string> Tree::ReadLink(ipc::Node& node) { return TextOf(node).bytes; }

absl::StatusOr<ipc::files::StatFs> Tree::StatFs() {
  ipc::files::StatFs stat;
  stat.blocks = budget_->limit / stat.block_bytes;
  stat.blocks_free = stat.blocks_available = (budget_->limit - budget_->used) / stat.block_bytes;
  stat.files = budget_->limit / kNodeBytes;
  stat.files_free = (budget_->limit - budget_->used) / kNodeBytes;
  return stat;
}

// -- Directories

absl::StatusOr<std::shared_ptr<ipc::Node>> Tree::Lookup(ipc::Node& directory,
                                                        absl::string_view name) {
  const auto& entries = FolderOf(directory).entries;
  const auto at = entries.find(name);
  if (at == entries.end()) return ipc::PosixError(ENOENT);
  return at->second;
}

absl::StatusOr<std::shared_ptr<ipc::Node>> Tree::Create(ipc::FileCall&, ipc::Node& directory,
                                                        absl::string_view name, uint32_t mode,
                                                        absl::string_view target) {
  std::shared_ptr<ipc::Node> node = Make(mode, target);
  if (node == nullptr) return ipc::PosixError(ENOSPC);
  if (node->IsDirectory()) ++directory.stat.links;
  FolderOf(directory).entries.emplace(name, node);
  return node;
}

absl::StatusOr<std::vector<ipc::DirectoryEntry>> Tree::List(ipc::Node& directory) {
  std::vector<ipc::DirectoryEntry> list;
  for (const auto& [name, node] : FolderOf(directory).entries) {
    list.push_back({name, node->stat.inode, node->stat.mode});
  }
  return list;
}

absl::Status Tree::Unlink(ipc::Node& directory, absl::string_view name, bool is_directory) {
  auto& entries = FolderOf(directory).entries;
  const auto at = entries.find(name);
  ipc::Node& node = *at->second;
  if (is_directory && !FolderOf(node).entries.empty()) return ipc::PosixError(ENOTEMPTY);
  node.stat.links = is_directory ? 0 : node.stat.links - 1;
  if (is_directory) --directory.stat.links;
  entries.erase(at);
  return absl::OkStatus();
}

absl::Status Tree::Rename(ipc::Node& from, absl::string_view name, ipc::Node& to,
                          absl::string_view new_name) {
  auto& entries = FolderOf(from).entries;
  auto& new_entries = FolderOf(to).entries;
  if (const auto replaced = new_entries.find(new_name); replaced != new_entries.end()) {
    absl::Status gone = Unlink(to, new_name, replaced->second->IsDirectory());
    if (!gone.ok()) return gone;
  }
  const auto at = entries.find(name);
  if (at->second->IsDirectory()) {
    --from.stat.links;
    ++to.stat.links;
  }
  std::shared_ptr<ipc::Node> node = at->second;
  entries.erase(at);
  new_entries[std::string(new_name)] = std::move(node);
  return absl::OkStatus();
}

absl::Status Tree::Link(std::shared_ptr<ipc::Node> node, ipc::Node& directory,
                        absl::string_view name) {
  ++node->stat.links;
  FolderOf(directory).entries.emplace(name, std::move(node));
  return absl::OkStatus();
}

}  // namespace ramfs
