// The numbers of what Linux has looked up, alone.
#include <sys/stat.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "doctest/doctest.h"
#include "servers/fused/inode_table.h"

namespace {

using fused::Identity;
using fused::InodeTable;

constexpr uint64_t kRoot = InodeTable::kRoot;
constexpr Identity kFile = {7, S_IFREG}, kFolder = {8, S_IFDIR};

TEST_CASE("a name that is looked up again has the same number") {
  InodeTable table;
  const uint64_t dev = table.Enter(kRoot, "dev", kFolder);
  const uint64_t null = table.Enter(dev, "null", kFile);
  CHECK(table.Enter(dev, "null", kFile) == null);
  CHECK(table.PathOf(kRoot) == "/");
  CHECK(table.PathOf(dev) == "/dev");
  CHECK(table.PathOf(null) == "/dev/null");
  table.CheckInvariants();
}

TEST_CASE("what takes another's name has another number, and the other has no name") {
  InodeTable table;
  const uint64_t before = table.Enter(kRoot, "a", kFile);
  const uint64_t after = table.Enter(kRoot, "a", {9, S_IFREG});
  CHECK(after != before);
  CHECK(table.PathOf(before) == std::nullopt);
  CHECK(table.IdentityOf(before) == kFile);
  CHECK(table.PathOf(after) == "/a");
  table.CheckInvariants();
}

TEST_CASE("a node is there until all its lookups are forgotten") {
  InodeTable table;
  const uint64_t file = table.Enter(kRoot, "a", kFile);
  table.Enter(kRoot, "a", kFile);
  table.Forget(file, 1);
  CHECK(table.PathOf(file) == "/a");
  table.Forget(file, 1);
  CHECK(table.IdentityOf(file) == std::nullopt);
  CHECK(table.size() == 1);
  CHECK(table.Enter(kRoot, "a", kFile) != file);
  table.Forget(kRoot, 1000);
  CHECK(table.PathOf(kRoot) == "/");
}

TEST_CASE("a directory is there as long as something in it is") {
  InodeTable table;
  const uint64_t folder = table.Enter(kRoot, "f", kFolder);
  const uint64_t file = table.Enter(folder, "a", kFile);
  table.Forget(folder, 1);
  CHECK(table.PathOf(file) == "/f/a");
  table.Forget(file, 1);
  CHECK(table.size() == 1);
}

TEST_CASE("a rename takes along what lies below, and the name from what had it") {
  InodeTable table;
  const uint64_t from = table.Enter(kRoot, "from", kFolder), to = table.Enter(kRoot, "to", kFolder);
  const uint64_t folder = table.Enter(from, "x", kFolder);
  const uint64_t file = table.Enter(folder, "a", kFile);
  const uint64_t replaced = table.Enter(to, "y", {11, S_IFDIR});
  table.Rename(from, "x", to, "y");
  CHECK(table.PathOf(file) == "/to/y/a");
  CHECK(table.PathOf(replaced) == std::nullopt);
  table.Rename(to, "y", to, "y");
  table.Rename(to, "none", to, "y");
  CHECK(table.PathOf(file) == "/to/y/a");
  table.Remove(to, "y");
  CHECK(table.PathOf(file) == std::nullopt);
  CHECK(table.IdentityOf(file) == kFile);
  table.CheckInvariants();
}

// The same, the slow way: nodes in the order of their numbers, none ever dropped.
class Model {
 public:
  struct Node {
    uint64_t parent;
    std::string name;
    Identity identity;
    uint64_t lookups;
  };

