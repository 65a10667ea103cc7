// A resource manager: a server that answers file operations below its names (M1, M4).
//
// Derive, override what the device does, run it on a name. Everything else (paths, symbolic links,
// permissions, open modes, positions, locks, combined messages, clients that leave or die) is done
// here as POSIX has it. A device's errors are PosixError; its data goes straight between the device
// and the client's bytes or region.
//
//   class Zero : public ipc::ResourceManager {
//     absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile&, uint64_t,
//                                   ipc::MutableBytes bytes) override {
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
// the highest priority first. A deadline, a cancel or death releases it. What the device has begun
// and will end itself, a disk's read, it defers: see FileCall::Defer.
//
// Threads: operations run one at a time, at their client's priority; one that is tried again, at
// that of the client whose operation has woken it. With a pool of threads, one at a time on
// each node, and several on different nodes.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_RESOURCE_MANAGER_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_RESOURCE_MANAGER_H_

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ipc/bytes.h"
#include "ipc/dispatcher.h"
#include "ipc/file_call.h"
#include "ipc/file_protocol.h"
#include "ipc/posix.h"
#include "ipc/process.h"
#include "ipc/thread_pool.h"

namespace ipc {

class FileLocks;
class ResourceServer;

// A file, directory or device: what a path leads to.
class Node {
 public:
  explicit Node(uint32_t mode) { stat.mode = mode; }  // S_IF* and permissions
  virtual ~Node() = default;
  bool IsDirectory() const { return S_ISDIR(stat.mode); }

  files::Stat stat;  // owner 0 and size 0 at first; the inode and the times are given, where they
                     // are 0, when a client comes to it first

 private:
  friend class ResourceServer;
  std::unique_ptr<Mutex> busy_;       // with a pool: an operation is at it
  std::shared_ptr<FileLocks> locks_;  // null: nobody has had one
  uint64_t wakes_ = 0;
};

// One that a directory lists.
struct DirectoryEntry {
  std::string name;
  uint64_t inode = 0;
  uint32_t mode = 0;  // S_IF* at least
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
  friend class ResourceServer;
  std::shared_ptr<Node> node_;
  uint32_t flags_ = 0;
  uint64_t position_ = 0;
  bool moving_ = false;                 // by a deferred operation: others wait
  std::vector<DirectoryEntry> listed_;  // as they were when the list was begun
  EventToken event_;                    // to deliver once one of these holds
  uint32_t notify_ = 0;
};

// A name, and what it leads to.
struct Mount {
  std::string path;
  std::shared_ptr<Node> root;
};

// One of several reads of a file that a client has asked for together.
struct ReadPiece {
  FileCall call;
  uint64_t offset;
  MutableBytes bytes;
  absl::StatusOr<uint64_t> count = 0;  // what Read would return
};

class ResourceManager {
 public:
  static constexpr size_t kMaxOpenFiles = 1024;  // of one client process; then EMFILE

  ResourceManager();
  virtual ~ResourceManager();
  ResourceManager(const ResourceManager&) = delete;
  ResourceManager& operator=(const ResourceManager&) = delete;

  // Attaches the names and serves until the process ends, or a name cannot be had: the exit status
  // for Main, after a line on stderr.
  int Run(Process& self, absl::string_view path, std::shared_ptr<Node> root,
          const PoolOptions& pool = {});
  int Run(Process& self, std::vector<Mount> mounts, const PoolOptions& pool = {});

 protected:
  // -- What a device does. `bytes` is where the client wants the data, or has it.

