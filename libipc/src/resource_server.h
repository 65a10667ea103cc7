// What a resource manager does for its device: its names and open files, and the operations of its
// clients, those that wait among them.
//
// Threads: with a pool, each of them runs Turn. `tables_` guards what says so; a node's `busy_`
// (Busy) is held while an operation is at it. Order: busy_ of one node, or of two in the order of
// their addresses, then tables_; the device is never called with tables_ held.
#ifndef PARLEY_LIBIPC_SRC_RESOURCE_SERVER_H_
#define PARLEY_LIBIPC_SRC_RESOURCE_SERVER_H_

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "ipc/resource_manager.h"
#include "libipc/src/file_locks.h"
#include "libipc/src/resource_exchange.h"

namespace ipc {

class ResourceServer {
 public:
  explicit ResourceServer(ResourceManager& manager) : manager_(manager) {}
  int Run(Process& self, std::vector<Mount> mounts, const PoolOptions& options);
  void Wake(const Node& node);
  void Finish(uint64_t call, absl::StatusOr<uint64_t> count);
  int64_t WallNs() const { return absl::ToUnixNanos(self_->WallTime()); }

 private:
  using Client = uint32_t;  // ProcessRef::id
  using Exchange = std::unique_ptr<ResourceExchange>;
  struct Step {
    std::shared_ptr<Node> node;  // null: nothing of that name
    std::string name;            // in the step before
  };
  // Where a path leads, from the root of its mount on. Not empty; only the last may lead nowhere.
  struct Walked {
    std::vector<Step> way;
    bool as_directory = false;  // by the "/" behind it

    const std::shared_ptr<Node>& node() const { return way.back().node; }
    const std::string& name() const { return way.back().name; }
    // Null: it is a name of the manager's own.
    Node* parent() const { return way.size() < 2 ? nullptr : way[way.size() - 2].node.get(); }
  };
  struct Target {
    std::shared_ptr<OpenFile> file;
    uint64_t offset = 0;
    bool moves = false;  // the file's position, by what is moved
  };
  struct Opened {
    Client client;
    uint32_t connection;
    std::shared_ptr<OpenFile> file;
  };
  using Pieces = absl::InlinedVector<ReadPiece, files::kMaxOperations>;
  // Reads of one exchange, so many of which their device has yet to finish.
  struct Together {
    Exchange exchange;
    std::shared_ptr<OpenFile> file;
    Pieces pieces;
    size_t left = 0;
  };
  // An operation that its device will finish: an exchange's one, or one of several. The result may
  // come before the exchange: then it was another thread that finished it.
  struct Pending {
    Exchange exchange;
    Target target;
    bool into_reply = false;
    std::shared_ptr<Together> together;
    size_t piece = 0;  // of it
    std::optional<absl::StatusOr<uint64_t>> result;

    bool begun() const { return exchange != nullptr || together != nullptr; }
  };
  class Tables;  // holds tables_ for a scope, if there is a pool
  class Busy;    // and a node's, or two nodes', busy_

  // -- The loop (resource_server.cc)

  absl::Status Start(const std::vector<Mount>& mounts);
  bool Turn(const std::function<void()>& busy);
  void OnPulse(const Pulse& pulse);
  // Goes on with it until it is answered, or waits.
  void Go(Exchange exchange);
  // False: it has been woken meanwhile, and is not to wait.
  bool Block(Exchange& exchange);
  void Settle();
  void RetryWoken(const std::vector<const Node*>& woken);
  void NotifyOf(const Node& node);
  void SetNotify(OpenFile& file, uint32_t wanted);
  void EndDeferred(Pending pending);
  void Unblock(uint64_t message);
  void ForgetClient(Client client, uint32_t newest_connection);
  void Release(OpenFile& file, uint32_t number);

  // -- Operations (resource_operations.cc, resource_pieces.cc, resource_names.cc,
  // resource_state.cc). EAGAIN: it is to wait for `waits_on`; EINPROGRESS: it is in pending_.

  absl::Status Perform(Exchange& exchange);
  absl::Status DoOpen(ResourceExchange& exchange);
  absl::Status DoClose(ResourceExchange& exchange);
  absl::Status DoRead(Exchange& exchange);
  absl::Status DoWrite(Exchange& exchange);
  absl::Status DoSync(Exchange& exchange);
  // How many reads from the next operation on can be made together.
  static size_t CountPieces(const ResourceExchange& exchange, const OpenFile& file);
  absl::Status DoPieces(Exchange& exchange, const std::shared_ptr<OpenFile>& file,
                        MutableBytes range, size_t count);
  absl::Status EndPieces(ResourceExchange& exchange, OpenFile& file, const Pieces& pieces);
  void EndPiece(Pending pending);
  absl::Status DoSeek(ResourceExchange& exchange);
  absl::Status DoTruncate(ResourceExchange& exchange);
  absl::Status DoControl(ResourceExchange& exchange);
  absl::Status DoMap(ResourceExchange& exchange);

