// Conformance: files and directories of resource managers, on every kernel: paths, names and
// permissions (M1).
#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/conformance/tree.h"

namespace {

using ipc::BytesOfText;
using ipc::File;
using tests::conformance::Client;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::ReadText;
using tests::conformance::RunWorld;
using tests::conformance::ServingTree;
using tests::conformance::WaitUntil;

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

TEST_CASE("who has as many files open as it may makes no more, and cuts none") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              const auto tree =
                  ipc::FileServer::Connect(self, "/tree", {.deadline = kSoon}).value();
              CHECK(ipc::WriteFile(self, "/tree/a", "text").ok());
              std::vector<File> files;
              for (size_t i = 0; i < ipc::ResourceManager::kMaxOpenFiles; ++i) {
                files.push_back(tree.Open("/tree/a", O_RDONLY).value());
              }
              CHECK(ErrnoOf(tree.Open("/tree/new", O_WRONLY | O_CREAT)) == EMFILE);
              CHECK(ErrnoOf(tree.Open("/tree/a", O_WRONLY | O_TRUNC)) == EMFILE);
              CHECK(ErrnoOf(tree.Stat("/tree/new")) == ENOENT);
              CHECK(tree.Stat("/tree/a").value().size == 4);
              files.pop_back();
              CHECK(tree.Open("/tree/new", O_WRONLY | O_CREAT).ok());
            })});
}

TEST_CASE("a set-group-id directory gives its group to what is made in it, and so do those below") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              const auto tree =
                  ipc::FileServer::Connect(self, "/tree", {.deadline = kSoon}).value();
              using ipc::files::Change;
              CHECK(tree.MakeDirectory("/tree/group", 0755).ok());
              CHECK(tree.Change("/tree/group",
                                {.mask = Change::kGid | Change::kMode, .mode = 02755, .gid = 77})
                        .ok());
              CHECK(tree.MakeDirectory("/tree/group/sub", 0700).ok());
              CHECK(tree.Stat("/tree/group/sub").value().mode == (S_IFDIR | 02700));
              CHECK(tree.Open("/tree/group/sub/a", O_WRONLY | O_CREAT, 0600).ok());
              CHECK(tree.Stat("/tree/group/sub/a").value().mode == (S_IFREG | 0600));
              CHECK(tree.Stat("/tree/group/sub/a").value().gid == 77);
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
