// The numbers by which Linux knows what it has looked up, and the names that they stand for.
//
// Linux asks by number, a server of Parley by path, and a path changes with each rename above it.
// So a node knows its parent and its name there, and its path is put together when it is asked for.
//
// Pure: no calls, no clock. Threads: one at a time.
//
// Invariants:
//   1. The root has no name and is never dropped.
//   2. A node with a name is the one that its parent has below this name, and its parent is there.
//   3. A node is there exactly as long as Linux has looked it up more often than forgotten it, or
//      another node is below it.
// It has no bound of its own: Linux remembers as many as its memory has room for, and forgets.
#ifndef PARLEY_SERVERS_FUSED_INODE_TABLE_H_
#define PARLEY_SERVERS_FUSED_INODE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace fused {

// What a name leads to. Another one below the same name is another file.
struct Identity {
  uint64_t inode = 0;  // unlike that of any other server's
  uint32_t type = 0;   // S_IFMT of its mode, as the server has it
  bool operator==(const Identity&) const = default;
};

class InodeTable {
 public:
  static constexpr uint64_t kRoot = 1;

  InodeTable();

  // The number of what `name` in `parent` leads to, looked up once more. If that is something else
  // than before, it gets a new number, and the old one has no name any more. No number is used
  // twice. REQUIRES: the parent is there.
  uint64_t Enter(uint64_t parent, absl::string_view name, const Identity& identity);
  // Linux has forgotten so many lookups of it. More than there were is taken for all there were.
  void Forget(uint64_t node, uint64_t lookups);
  // There is nothing of this name any more.
  void Remove(uint64_t parent, absl::string_view name);
  // What had the new name has none any more.
  void Rename(uint64_t parent, absl::string_view name, uint64_t new_parent,
              absl::string_view new_name);

  // Absolute, as "/dev/null"; nothing: it, or something above it, has no name any more.
  std::optional<std::string> PathOf(uint64_t node) const;
  // Nothing: it is not there.
  std::optional<Identity> IdentityOf(uint64_t node) const;
  size_t size() const { return nodes_.size(); }
  void CheckInvariants() const;

 private:
  using Key = std::pair<uint64_t, std::string>;  // a parent, and a name in it
  struct Node {
    uint64_t parent = 0;
    std::string name = {};  // empty: it has none
    Identity identity;
    uint64_t lookups = 0;
    uint64_t children = 0;
  };
  void Unname(uint64_t node);
  void DropIfUnused(uint64_t node);

  absl::flat_hash_map<uint64_t, Node> nodes_;
  absl::flat_hash_map<Key, uint64_t> names_;
  uint64_t last_ = kRoot;
};

}  // namespace fused

#endif  // PARLEY_SERVERS_FUSED_INODE_TABLE_H_
