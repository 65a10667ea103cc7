// Files of resource managers, as their clients have them (M1).
//
// Results and errors are as POSIX has them: PosixErrorOf gives the errno. A server that dies makes
// every call on its files fail with EIO; so does a call that the server dropped.
//
// Paths are absolute; empty, "." and ".." parts are resolved by their text alone.
//
// Threads: any number may use one File; its position is shared, as of a descriptor. It is closed,
// or moved, by one when no other uses it.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_FILE_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_FILE_H_

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ipc/channel.h"
#include "ipc/file_protocol.h"
#include "ipc/posix.h"
#include "ipc/process.h"

namespace ipc {

struct FileExchange;  // src/file_exchange.h

// One of a directory.
struct ListedName {
  std::string name;
  uint64_t inode = 0;
  uint32_t mode = 0;  // S_IF* at least
};

// One of several reads.
struct Piece {
  uint64_t offset = 0;  // in the file
  uint64_t at = 0;      // where in the region reference's range
  uint64_t length = 0;  // bytes
  uint64_t count = 0;   // how many there were, once it has been read; 0 at the file's end
};

class [[nodiscard]] File {
 public:
  // open(2) of an absolute path, below a name that somebody serves: `flags` are O_*, `mode` the
  // permissions of what O_CREAT makes. Waits for the name until `deadline`, and then for the
  // server. ENOENT: nobody serves it, or no such file; EACCES, EEXIST, EISDIR, ENOTDIR, EMFILE and
  // what the server says.
  static absl::StatusOr<File> Open(Process& self, absl::string_view path, uint32_t flags,
                                   uint32_t mode = 0666, Deadline deadline = Deadline::Poll());
  File(File&& other) noexcept = default;
  File& operator=(File&& other) noexcept;
  ~File();  // closes it; blocks until the server has

  // At the position, which moves. May be short, as read(2); 0 at the end. Blocks while the device
  // has nothing, unless opened with O_NONBLOCK (EAGAIN), until `deadline` (ETIMEDOUT).
  absl::StatusOr<uint64_t> Read(MutableBytes bytes, Deadline deadline = {}) const;
  absl::StatusOr<uint64_t> Write(ConstBytes bytes, Deadline deadline = {}) const;
  // At `offset`; the position stays. EINVAL: an offset that no file can have.
  absl::StatusOr<uint64_t> ReadAt(uint64_t offset, MutableBytes bytes,
                                  Deadline deadline = {}) const;
  absl::StatusOr<uint64_t> WriteAt(uint64_t offset, ConstBytes bytes, Deadline deadline = {}) const;
  // M2: straight into, or out of, the region, as much as the reference covers.
  absl::StatusOr<uint64_t> ReadAt(uint64_t offset, const RegionReference& into,
                                  Deadline deadline = {}) const;
  absl::StatusOr<uint64_t> WriteAt(uint64_t offset, const RegionReference& from,
                                   Deadline deadline = {}) const;
  // Many reads at once: of files::kMaxOperations pieces one message, which the server may have
  // under way together. The error of the first that failed; then no count holds. EINVAL: an offset
  // that no file can have, or a place beyond the reference's range.
  absl::Status ReadAt(absl::Span<Piece> pieces, const RegionReference& into,
                      Deadline deadline = {}) const;

