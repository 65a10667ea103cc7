// What a resource manager does for its device: its names and open files, and the operations of its
// clients, those that wait among them.
#ifndef PARLEY_LIBIPC_SRC_RESOURCE_SERVER_H_
#define PARLEY_LIBIPC_SRC_RESOURCE_SERVER_H_

#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "ipc/resource_manager.h"
#include "libipc/src/resource_exchange.h"

namespace ipc {

class ResourceManager::Server {
 public:
  explicit Server(ResourceManager& manager) : manager_(manager) {}
  int Run(Process& self, absl::string_view path, std::shared_ptr<Node> root);
  void Wake(const Node& node) { woken_.push_back(&node); }

 private:
  using Client = uint32_t;  // ProcessRef::id
  struct Blocked {
    ResourceExchange exchange;
    std::shared_ptr<Node> on;
  };
  struct Walked {
    std::shared_ptr<Node> parent;    // null: the path is a name of the manager's own
    std::string name;                // in it
    std::shared_ptr<Node> node;      // null: nothing of that name
    std::vector<const Node*> above;  // from the root on
  };
  struct Target {
    std::shared_ptr<OpenFile> file;
    uint64_t offset;
    bool moves;  // the file's position, by what is moved
  };
  struct Opened {
    Client client;
    std::shared_ptr<OpenFile> file;
  };

  void OnPulse(const Pulse& pulse);
  // Goes on with it until it is answered, or waits.
  void Go(ResourceExchange exchange);
  void RetryWoken();
  void ForgetClient(Client client);

  // EAGAIN: it is to wait for `waits_on_`.
  absl::Status Perform(ResourceExchange& exchange);
  absl::Status DoOpen(ResourceExchange& exchange);
  absl::Status DoClose(ResourceExchange& exchange);
  absl::Status DoRead(ResourceExchange& exchange);
  absl::Status DoWrite(ResourceExchange& exchange);
  absl::Status DoSeek(ResourceExchange& exchange);
  absl::Status DoStat(ResourceExchange& exchange);
  absl::Status DoList(ResourceExchange& exchange);
  absl::Status DoTruncate(ResourceExchange& exchange);
  absl::Status DoControl(ResourceExchange& exchange);
  absl::Status DoPoll(ResourceExchange& exchange);
  absl::Status DoSync(ResourceExchange& exchange);
  absl::Status DoUnlink(ResourceExchange& exchange);
  absl::Status DoRename(ResourceExchange& exchange);

  // EBADF: not a file of this client's, or not open for that.
  absl::StatusOr<std::shared_ptr<OpenFile>> Find(const ResourceExchange& exchange,
                                                 int access = 0) const;
  absl::StatusOr<Target> FindTarget(const ResourceExchange& exchange, int access) const;
  absl::Status EndTransfer(ResourceExchange& exchange, const Target& target,
                           const absl::StatusOr<uint64_t>& count, bool into_reply);
  // ENOENT, ENOTDIR, EACCES, ENAMETOOLONG: on the way. EINVAL: a zero byte. A last component that
  // is not there is found as nothing.
  absl::StatusOr<Walked> Walk(const MessageInfo& caller, absl::string_view path);
  static absl::Status CheckRename(const Walked& from, const Walked& to);
  absl::Status Check(const MessageInfo& caller, const Node& node, uint32_t wanted) const;

  ResourceManager& manager_;
  std::string path_;  // its name
  std::shared_ptr<Node> root_;
  std::map<uint32_t, Opened> files_;
  absl::flat_hash_map<Client, size_t> files_of_;
  uint32_t last_file_ = 0;
  std::list<Blocked> blocked_;  // in the order of their arrival
  std::vector<const Node*> woken_;
  std::shared_ptr<Node> waits_on_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_RESOURCE_SERVER_H_
