// The files of ramfs, as a resource manager.
//
// Threads: those of its manager; operations come one at a time.
#ifndef PARLEY_SERVERS_RAMFS_TREE_H_
#define PARLEY_SERVERS_RAMFS_TREE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ipc/resource_manager.h"

namespace ramfs {

// Bytes that all files together may take up. What a node takes it gives back when it goes, which is
// when it has no name and nobody has it open.
struct Budget {
  uint64_t limit = 0, used = 0;
};

class Tree : public ipc::ResourceManager {
 public:
  static constexpr uint64_t kNodeBytes = 512;  // of the budget, for each node itself

  explicit Tree(uint64_t limit_bytes) : budget_(std::make_shared<Budget>(Budget{limit_bytes, 0})) {}
  // Empty, for everybody to write in, as /tmp. REQUIRES: the budget has room for it.
  std::shared_ptr<ipc::Node> MakeRoot();

 private:
  struct Entry;
  struct Folder;
  struct Text;
  static Folder& FolderOf(ipc::Node& node);
  static Text& TextOf(ipc::Node& node);
  std::shared_ptr<ipc::Node> Make(uint32_t mode, absl::string_view target);
  bool Resize(Text& text, uint64_t size);

  absl::StatusOr<uint64_t> Read(ipc::FileCall& call, ipc::OpenFile& file, uint64_t offset,
                                ipc::MutableBytes bytes) override;
  absl::StatusOr<uint64_t> Write(ipc::FileCall& call, ipc::OpenFile& file, uint64_t offset,
                                 ipc::ConstBytes bytes) override;
  absl::Status Truncate(ipc::Node& node, uint64_t size) override;
  absl::StatusOr<std::shared_ptr<ipc::Node>> Lookup(ipc::Node& directory,
                                                    absl::string_view name) override;
  absl::StatusOr<std::shared_ptr<ipc::Node>> Create(ipc::FileCall& call, ipc::Node& directory,
                                                    absl::string_view name, uint32_t mode,
                                                    absl::string_view target) override;
  absl::StatusOr<std::vector<ipc::DirectoryEntry>> List(ipc::Node& directory) override;
  absl::Status Unlink(ipc::Node& directory, absl::string_view name, bool is_directory) override;
  absl::Status Rename(ipc::Node& from, absl::string_view name, ipc::Node& to,
                      absl::string_view new_name) override;
  absl::Status Link(std::shared_ptr<ipc::Node> node, ipc::Node& directory,
                    absl::string_view name) override;
  absl::StatusOr<std::string> ReadLink(ipc::Node& node) override;
  absl::StatusOr<ipc::files::StatFs> StatFs() override;

  const std::shared_ptr<Budget> budget_;
};

}  // namespace ramfs

#endif  // PARLEY_SERVERS_RAMFS_TREE_H_
