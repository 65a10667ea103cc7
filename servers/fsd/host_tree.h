// The part of the host's file system that fsd serves: what is below one folder, and no way out.
//
// A node holds a descriptor of its file, and each step goes by one name from the descriptor of a
// directory, without following links: so neither "..", nor a symbolic link, nor a folder that is
// moved meanwhile leads out, and there is no race to win. (Links are followed by the resource
// manager, step by step.) Errors are PosixError, as the host's.
//
// One file system: what another one is mounted on is listed, and EXDEV in every other way. For that
// one may be Parley's own name space, shown below the folder by fused: asked for anything, it would
// ask fsd, which waits for its answer.
//
// Threads: one at a time.
#ifndef PARLEY_SERVERS_FSD_HOST_TREE_H_
#define PARLEY_SERVERS_FSD_HOST_TREE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ipc/resource_manager.h"
#include "servers/common/descriptor.h"

namespace fsd {

struct HostNode : ipc::Node {
  HostNode(common::Descriptor path, const ipc::files::Stat& state);
  const common::Descriptor path;  // of O_PATH
  common::Descriptor made;        // of what has just been made, until it is opened
  std::vector<int> writers;       // descriptors of its open files that may write
};

class HostTree {
 public:
  // ENOENT, ENOTDIR.
  static absl::StatusOr<HostTree> Make(const std::string& folder);

  const std::shared_ptr<HostNode>& root() const { return root_; }

  // The same node as long as somebody has it, by whatever name it is found.
  absl::StatusOr<std::shared_ptr<HostNode>> Lookup(const HostNode& directory,
                                                   const std::string& name);
  // A regular file, directory or symbolic link, which then is the user's, where the host permits
  // it; the group is the folder's, where that hands it down. EEXIST; EPERM: another kind.
  absl::StatusOr<std::shared_ptr<HostNode>> Create(const HostNode& directory,
                                                   const std::string& name, uint32_t mode,
                                                   const std::string& target, uint32_t uid,
                                                   uint32_t gid);
  // Of a regular file. EACCES: of anything else. Who has made a file opens it whatever its
  // permissions, as open(2) has it.
  static absl::StatusOr<common::Descriptor> Open(HostNode& node, uint32_t flags);

  static absl::StatusOr<ipc::files::Stat> Stat(const HostNode& node);
  static absl::Status Change(const HostNode& node, const ipc::files::Change& change);
  // By whoever has it open to write, as ftruncate(2): its permissions may have changed since.
  static absl::Status Truncate(const HostNode& node, uint64_t size);
  static absl::StatusOr<std::string> ReadLink(const HostNode& node);
  // In the order of names, without "." and "..".
  static absl::StatusOr<std::vector<ipc::DirectoryEntry>> List(const HostNode& directory);
  static absl::Status Unlink(const HostNode& directory, const std::string& name, bool is_directory);
  static absl::Status Rename(const HostNode& from, const std::string& name, const HostNode& to,
                             const std::string& new_name);
  static absl::Status Link(const HostNode& node, const HostNode& directory,
                           const std::string& name);
  absl::StatusOr<ipc::files::StatFs> StatFs() const;

 private:
  using Identity = std::pair<uint64_t, uint64_t>;  // device, inode
  absl::StatusOr<std::shared_ptr<HostNode>> NodeOf(common::Descriptor path);

  std::shared_ptr<HostNode> root_;
  std::map<Identity, std::weak_ptr<HostNode>> nodes_;
  size_t swept_at_ = 64;  // so many may be there, dead ones among them, before those are taken out
};

}  // namespace fsd

#endif  // PARLEY_SERVERS_FSD_HOST_TREE_H_
