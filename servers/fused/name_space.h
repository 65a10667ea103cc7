// The name space as a tree of directories: who serves a path, and which names lie below it.
//
// The names are asked for once, again when one has come or gone, of which the name server tells by
// pulses, and again before a path is said to be nobody's: a pulse may come a moment later than who
// attached the name goes on. A directory that is there only because a name lies below it is
// nobody's: "/dev", with "/dev/null" alone.
//
// A connection to each server is kept. When its server turns out to be dead it is dropped, and the
// next call finds the successor; what was opened through it stays dead.
//
// Threads: any number. Errors are as POSIX has them: EINTR for a call whose thread was cancelled.
#ifndef PARLEY_SERVERS_FUSED_NAME_SPACE_H_
#define PARLEY_SERVERS_FUSED_NAME_SPACE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "ipc/file_server.h"
#include "ipc/process.h"

namespace fused {

// Whether a call that its server may have begun, before it died, may be made once more.
enum class Repeat { kNever, kHarmless };

// Who serves a name.
struct Server {
  ipc::FileServer files;
  uint64_t number = 0;   // the name's, for good
  uint64_t version = 0;  // which of its servers, one after the other

  // Of its file, unlike that of any other server's, as long as theirs have 48 bits.
  uint64_t InodeOf(uint64_t inode) const { return inode ^ number << 48; }
};

// A path as Linux is told of it.
struct Found {
  ipc::files::Stat stat;   // the inode is one of Server::InodeOf
  bool is_served = false;  // else a directory that is made of names alone
};

class NameSpace {
 public:
  static absl::StatusOr<std::unique_ptr<NameSpace>> Make(ipc::Process& self);

  using Operation = absl::FunctionRef<absl::Status(const Server&)>;
  // Does it with whoever serves `path`: once more with the successor, if the server turns out to be
  // dead. ENOENT: nobody serves it; EIO: the server died and nobody has followed.
  absl::Status Do(absl::string_view path, Repeat repeat, Operation operation);

  // lstat(2).
  absl::StatusOr<Found> Find(absl::string_view path);
  // The next parts of the names below a directory, sorted: "null" of "/dev".
  absl::StatusOr<std::vector<std::string>> NamesIn(absl::string_view directory);
  // What the directory's server lists and NamesIn together; inodes as those of Find.
  absl::StatusOr<std::vector<ipc::ListedName>> List(absl::string_view directory);
  // EXDEV: another server serves it. ENOENT: nobody does.
  absl::Status CheckServes(const Server& server, absl::string_view path);

 private:
  struct Served {
    uint64_t number = 0;
    uint64_t versions = 0;
    std::optional<Server> server = {};  // nothing: not connected
  };

  NameSpace(ipc::Process& self, ipc::Channel channel, ipc::Mutex mutex)
      : self_(self), channel_(std::move(channel)), mutex_(std::move(mutex)) {}
  absl::Status Refresh();
  const std::string* NameOf(absl::string_view path) const;
  bool LeadsToNames(absl::string_view path) const;
  absl::StatusOr<Server> ServerOf(absl::string_view path);
  absl::Status Drop(const Server& server);
  absl::StatusOr<Found> FindNames(absl::string_view path);

  ipc::Process& self_;
  const ipc::Channel channel_;  // of the pulses
  ipc::Mutex mutex_;            // guards what follows
  bool stale_ = true;
  std::set<std::string, std::less<>> names_;
  std::map<std::string, Served, std::less<>> served_;  // also names that have gone
};

}  // namespace fused

#endif  // PARLEY_SERVERS_FUSED_NAME_SPACE_H_
