// A server of files, as its clients have it: one connection for many paths (M1).
//
// Paths are absolute ones, as of File::Open; errors are as POSIX has them. Once the server has died
// each call fails with EIO, and a new FileServer reaches its successor.
//
// Threads: any number may use one, and copies of it, which share its connection.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_FILE_SERVER_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_FILE_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ipc/file.h"
#include "ipc/file_protocol.h"
#include "ipc/process.h"

namespace ipc {

// A connection to a server of files.
class FileServer {
 public:
  // To whoever serves `path`; waits for somebody until options.deadline. ENOENT: nobody does.
  static absl::StatusOr<FileServer> Connect(Process& self, absl::string_view path,
                                            const OpenOptions& options = {});

  // As File::Open.
  absl::StatusOr<File> Open(absl::string_view path, uint32_t flags, uint32_t mode = 0666) const;
  // stat(2), or lstat(2) where a link is not to be followed.
  absl::StatusOr<files::Stat> Stat(absl::string_view path, bool follow = true) const;
  absl::Status Unlink(absl::string_view path) const;           // EISDIR
  absl::Status RemoveDirectory(absl::string_view path) const;  // ENOTDIR, ENOTEMPTY
  absl::Status Rename(absl::string_view from, absl::string_view to) const;
  // mkdir(2), mknod(2) of a file without contents, symlink(2), link(2), readlink(2).
  absl::Status MakeDirectory(absl::string_view path, uint32_t mode = 0777) const;
  absl::Status MakeNode(absl::string_view path, uint32_t mode) const;
  absl::Status MakeSymbolicLink(absl::string_view target, absl::string_view path) const;
  absl::Status Link(absl::string_view from, absl::string_view to) const;
  absl::StatusOr<std::string> ReadLink(absl::string_view path) const;
  // chmod(2), chown(2), utimensat(2). EPERM: not the owner.
  absl::Status Change(absl::string_view path, const files::Change& change,
                      bool follow = true) const;
  absl::StatusOr<files::StatFs> StatFs() const;

  // The name that it serves, a prefix of the path it was connected by.
  const std::string& name() const { return name_; }

 private:
  FileServer(Process& self, std::shared_ptr<const Connection> connection, std::string name)
      : self_(&self), connection_(std::move(connection)), name_(std::move(name)) {}
  friend absl::StatusOr<std::string> ReadFile(Process&, absl::string_view, Deadline);
  friend absl::Status WriteFile(Process&, absl::string_view, absl::string_view, Deadline);
  absl::StatusOr<FileExchange> Do(FileExchange exchange) const;
  absl::Status Do(absl::Span<FileExchange> exchanges, Deadline deadline) const;
  absl::Status One(files::Verb verb, absl::string_view path, uint32_t flags) const;
  absl::Status Make(absl::string_view path, absl::string_view target, uint32_t mode) const;

  Process* self_;
  std::shared_ptr<const Connection> connection_;
  std::string name_;
};

// The same of any path, with a connection of its own each time. Rename, Link: EXDEV: two servers.
absl::StatusOr<files::Stat> StatOf(Process& self, absl::string_view path);
absl::Status Unlink(Process& self, absl::string_view path);
absl::Status RemoveDirectory(Process& self, absl::string_view path);
absl::Status Rename(Process& self, absl::string_view from, absl::string_view to);
absl::Status MakeDirectory(Process& self, absl::string_view path, uint32_t mode = 0777);

// What `cat PATH` prints and `echo TEXT >PATH` does, for what fits one message: opened, read or
// written, and closed by one send. EMSGSIZE: files::kMaxPayloadBytes or more. A short write is EIO.
absl::StatusOr<std::string> ReadFile(Process& self, absl::string_view path, Deadline deadline = {});
absl::Status WriteFile(Process& self, absl::string_view path, absl::string_view text,
                       Deadline deadline = {});

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_FILE_SERVER_H_
