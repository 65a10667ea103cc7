// The locks that a resource manager with a pool of threads takes; without one they do nothing.
#ifndef PARLEY_LIBIPC_SRC_RESOURCE_LOCKS_H_
#define PARLEY_LIBIPC_SRC_RESOURCE_LOCKS_H_

#include <algorithm>
#include <functional>
#include <memory>

#include "libipc/src/held_mutex.h"
#include "libipc/src/resource_server.h"

namespace ipc {

class ResourceServer::Tables {
 public:
  explicit Tables(const ResourceServer& server)
      : held_(server.tables_ ? const_cast<Mutex*>(&*server.tables_) : nullptr) {}

 private:
  HeldMutex held_;
};

class ResourceServer::Busy {
 public:
  Busy(ResourceServer& server, Node& node) : first_(LockOf(server, node)), second_(nullptr) {}
  // Of two, in an order that is the same for all.
  Busy(ResourceServer& server, Node& one, Node& other)
      : first_(LockOf(server, std::min(&one, &other, std::less<Node*>()))),
        second_(&one == &other ? nullptr
                               : LockOf(server, std::max(&one, &other, std::less<Node*>()))) {}

 private:
  static Mutex* LockOf(ResourceServer& server, Node* node) { return LockOf(server, *node); }
  static Mutex* LockOf(ResourceServer& server, Node& node) {
    if (!server.tables_) return nullptr;
    Tables tables(server);
    if (node.busy_ == nullptr) {
      auto mutex = server.self_->CreateMutex();
      if (!mutex.ok()) return nullptr;
      node.busy_ = std::make_unique<Mutex>(*std::move(mutex));
    }
    return node.busy_.get();
  }

  HeldMutex first_, second_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_RESOURCE_LOCKS_H_
