// What Linux has open: a file of a server, or a directory as it was when its list was begun.
//
// Threads: any number.
#ifndef PARLEY_SERVERS_FUSED_OPEN_FILES_H_
#define PARLEY_SERVERS_FUSED_OPEN_FILES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "ipc/file.h"
#include "servers/fused/name_space.h"

struct fuse_pollhandle;

namespace fused {

struct OpenFile {
  OpenFile(ipc::File opened, Server by, uint64_t of_node, uint32_t of_type)
      : file(std::move(opened)), server(std::move(by)), node(of_node), type(of_type) {}

  const ipc::File file;
  const Server server;
  const uint64_t node;  // InodeTable's
  const uint32_t type;  // S_IFMT, as the server has it
  // What is opened to append to is opened once more, for what Linux writes elsewhere all the same:
  // pages that are mapped, and whatever is written once fcntl(2) has taken O_APPEND away.
  bool appends = false;  // these two are set before anybody writes
  std::optional<ipc::File> elsewhere = {};
  std::atomic<bool> has_locks = false;

  std::mutex lock;  // guards what follows: somebody polls it
  std::optional<ipc::EventToken> event;
  fuse_pollhandle* poll = nullptr;  // to be told once
};

struct OpenDirectory {
  uint64_t node = 0;
  std::mutex lock = {};  // guards what follows
  std::vector<ipc::ListedName> list = {};
  bool is_new = true;  // not read from yet
};

// By numbers, which are never used again. Bounded by what Linux lets its users open, and each
// server its clients.
template <typename Open>
class OpenTable {
 public:
  uint64_t Add(std::shared_ptr<Open> open) {
    const std::scoped_lock locked(lock_);
    open_.emplace(++last_, std::move(open));
    return last_;
  }
  // Null: it has been closed.
  std::shared_ptr<Open> Find(uint64_t number) const {
    const std::scoped_lock locked(lock_);
    const auto at = open_.find(number);
    return at == open_.end() ? nullptr : at->second;
  }
  std::shared_ptr<Open> Remove(uint64_t number) {
    const std::scoped_lock locked(lock_);
    const auto at = open_.find(number);
    if (at == open_.end()) return nullptr;
    std::shared_ptr<Open> open = std::move(at->second);
    open_.erase(at);
    return open;
  }
  // Any that is open of this node: of what has lost its name this is all there is.
  std::shared_ptr<Open> OfNode(uint64_t node) const {
    return OfNode(node, [](const Open&) { return true; });
  }
  // Any of which this holds.
  std::shared_ptr<Open> OfNode(uint64_t node, absl::FunctionRef<bool(const Open&)> holds) const {
    const std::scoped_lock locked(lock_);
    for (const auto& [number, open] : open_) {
      if (open->node == node && holds(*open)) return open;
    }
    return nullptr;
  }

 private:
  mutable std::mutex lock_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<Open>> open_;
  uint64_t last_ = 0;
};

}  // namespace fused

#endif  // PARLEY_SERVERS_FUSED_OPEN_FILES_H_