  // From `offset` on, as many as there are; returns how many, at most bytes.size(), 0 at the end.
  // EAGAIN: see above. Default: EISDIR, EINVAL.
  virtual absl::StatusOr<uint64_t> Read(FileCall& call, OpenFile& file, uint64_t offset,
                                        MutableBytes bytes);
  virtual absl::StatusOr<uint64_t> Write(FileCall& call, OpenFile& file, uint64_t offset,
                                         ConstBytes bytes);
  // Several reads of a regular file, in any order, each finished now or deferred. Default: one Read
  // after the other.
  virtual void ReadPieces(OpenFile& file, absl::Span<ReadPiece> pieces);
  // What does not block: of files::kReadable and kWritable. Default: both, as of a regular file.
  virtual uint32_t Poll(OpenFile& file);
  // A request of the device's own. Default: ENOTTY.
  virtual absl::Status Control(FileCall& call, OpenFile& file, ControlRequest& request);
  // Default: EINVAL.
  virtual absl::Status Truncate(Node& node, uint64_t size);
  // Default: nothing is kept back.
  virtual absl::Status Sync(FileCall& call, OpenFile& file);
  // A token of a region of the device's, granted to call.from().sender. Default: ENODEV.
  virtual absl::StatusOr<Token> Map(FileCall& call, OpenFile& file, uint64_t offset,
                                    uint64_t length, bool writable);
  // What the node is like now. Default: node.stat.
  virtual absl::StatusOr<files::Stat> Stat(Node& node);
  // What change.mask names; who may has been checked. Default: it is noted in node.stat.
  virtual absl::Status Change(Node& node, const files::Change& change);

  // -- What a directory does

  // With node.stat as it is now. Default: ENOENT.
  virtual absl::StatusOr<std::shared_ptr<Node>> Lookup(Node& directory, absl::string_view name);
  // The name is not there. `mode` has S_IF*; `target` is where a symbolic link leads. The new
  // node's owner is set by the caller of this. Default: EROFS.
  virtual absl::StatusOr<std::shared_ptr<Node>> Create(FileCall& call, Node& directory,
                                                       absl::string_view name, uint32_t mode,
                                                       absl::string_view target);
  // All of its entries. Default: none.
  virtual absl::StatusOr<std::vector<DirectoryEntry>> List(Node& directory);
  // The name is there, and of that kind. ENOTEMPTY is the device's to find. Default: EROFS.
  virtual absl::Status Unlink(Node& directory, absl::string_view name, bool is_directory);
  // `name` is there; what has the new one, if anything, is of its kind. Default: EROFS.
  virtual absl::Status Rename(Node& from, absl::string_view name, Node& to,
                              absl::string_view new_name);
  // Another name for a node that is no directory; `name` is not there. Default: EPERM.
  virtual absl::Status Link(std::shared_ptr<Node> node, Node& directory, absl::string_view name);
  // Where a symbolic link leads. Default: EINVAL.
  virtual absl::StatusOr<std::string> ReadLink(Node& node);
  // Default: no blocks.
  virtual absl::StatusOr<files::StatFs> StatFs();

  // -- Opening and closing

  // Permissions have been checked. Default: an OpenFile.
  virtual absl::StatusOr<std::shared_ptr<OpenFile>> Open(FileCall& call, std::shared_ptr<Node> node,
                                                         uint32_t flags);
  // The last of it; its client may be dead.
  virtual void Close(OpenFile& file);

  // -- What comes from elsewhere

  // Before the first message, with what timers, events and watches of descriptors are made on. An
  // error ends Run.
  virtual absl::Status OnStart(Process& self, const Channel& channel);
  virtual void OnPulse(const Pulse& pulse);  // with a code of 0 to 127
  virtual void OnReady(const Ready& ready);  // a descriptor

  // -- For the device to call, in any of the above

  // Operations that block on this node are tried again before the next message is received, and
  // who asked to be notified is.
  void Wake(const Node& node);
  // The time for files: since 1970, nanoseconds. REQUIRES: it runs.
  int64_t WallNs() const;

 private:
  friend class ResourceServer;
  std::unique_ptr<ResourceServer> server_;
};

// Copies of `text` what lies at `offset`, for devices that are read as a line of text: returns how
// many bytes.
uint64_t CopyText(absl::string_view text, uint64_t offset, MutableBytes bytes);

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_RESOURCE_MANAGER_H_
