// A resource manager of files and directories in memory, for tests.
#ifndef PARLEY_TESTS_CONFORMANCE_TREE_H_
#define PARLEY_TESTS_CONFORMANCE_TREE_H_

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/files.h"

namespace tests::conformance {

// Files and directories in memory.
class Tree : public ipc::ResourceManager {
 public:
  struct Folder : ipc::Node {
    using ipc::Node::Node;
    std::map<std::string, std::shared_ptr<ipc::Node>, std::less<>> entries;
  };
  struct Text : ipc::Node {
    using ipc::Node::Node;
    std::string text;
  };

 private:
  static auto& Entries(ipc::Node& node) { return static_cast<Folder&>(node).entries; }
  static std::string& TextIn(ipc::Node& node) { return static_cast<Text&>(node).text; }

  absl::StatusOr<uint64_t> Read(ipc::FileCall& call, ipc::OpenFile& file, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    if (file.node().IsDirectory()) return ResourceManager::Read(call, file, offset, bytes);
    return ipc::CopyText(TextIn(file.node()), offset, bytes);
  }
  absl::StatusOr<uint64_t> Write(ipc::FileCall&, ipc::OpenFile& file, uint64_t offset,
                                 ipc::ConstBytes bytes) override {
    std::string& text = TextIn(file.node());
    if (text.size() < offset + bytes.size()) text.resize(offset + bytes.size());
    std::memcpy(text.data() + offset, bytes.data(), bytes.size());
    file.node().stat.size = text.size();
    return bytes.size();
  }
  absl::Status Truncate(ipc::Node& node, uint64_t size) override {
    TextIn(node).resize(size);
    node.stat.size = size;
    return absl::OkStatus();
  }
  absl::StatusOr<std::shared_ptr<ipc::Node>> Lookup(ipc::Node& directory,
                                                    absl::string_view name) override {
    const auto at = Entries(directory).find(name);
    if (at == Entries(directory).end()) return ipc::PosixError(ENOENT);
    return at->second;
  }
  absl::StatusOr<std::shared_ptr<ipc::Node>> Create(ipc::FileCall&, ipc::Node& directory,
                                                    absl::string_view name, uint32_t mode,
                                                    absl::string_view target) override {
    std::shared_ptr<ipc::Node> node;
    if (S_ISDIR(mode)) {
      node = std::make_shared<Folder>(mode);
    } else {
      auto text = std::make_shared<Text>(mode);
      text->text = std::string(target);
      node = text;
    }
    return Entries(directory).emplace(name, node).first->second;
  }
  absl::StatusOr<std::string> ReadLink(ipc::Node& node) override { return TextIn(node); }
  absl::Status Link(std::shared_ptr<ipc::Node> node, ipc::Node& directory,
                    absl::string_view name) override {
    ++node->stat.links;
    Entries(directory).emplace(name, std::move(node));
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<ipc::DirectoryEntry>> List(ipc::Node& directory) override {
    std::vector<ipc::DirectoryEntry> list;
    for (const auto& [name, node] : Entries(directory))
      list.push_back({name, node->stat.inode, node->stat.mode});
    return list;
  }
  absl::Status Unlink(ipc::Node& directory, absl::string_view name, bool) override {
    ipc::Node& node = *Entries(directory).find(name)->second;
    if (node.IsDirectory() && !Entries(node).empty()) return ipc::PosixError(ENOTEMPTY);
    --node.stat.links;
    Entries(directory).erase(Entries(directory).find(name));
    return absl::OkStatus();
  }
  absl::Status Rename(ipc::Node& from, absl::string_view name, ipc::Node& to,
                      absl::string_view new_name) override {
    Entries(to)[std::string(new_name)] = Entries(from).extract(Entries(from).find(name)).mapped();
    return absl::OkStatus();
  }
};

inline Actor ServingTree() {
  return {.name = "manager",
          .main =
              [](ipc::Process& self) {
                auto root = std::make_shared<Tree::Folder>(S_IFDIR | 0777);
                root->entries["sub"] = std::make_shared<Tree::Folder>(S_IFDIR | 0755);
                root->entries["shut"] = std::make_shared<Tree::Folder>(S_IFDIR | 0700);
                Tree tree;
                return tree.Run(self, "/tree", root);
              },
          .service = true};
}

}  // namespace tests::conformance

#endif  // PARLEY_TESTS_CONFORMANCE_TREE_H_
