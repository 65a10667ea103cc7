// The numbers by which Linux knows what it has looked up.
#include "servers/fused/inode_table.h"

#include <sys/stat.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include "absl/strings/str_cat.h"

namespace fused {

InodeTable::InodeTable() { nodes_[kRoot] = {.identity = {0, S_IFDIR}, .lookups = 1}; }

uint64_t InodeTable::Enter(uint64_t parent, absl::string_view name, const Identity& identity) {
  assert(nodes_.contains(parent) && !name.empty());
  const Key key(parent, std::string(name));
  ++nodes_.at(parent).children;  // for the time being: it must not be dropped with the old one
  uint64_t node = 0;
  if (const auto at = names_.find(key); at != names_.end()) node = at->second;
  if (node != 0 && nodes_.at(node).identity == identity) {
    ++nodes_.at(node).lookups;
    --nodes_.at(parent).children;
    return node;
  }
  if (node != 0) Unname(node);
  node = ++last_;
  nodes_[node] = {.parent = parent, .name = key.second, .identity = identity, .lookups = 1};
  names_[key] = node;
  return node;
}

void InodeTable::Forget(uint64_t node, uint64_t lookups) {
  const auto at = nodes_.find(node);
  if (at == nodes_.end() || node == kRoot) return;
  at->second.lookups -= std::min(at->second.lookups, lookups);
  DropIfUnused(node);
}

void InodeTable::Remove(uint64_t parent, absl::string_view name) {
  const auto at = names_.find(Key(parent, std::string(name)));
  if (at != names_.end()) Unname(at->second);
}

void InodeTable::Rename(uint64_t parent, absl::string_view name, uint64_t new_parent,
                        absl::string_view new_name) {
  const Key from(parent, std::string(name)), to(new_parent, std::string(new_name));
  const auto at = names_.find(from);
  if (from == to || at == names_.end() || !nodes_.contains(new_parent)) return;
  const uint64_t node = at->second;
  ++nodes_.at(new_parent).children;  // first: it must not be dropped with what was there
  if (const auto replaced = names_.find(to); replaced != names_.end()) Unname(replaced->second);
  names_.erase(from);
  names_[to] = node;
  nodes_.at(node).parent = new_parent;
  nodes_.at(node).name = to.second;
  --nodes_.at(parent).children;
  DropIfUnused(parent);
}

// It is no child of its parent from now on.
void InodeTable::Unname(uint64_t node) {
  Node& it = nodes_.at(node);
  const uint64_t parent = std::exchange(it.parent, 0);
  names_.erase(Key(parent, it.name));
  it.name.clear();
  --nodes_.at(parent).children;
  DropIfUnused(node);
  DropIfUnused(parent);
}

// And what is above it, if that was there for it alone.
void InodeTable::DropIfUnused(uint64_t node) {
  while (node != kRoot && node != 0) {
    const auto at = nodes_.find(node);
    if (at == nodes_.end() || at->second.lookups > 0 || at->second.children > 0) return;
    const uint64_t parent = at->second.parent;
    if (parent != 0) {
      names_.erase(Key(parent, at->second.name));
      --nodes_.at(parent).children;
    }
    nodes_.erase(at);
    node = parent;
  }
}

std::optional<std::string> InodeTable::PathOf(uint64_t node) const {
  std::vector<absl::string_view> names;
  while (node != kRoot) {
    const auto at = nodes_.find(node);
    if (at == nodes_.end() || at->second.name.empty()) return std::nullopt;
    names.push_back(at->second.name);
    node = at->second.parent;
  }
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) absl::StrAppend(&path, "/", *name);
  return path.empty() ? "/" : path;
}

std::optional<Identity> InodeTable::IdentityOf(uint64_t node) const {
  const auto at = nodes_.find(node);
  if (at == nodes_.end()) return std::nullopt;
  return at->second.identity;
}

void InodeTable::CheckInvariants() const {
  absl::flat_hash_map<uint64_t, uint64_t> children;
  for (const auto& [key, number] : names_) {
    ++children[key.first];
    const auto at = nodes_.find(number);
    assert(at != nodes_.end() && Key(at->second.parent, at->second.name) == key);  // 2
    assert(nodes_.contains(key.first));
  }
  size_t named = 0;
  for (const auto& [number, node] : nodes_) {
    named += node.name.empty() ? 0 : 1;
    const auto at = children.find(number);
    assert(node.children == (at == children.end() ? 0 : at->second));
    assert(number == kRoot || node.lookups > 0 || node.children > 0);  // 3
  }
  assert(named == names_.size());
  assert(nodes_.contains(kRoot) && nodes_.at(kRoot).name.empty());  // 1
}

}  // namespace fused
