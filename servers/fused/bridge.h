// What Linux asks of a file system, done with the servers of the name space.
//
// What Linux may know is asked for anew each time, since files change without it: no name and no
// attribute stays valid (kKnownSeconds). The bytes of regular files stay in its page cache while
// their size and time of change are as they were.
//
// A device, a pipe or whatever else is no regular file is shown as one: Linux would open its own
// device, or a pipe of its own, instead of asking. Its bytes are never cached, so that each read(2)
// and write(2) is one of the device's.
//
// Threads: any of Workers.
#ifndef PARLEY_SERVERS_FUSED_BRIDGE_H_
#define PARLEY_SERVERS_FUSED_BRIDGE_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "ipc/process.h"
#include "servers/fused/fuse.h"
#include "servers/fused/inode_table.h"
#include "servers/fused/name_space.h"
#include "servers/fused/open_files.h"
#include "servers/fused/workers.h"

namespace fused {

class Bridge {
 public:
  // Its user data is a Bridge.
  static fuse_lowlevel_ops Operations();
  // Code of the pulses on `channel`: the value is a file that somebody waits for.
  static constexpr uint8_t kReadyPulse = 1;

  // `folder`: where it is mounted.
  Bridge(ipc::Process& self, NameSpace& names, const ipc::Channel& channel, std::string folder)
      : self_(self), names_(names), channel_(channel), folder_(std::move(folder)) {}

  // Before the first request. `workers` outlives them all.
  void Start(Workers& workers) { workers_ = &workers; }
  // A file is ready, or no longer not.
  void OnReady(uint64_t number);

 private:
  static constexpr double kKnownSeconds = 0;
  using Work = absl::FunctionRef<absl::Status()>;
  using Name = const char*;
  using Info = fuse_file_info*;

  // -- Shared by the operations (bridge.cc)
  static void AddNames(fuse_lowlevel_ops& operations);
  static void AddFiles(fuse_lowlevel_ops& operations);
  static Bridge& Of(fuse_req_t request);
  static void Init(void* bridge, fuse_conn_info* connection);
  absl::Status Do(fuse_req_t request, Work work,
                  Interruptible::For what = Interruptible::For::kServer);
  void DoAndReply(fuse_req_t request, Work work,
                  Interruptible::For what = Interruptible::For::kServer);
  static void Reply(fuse_req_t request, const absl::Status& status);
  absl::StatusOr<std::string> PathOf(uint64_t node);
  absl::StatusOr<std::string> PathOf(uint64_t parent, Name name);
  absl::Status Describe(uint64_t parent, Name name, fuse_entry_param& entry);
  void ReplyEntry(fuse_req_t request, const fuse_entry_param& entry);
  void Forgotten(uint64_t node, uint64_t lookups);

  // -- Names (bridge_names.cc)
  void Lookup(fuse_req_t request, uint64_t parent, Name name);
  absl::Status Attributes(uint64_t node, uint64_t file, struct stat& attributes);
  void GetAttributes(fuse_req_t request, uint64_t node, Info info);
  absl::Status Change(uint64_t node, const struct stat& wanted, int mask, uint64_t file);
  void SetAttributes(fuse_req_t request, uint64_t node, struct stat* wanted, int mask, Info info);
  void ReadLink(fuse_req_t request, uint64_t node);
  void Make(fuse_req_t request, uint64_t parent, Name name,
            absl::FunctionRef<absl::Status(const Server&, const std::string& path)> make);
  absl::Status MakeAt(fuse_req_t request, const std::string& path, NameSpace::Operation make);
  absl::Status GiveToCaller(fuse_req_t request, const Server& server, const std::string& path);
  void MakeNode(fuse_req_t request, uint64_t parent, Name name, uint32_t mode);
  void Remove(fuse_req_t request, uint64_t parent, Name name, bool directory);
  void Rename(fuse_req_t request, uint64_t parent, Name name, uint64_t new_parent, Name new_name,
              unsigned flags);
  void Link(fuse_req_t request, uint64_t node, uint64_t parent, Name name);
  void StatFs(fuse_req_t request, uint64_t node);

  // -- Directories (bridge_names.cc)
  void OpenFolder(fuse_req_t request, uint64_t node, Info info);
  void ReadFolder(fuse_req_t request, size_t size, off_t from, Info info);

  // -- Open files (bridge_files.cc)
  uint32_t TypeOf(uint64_t node);
  absl::StatusOr<std::shared_ptr<OpenFile>> FileOf(uint64_t number) const;
  static void OpenElsewhere(const std::string& path, uint32_t flags, OpenFile& open);
  void Open(fuse_req_t request, uint64_t node, Info info);
  void Create(fuse_req_t request, uint64_t parent, Name name, uint32_t mode, Info info);
  void Keep(std::shared_ptr<OpenFile> open, Info info);
  void Read(fuse_req_t request, size_t size, off_t offset, Info info);
  void Write(fuse_req_t request, const char* bytes, size_t size, off_t offset, Info info);
  void Flush(fuse_req_t request, Info info);
  void Release(fuse_req_t request, Info info);
  void Sync(fuse_req_t request, Info info);
  void FindLock(fuse_req_t request, Info info, const struct flock& wanted);
  void SetLock(fuse_req_t request, Info info, const struct flock& wanted, bool waits);
  void Control(fuse_req_t request, unsigned code, unsigned flags, ipc::ConstBytes bytes,
               size_t room, Info info);
  void Poll(fuse_req_t request, Info info, fuse_pollhandle* handle);

  ipc::Process& self_;
  NameSpace& names_;
  const ipc::Channel& channel_;
  const std::string folder_;
  std::once_flag first_open_;
  Workers* workers_ = nullptr;
  OpenTable<OpenFile> files_;
  OpenTable<OpenDirectory> folders_;
  std::atomic<bool> locks_are_used_ = false;  // by somebody, once
  std::atomic<uint64_t> changes_ = 0;         // of names in the table, by renames and removals
  std::mutex lock_;                           // guards the table
  InodeTable table_;
};

// As Linux is to see it: see above.
struct stat ToLinux(const ipc::files::Stat& stat);

}  // namespace fused

#endif  // PARLEY_SERVERS_FUSED_BRIDGE_H_