  // lseek(2): SEEK_SET, SEEK_CUR, SEEK_END; returns the new position. ESPIPE, EINVAL.
  absl::StatusOr<uint64_t> Seek(int64_t distance, int whence) const;
  absl::StatusOr<files::Stat> Stat() const;
  // readdir(3): all names of a directory, without "." and "..". ENOTDIR.
  absl::StatusOr<std::vector<ListedName>> List() const;
  absl::Status Truncate(uint64_t size) const;
  absl::Status Sync() const;
  // poll(2): which of `wanted` (files::kReadable, kWritable) would not block now.
  absl::StatusOr<uint32_t> Poll(uint32_t wanted) const;
  // The same, once there is one. ETIMEDOUT.
  absl::StatusOr<uint32_t> Wait(uint32_t wanted, Deadline deadline = {}) const;
  // For Notify: an event that this file's server may deliver on `channel`, as
  // Channel::RegisterEvent has it. Until the channel ends, or Process::Revoke(event.token).
  absl::StatusOr<EventToken> MakeEvent(const Channel& channel, uint8_t code, uint64_t value,
                                       int priority) const;
  // Has the event delivered once one of `wanted` holds; once, then it is asked for anew. Returns
  // which hold already: then it will not be. A file has one event at a time, the last asked for;
  // `wanted` 0 ends it. A server that dies delivers none: see OpenOptions::death.
  absl::StatusOr<uint32_t> Notify(uint32_t wanted, const EventToken& event) const;
  // ioctl(2): the device's own requests. Returns what ioctl would; `reply` is filled as far as the
  // device goes. ENOTTY: it has no such request.
  absl::StatusOr<uint64_t> Control(uint64_t code, ConstBytes request, MutableBytes reply,
                                   Deadline deadline = {}) const;
  // The same with structs, each with its type and version. EPROTO: another reply than a Reply.
  template <TypedMessage Reply, TypedMessage Request>
  absl::StatusOr<Reply> Control(const Request& request, Deadline deadline = {}) const;
  // mmap(2): a region of the server's, from `offset` on, both multiples of 4096. For writing if the
  // file is open for it and `writable` is asked for. ENODEV: it cannot be mapped.
  absl::StatusOr<Region> Map(uint64_t offset, uint64_t length, bool writable) const;

  // Advisory locks, fcntl(2)'s record locks of this open file (F_OFD_SETLK): `type` is F_RDLCK,
  // F_WRLCK or F_UNLCK; length 0 reaches to the end. They end with the file. Lock waits for others
  // until `deadline`; past already: EAGAIN. EDEADLK is not found: give a deadline. FindLock: who
  // stands in the way.
  absl::Status Lock(uint32_t type, uint64_t start = 0, uint64_t length = 0, Deadline deadline = {},
                    uint64_t owner = 0) const;
  absl::StatusOr<files::Lock> FindLock(uint32_t type, uint64_t start = 0, uint64_t length = 0,
                                       uint64_t owner = 0) const;
  // fchmod(2), fchown(2), futimens(2). EPERM: not the owner.
  absl::Status Change(const files::Change& change) const;

  // Normalized, as it was opened.
  const std::string& path() const { return path_; }

 private:
  friend class FileServer;
  File(Process& self, std::shared_ptr<const Connection> connection, std::string path,
       uint32_t number)
      : self_(&self), connection_(std::move(connection)), path_(std::move(path)), number_(number) {}
  void Close();
  absl::Status Do(files::Verb verb) const;
  absl::StatusOr<FileExchange> Do(FileExchange exchange, CallOptions options) const;
  absl::StatusOr<uint32_t> Ready(FileExchange exchange, CallOptions options) const;
  absl::Status ControlTyped(uint64_t code, ConstBytes request, MessageType wanted,
                            MutableBytes reply, Deadline deadline) const;
  absl::StatusOr<uint64_t> Transfer(files::Verb verb, uint64_t offset, ConstBytes from,
                                    MutableBytes into, Deadline deadline) const;
  absl::StatusOr<uint64_t> Transfer(files::Verb verb, uint64_t offset,
                                    const RegionReference& region, Deadline deadline) const;

  Process* self_;
  std::shared_ptr<const Connection> connection_;  // null: moved from
  std::string path_;
  uint32_t number_ = 0;
};

template <TypedMessage Reply, TypedMessage Request>
absl::StatusOr<Reply> File::Control(const Request& request, Deadline deadline) const {
  absl::StatusOr<Reply> reply(absl::in_place);
  const MessageType wanted = {Reply::kType.code, Reply::kType.version};
  absl::Status done = ControlTyped(files::ControlCode<Request>(), BytesOf(request), wanted,
                                   MutableBytesOf(*reply), deadline);
  if (!done.ok()) reply = done;
  return reply;
}

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_FILE_H_
