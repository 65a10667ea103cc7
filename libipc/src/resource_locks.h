// The locks that a resource manager with a pool of threads takes; without one they do nothing.
#ifndef PARLEY_LIBIPC_SRC_RESOURCE_LOCKS_H_
#define PARLEY_LIBIPC_SRC_RESOURCE_LOCKS_H_

#include <functional>
#include <optional>

#include "libipc/src/resource_server.h"

namespace ipc {

class ResourceServer::Tables {
 public:
  explicit Tables(const ResourceServer& server) {
    if (server.tables_) lock_.emplace(const_cast<Mutex&>(*server.tables_));
  }

 private:
  std::optional<MutexLock> lock_;
};

class ResourceServer::Busy {
 public:
  Busy(ResourceServer& server, Node& node) { Take(server, node); }
  // Of two, in an order that is the same for all.
  Busy(ResourceServer& server, Node& one, Node& other) {
    const bool in_order = std::less<Node*>()(&one, &other);
    Take(server, in_order ? one : other);
    if (&one != &other) Take(server, in_order ? other : one);
  }

 private:
  void Take(ResourceServer& server, Node& node) {
    if (!server.tables_) return;
    {
      Tables tables(server);
      if (node.busy_ == nullptr) {
        auto mutex = server.self_->CreateMutex();
        if (!mutex.ok()) return;
        node.busy_ = std::make_unique<Mutex>(*std::move(mutex));
      }
    }
    locks_[count_++].emplace(*node.busy_);
  }

  int count_ = 0;
  std::optional<MutexLock> locks_[2];
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_RESOURCE_LOCKS_H_
