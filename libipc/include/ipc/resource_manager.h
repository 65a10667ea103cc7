// A resource manager: a server that answers file operations below its name (M1, M4).
//
// Derive, override what the device does, run it on a name. Everything else (paths,
// permissions, open modes, positions, combined messages, clients that leave or die) is done here as
// POSIX has it. A device's errors are PosixError; its data goes straight between the device and the
// client's bytes or region.
//
//   class Zero : public ipc::ResourceManager {
//     absl::StatusOr<uint64_t> Read(ipc::OpenFile&, uint64_t, ipc::MutableBytes bytes) override {
//       std::fill(bytes.begin(), bytes.end(), std::byte{0});
//       return bytes.size();
//     }
//   };
//   int Main(ipc::Process& self) {
//     Zero zero;
//     return zero.Run(self, "/dev/zero", std::make_shared<ipc::Node>(S_IFCHR | 0666));
//   }
//
// Blocking: a Read, Write or Control that cannot go on now returns EAGAIN. A client that has opened
// with O_NONBLOCK gets that; any other stays blocked until Wake, then the operation is tried again,
// the highest priority first. A deadline, a cancel or death releases it.
//
// Threads: operations run one at a time, at their client's priority; one that is tried again, at
// that of the client whose operation has woken it.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_RESOURCE_MANAGER_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_RESOURCE_MANAGER_H_

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ipc/bytes.h"
#include "ipc/file_protocol.h"
#include "ipc/posix.h"
#include "ipc/process.h"

namespace ipc {

// A file, directory or device: what a path leads to.
struct Node {
  explicit Node(uint32_t mode) { stat.mode = mode; }  // S_IF* and permissions
  virtual ~Node() = default;
  bool IsDirectory() const { return S_ISDIR(stat.mode); }

  files::Stat stat;  // owner 0 and size 0 at first
};

// An open file: what open(2) makes of a node. Derive for state that each needs.
class OpenFile {
 public:
  explicit OpenFile(std::shared_ptr<Node> node) : node_(std::move(node)) {}
  virtual ~OpenFile() = default;

  Node& node() const { return *node_; }
  const std::shared_ptr<Node>& shared_node() const { return node_; }
  uint32_t flags() const { return flags_; }  // O_*
  uint64_t position() const { return position_; }

 private:
  friend class ResourceManager;
  std::shared_ptr<Node> node_;
  uint32_t flags_ = 0;
  uint64_t position_ = 0;
};

// One that a directory lists.
struct DirectoryEntry {
  std::string name;
  std::shared_ptr<Node> node;
};

class ResourceManager {
 public:
  static constexpr size_t kMaxOpenFiles = 1024;  // of one client process; then EMFILE

  ResourceManager();
  virtual ~ResourceManager();
  ResourceManager(const ResourceManager&) = delete;
  ResourceManager& operator=(const ResourceManager&) = delete;

  // Attaches the name and serves until the process ends or the channel cannot be had: the exit
  // status for Main, after a line on stderr.
  int Run(Process& self, absl::string_view path, std::shared_ptr<Node> root);

 protected:
  // -- What a device does. `bytes` is where the client wants the data, or has it.

  // From `offset` on, as many as there are; returns how many, at most bytes.size(), 0 at the end.
  // EAGAIN: see above. Default: EISDIR, EINVAL.
  virtual absl::StatusOr<uint64_t> Read(OpenFile& file, uint64_t offset, MutableBytes bytes);
  virtual absl::StatusOr<uint64_t> Write(OpenFile& file, uint64_t offset, ConstBytes bytes);
  // What does not block: of files::kReadable and kWritable. Default: both, as of a regular file.
  virtual uint32_t Poll(OpenFile& file);
  // A request of the device's own, `reply` its room; returns how much of that is used, and in
  // `value` what ioctl would return. Default: ENOTTY.
  virtual absl::StatusOr<uint64_t> Control(OpenFile& file, uint64_t code, ConstBytes request,
                                           MutableBytes reply, uint64_t& value);
  // Default: EINVAL.
  virtual absl::Status Truncate(Node& node, uint64_t size);
  // Default: nothing is kept back.
  virtual absl::Status Sync(OpenFile& file);

  // -- What a directory does

  // Default: ENOENT.
  virtual absl::StatusOr<std::shared_ptr<Node>> Lookup(Node& directory, absl::string_view name);
  // O_CREAT of a name that is not there. Default: EROFS.
  virtual absl::StatusOr<std::shared_ptr<Node>> Create(Node& directory, absl::string_view name,
                                                       uint32_t mode);
  // All of its entries, in an order that lasts. Default: none.
  virtual absl::StatusOr<std::vector<DirectoryEntry>> List(Node& directory);
  // The name is there, and of that kind. ENOTEMPTY is the device's to find. Default: EROFS.
  virtual absl::Status Unlink(Node& directory, absl::string_view name, bool is_directory);
  // `name` is there; what has the new one, if anything, is of its kind. Default: EROFS.
  virtual absl::Status Rename(Node& from, absl::string_view name, Node& to,
                              absl::string_view new_name);

  // -- Opening and closing

  // Permissions have been checked. Default: an OpenFile.
  virtual absl::StatusOr<std::shared_ptr<OpenFile>> Open(std::shared_ptr<Node> node,
                                                         uint32_t flags);
  // The last of it; its client may be dead.
  virtual void Close(OpenFile& file);

  // Operations that block on this node are tried again before the next message is received. By an
  // operation.
  void Wake(const Node& node);

 private:
  class Server;  // src/resource_server.h
  friend class Server;
  std::unique_ptr<Server> server_;
};

// Copies of `text` what lies at `offset`, for devices that are read as a line of text: returns how
// many bytes.
uint64_t CopyText(absl::string_view text, uint64_t offset, MutableBytes bytes);

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_RESOURCE_MANAGER_H_