  absl::Status DoStat(ResourceExchange& exchange);
  absl::Status DoStatFs(ResourceExchange& exchange);
  absl::Status DoChange(ResourceExchange& exchange);
  absl::Status DoPoll(ResourceExchange& exchange);
  absl::Status DoNotify(ResourceExchange& exchange);
  absl::Status DoLock(ResourceExchange& exchange);

  absl::Status DoList(ResourceExchange& exchange);
  absl::Status DoUnlink(ResourceExchange& exchange);
  absl::Status DoRename(ResourceExchange& exchange);
  absl::Status DoMake(ResourceExchange& exchange);
  absl::Status DoLink(ResourceExchange& exchange);
  absl::Status DoReadLink(ResourceExchange& exchange);

  // EBADF: not a file of this client's, or not open for that.
  absl::StatusOr<std::shared_ptr<OpenFile>> Find(const ResourceExchange& exchange, int access = 0);
  absl::StatusOr<Target> FindTarget(ResourceExchange& exchange, std::shared_ptr<OpenFile> found,
                                    int access);
  absl::Status EndTransfer(Exchange& exchange, const FileCall& call, Target target,
                           absl::StatusOr<uint64_t> count, bool into_reply);
  void Advance(ResourceExchange& exchange, const Target& target, uint64_t count, bool into_reply);
  absl::StatusOr<std::pair<Walked, Walked>> WalkTwo(const ResourceExchange& exchange);
  absl::Status MakeMissing(ResourceExchange& exchange, Walked& walked);
  absl::StatusOr<std::shared_ptr<Node>> Create(const ResourceExchange& exchange,
                                               const Walked& walked, uint32_t mode,
                                               absl::string_view target);
  void Touch(Node& directory);
  absl::Status Cut(Node& node, uint64_t size);
  static absl::Status TellLock(ResourceExchange& exchange,
                               const std::optional<FileLocks::Range>& conflict);
  absl::Status CheckMayKeep(const MessageInfo& caller) const;  // EMFILE
  uint32_t Keep(const ResourceExchange& exchange, std::shared_ptr<OpenFile> file);
  // EAGAIN: until the node is woken.
  absl::Status WaitFor(ResourceExchange& exchange, const std::shared_ptr<Node>& node,
                       uint64_t wakes_seen) const;
  absl::Status WaitUnless(ResourceExchange& exchange, const OpenFile& file, uint64_t wakes_seen,
                          absl::Status status) const;
  uint64_t WakesOf(const Node& node) const;
  FileCall CallFor(const ResourceExchange& exchange);

  // -- Paths and permissions (resource_walk.cc)

  // ENOENT, ENOTDIR, EACCES, ENAMETOOLONG, ELOOP: on the way. EXDEV: a symbolic link leads out of
  // this server. EINVAL: a zero byte. A last component that is not there is found as nothing.
  absl::StatusOr<Walked> Walk(const MessageInfo& caller, absl::string_view path, bool follow);
  absl::StatusOr<Step> LookUp(const MessageInfo& caller, Node& directory, absl::string_view name);
  // Whatever an operation names: the payload's path from `begin` on, or its file.
  absl::StatusOr<std::shared_ptr<Node>> NodeOf(ResourceExchange& exchange, absl::string_view path);
  void Adopt(Node& node);
  absl::Status Refresh(Node& node);
  static absl::Status CheckRename(const Walked& from, const Walked& to);
  static absl::Status Check(const MessageInfo& caller, const Node& node, uint32_t wanted);
  // Whether it may take the name away: sticky directories.
  static absl::Status CheckRemove(const MessageInfo& caller, const Walked& walked);

  ResourceManager& manager_;
  Process* self_ = nullptr;
  std::vector<Mount> mounts_;  // the longest path first
  std::optional<Channel> channel_;
  std::optional<Dispatcher> dispatcher_;
  std::optional<Mutex> tables_;  // none without a pool. Guards all that follows
  std::map<uint32_t, Opened> files_;
  absl::flat_hash_map<Client, size_t> files_of_;
  uint32_t last_file_ = 0;
  size_t notifying_ = 0;  // of files_
  uint64_t last_inode_ = 0, last_call_ = 0;
  struct Blocked {
    Exchange exchange;
    std::shared_ptr<Node> on;
  };
  std::list<Blocked> blocked_;  // in the order of their arrival
  std::map<uint64_t, Pending> pending_;
  std::vector<const Node*> woken_;
  std::deque<uint64_t> finished_;  // of pending_, with both halves there
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_RESOURCE_SERVER_H_