  uint64_t Enter(uint64_t parent, const std::string& name, const Identity& identity) {
    const uint64_t known = Find(parent, name);
    if (known != 0 && nodes_[known].identity == identity) {
      ++nodes_[known].lookups;
      return known;
    }
    if (known != 0) nodes_[known].name.clear();
    nodes_[++last_] = {parent, name, identity, 1};
    return last_;
  }
  void Forget(uint64_t node, uint64_t lookups) {
    if (node == kRoot) return;
    uint64_t& has = nodes_[node].lookups;
    has -= std::min(has, lookups);
    // Without lookups and with nothing below it cannot be asked for again.
    while (node != kRoot && !InUse(node)) {
      const uint64_t parent = nodes_[node].name.empty() ? kRoot : nodes_[node].parent;
      nodes_[node].name.clear();
      node = parent;
    }
  }
  void Remove(uint64_t parent, const std::string& name) {
    if (const uint64_t node = Find(parent, name)) Unname(node);
  }
  void Rename(uint64_t parent, const std::string& name, uint64_t new_parent,
              const std::string& new_name) {
    const uint64_t node = Find(parent, name);
    if (node == 0 || (parent == new_parent && name == new_name)) return;
    if (const uint64_t other = Find(new_parent, new_name)) nodes_[other].name.clear();
    nodes_[node].parent = new_parent;
    nodes_[node].name = new_name;
    Forget(parent, 0);
  }
  std::string PathOf(uint64_t node) {
    if (node == kRoot) return "";
    if (nodes_[node].name.empty()) return "?";
    const std::string above = PathOf(nodes_[node].parent);
    return above == "?" ? above : absl::StrCat(above, "/", nodes_[node].name);
  }
  bool InUse(uint64_t node) {
    if (node == kRoot || nodes_[node].lookups > 0) return true;
    for (const auto& [number, other] : nodes_) {
      if (other.parent == node && !other.name.empty()) return true;
    }
    return false;
  }
  std::vector<uint64_t> Folders() {
    std::vector<uint64_t> folders = {kRoot};
    for (const auto& [number, node] : nodes_) {
      if (S_ISDIR(node.identity.type) && node.lookups > 0) folders.push_back(number);
    }
    return folders;
  }
  const std::map<uint64_t, Node>& nodes() const { return nodes_; }

 private:
  uint64_t Find(uint64_t parent, const std::string& name) {
    for (const auto& [number, node] : nodes_) {
      if (node.parent == parent && node.name == name) return number;
    }
    return 0;
  }
  void Unname(uint64_t node) {
    const uint64_t parent = nodes_[node].parent;
    nodes_[node].name.clear();
    Forget(parent, 0);
  }

  std::map<uint64_t, Node> nodes_;
  uint64_t last_ = kRoot;
};

TEST_CASE("random lookups, renames, removals and forgets: as the naive model has it") {
  std::mt19937 random(2026);
  const auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  for (int run = 0; run < 50; ++run) {
    InodeTable table;
    Model model;
    for (int step = 0; step < 120; ++step) {
      const std::vector<uint64_t> folders = model.Folders();
      const uint64_t parent = folders[below(folders.size())],
                     other = folders[below(folders.size())];
      const std::string name(1, static_cast<char>('a' + below(4)));
      const std::string new_name(1, static_cast<char>('a' + below(4)));
      switch (below(5)) {
        case 0:
        case 1: {
          const Identity identity = {below(3), below(2) == 0 ? uint32_t{S_IFDIR} : S_IFREG};
          CHECK(table.Enter(parent, name, identity) == model.Enter(parent, name, identity));
          break;
        }
        case 2:
          table.Remove(parent, name);
          model.Remove(parent, name);
          break;
        case 3: {
          // Linux never moves a directory into itself.
          const std::string from = model.PathOf(parent) + "/" + name + "/";
          if ((model.PathOf(other) + "/").rfind(from, 0) == 0 || model.PathOf(other) == "?") break;
          table.Rename(parent, name, other, new_name);
          model.Rename(parent, name, other, new_name);
          break;
        }
        default: {
          if (parent == kRoot) break;
          const uint64_t lookups = below(3);
          table.Forget(parent, lookups);
          model.Forget(parent, lookups);
        }
      }
      table.CheckInvariants();
      for (const auto& [number, node] : model.nodes()) {
        const std::string path = model.PathOf(number);
        if (model.InUse(number)) CHECK(table.PathOf(number).value_or("?") == path);
      }
    }
  }
}

}  // namespace
