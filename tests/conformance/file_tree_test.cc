// Conformance: files and directories of resource managers, on every kernel: paths, names and
// permissions (M1).
#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/conformance/files.h"

namespace {

using ipc::BytesOfText;
using ipc::File;
using tests::conformance::Client;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::ReadText;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

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
    Entries(directory).erase(Entries(directory).find(name));
    return absl::OkStatus();
  }
  absl::Status Rename(ipc::Node& from, absl::string_view name, ipc::Node& to,
                      absl::string_view new_name) override {
    Entries(to)[std::string(new_name)] = Entries(from).extract(Entries(from).find(name)).mapped();
    return absl::OkStatus();
  }
};

tests::Actor ServingTree() {
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

std::string NamesIn(ipc::Process& self, const char* path) {
  const File folder = File::Open(self, path, O_RDONLY | O_DIRECTORY, 0, kSoon).value();
  std::string names;
  const std::vector<ipc::ListedName> list = folder.List().value();
  for (const ipc::ListedName& listed : list) {
    absl::StrAppend(&names, names.empty() ? "" : " ", listed.name);
  }
  return names;
}

TEST_CASE("files are made, listed, renamed and removed") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              CHECK(NamesIn(self, "/tree") == "shut sub");
              {
                const File file =
                    File::Open(self, "/tree/sub/a", O_RDWR | O_CREAT, 0640, kSoon).value();
                CHECK(file.Write(BytesOfText("hello")).value() == 5);
                CHECK(file.Stat().value().size == 5);
                CHECK(file.Stat().value().mode == (S_IFREG | 0640));
                CHECK(file.Seek(-2, SEEK_END).value() == 3);
                CHECK(ReadText(file) == "lo");
                CHECK(file.Truncate(1).ok());
                CHECK(ErrnoOf(file.List()) == ENOTDIR);
              }
              CHECK(ipc::StatOf(self, "/tree/./sub/../sub//a").value().size == 1);
              CHECK(ErrnoOf(ipc::StatOf(self, "/tree/../sub/a")) == ENOENT);
              CHECK(ErrnoOf(ipc::StatOf(self, "/tree/sub/b")) == ENOENT);
              CHECK(ErrnoOf(ipc::StatOf(self, "/tree/sub/a/b")) == ENOTDIR);
              CHECK(ErrnoOf(ipc::StatOf(self, "/tree/sub/a/")) == ENOTDIR);
              const std::string long_name(300, 'x'),
                  dots = absl::StrCat(std::string(250, 'y'), "/");
              CHECK(ErrnoOf(ipc::StatOf(self, absl::StrCat("/tree/", long_name))) == ENAMETOOLONG);
              CHECK(ErrnoOf(ipc::StatOf(self, absl::StrCat("/", long_name))) == ENAMETOOLONG);
              CHECK(ErrnoOf(ipc::StatOf(self, absl::StrCat("/tree/", dots, dots, "a"))) == ENOENT);
              CHECK(ErrnoOf(ipc::StatOf(self, absl::string_view("/tree/b\0c", 9))) == EINVAL);
              CHECK(ErrnoOf(File::Open(self, "/tree/new/", O_WRONLY | O_CREAT)) == EISDIR);
              CHECK(ErrnoOf(File::Open(self, "/tree/sub", O_WRONLY)) == EISDIR);
              CHECK(ipc::Rename(self, "/tree/sub/a", "/tree/b").ok());
              CHECK(NamesIn(self, "/tree") == "b shut sub");
              CHECK(ErrnoOf(ipc::Rename(self, "/tree/none", "/tree/c")) == ENOENT);
              CHECK(ipc::Rename(self, "/tree/b", "/tree/b").ok());
              CHECK(ErrnoOf(ipc::Rename(self, "/tree/b", "/tree/sub")) == EISDIR);
              CHECK(ErrnoOf(ipc::Rename(self, "/tree/sub", "/tree/b")) == ENOTDIR);
              CHECK(ErrnoOf(ipc::Rename(self, "/tree/sub", "/tree/sub/below")) == EINVAL);
              const File appending = File::Open(self, "/tree/b", O_WRONLY | O_APPEND).value();
              CHECK(appending.Write(BytesOfText("i")).value() == 1);
              CHECK(ipc::StatOf(self, "/tree/b").value().size == 2);
              CHECK(File::Open(self, "/tree/b", O_WRONLY | O_TRUNC).ok());
              CHECK(ipc::StatOf(self, "/tree/b").value().size == 0);
              CHECK(ErrnoOf(ipc::Unlink(self, "/tree/sub")) == EISDIR);
              CHECK(ErrnoOf(ipc::RemoveDirectory(self, "/tree/b")) == ENOTDIR);
              CHECK(ErrnoOf(ipc::Unlink(self, "/tree")) == EBUSY);
              CHECK(ipc::Unlink(self, "/tree/b").ok());
              CHECK(NamesIn(self, "/tree") == "shut sub");
            })});
}

TEST_CASE("permissions are those of the sender's user, as the kernel vouches for it") {
  if (tests::conformance::LacksOtherUsers()) return;
  tests::Shared<bool> made;
  tests::Actor owner = Client(
      [&](ipc::Process& self) {
        CHECK(File::Open(self, "/tree/own", O_WRONLY | O_CREAT, 0640, kSoon).ok());
        CHECK(ipc::StatOf(self, "/tree/own").value().uid == 1000);
        CHECK(File::Open(self, "/tree/own", O_RDWR).ok());
        made = true;
      },
      "owner");
  owner.uid = owner.gid = 1000;
  tests::Actor stranger = Client(
      [&](ipc::Process& self) {
        CHECK(WaitUntil(self, made));
        CHECK(ErrnoOf(File::Open(self, "/tree/own", O_RDONLY, 0, kSoon)) == EACCES);
        CHECK(ErrnoOf(File::Open(self, "/tree/sub/new", O_WRONLY | O_CREAT)) == EACCES);
        CHECK(ErrnoOf(File::Open(self, "/tree/shut/x", O_RDONLY)) == EACCES);
        CHECK(ErrnoOf(ipc::Rename(self, "/tree/own", "/tree/sub/own")) == EACCES);
        CHECK(ipc::StatOf(self, "/tree/own").ok());
      },
      "stranger");
  stranger.uid = stranger.gid = 1001;
  RunWorld({ServingTree(), owner, stranger});
}

}  // namespace
