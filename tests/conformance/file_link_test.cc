// Conformance: directories and links that clients make, on every kernel (M1).
#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/conformance/tree.h"

namespace {

using ipc::BytesOfText;
using ipc::File;
using ipc::FileServer;
using tests::conformance::Client;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::ReadText;
using tests::conformance::RunWorld;
using tests::conformance::ServingTree;
using tests::conformance::WaitUntil;

FileServer TreeOf(ipc::Process& self) {
  return FileServer::Connect(self, "/tree", {.deadline = kSoon}).value();
}

TEST_CASE("directories are made, and removed when they are empty") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              const FileServer tree = TreeOf(self);
              CHECK(tree.name() == "/tree");
              CHECK(tree.MakeDirectory("/tree/new/").ok());
              CHECK(tree.Stat("/tree/new").value().mode == (S_IFDIR | 0777));
              CHECK(ErrnoOf(tree.MakeDirectory("/tree/new")) == EEXIST);
              CHECK(ErrnoOf(tree.MakeDirectory("/tree/none/below")) == ENOENT);
              CHECK(tree.MakeNode("/tree/new/a", S_IFREG | 0600).ok());
              CHECK(ErrnoOf(tree.MakeNode("/tree/new/b/", S_IFREG | 0600)) == ENOENT);
              CHECK(ErrnoOf(tree.RemoveDirectory("/tree/new")) == ENOTEMPTY);
              CHECK(ErrnoOf(tree.Rename("/tree/new", "/tree/new/a/below")) == ENOTDIR);
              CHECK(tree.Unlink("/tree/new/a").ok());
              CHECK(tree.RemoveDirectory("/tree/new").ok());
              CHECK(ErrnoOf(tree.Stat("/tree/new")) == ENOENT);
              CHECK(ErrnoOf(tree.RemoveDirectory("/tree")) == EBUSY);
            })});
}

TEST_CASE("a symbolic link leads where it says, and not out of its server") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              const FileServer tree = TreeOf(self);
              CHECK(ipc::WriteFile(self, "/tree/sub/a", "text").ok());
              const auto link = [&](const char* target, const char* path) {
                CHECK(tree.MakeSymbolicLink(target, path).ok());
              };
              link("a", "/tree/sub/beside");
              link("../sub/../sub/beside", "/tree/sub/around");
              link("/tree/sub", "/tree/all");
              link("/dev/null", "/tree/out");
              link("../../../etc/passwd", "/tree/sub/up");
              link("loop", "/tree/loop");
              link("sub/later", "/tree/later");
              CHECK(ipc::ReadFile(self, "/tree/sub/around").value() == "text");
              CHECK(ipc::ReadFile(self, "/tree/all/beside").value() == "text");
              CHECK(tree.ReadLink("/tree/all/around").value() == "../sub/../sub/beside");
              CHECK(ErrnoOf(tree.ReadLink("/tree/sub/a")) == EINVAL);
              CHECK(S_ISLNK(tree.Stat("/tree/all", false).value().mode));
              CHECK(S_ISDIR(tree.Stat("/tree/all").value().mode));
              CHECK(ErrnoOf(ipc::ReadFile(self, "/tree/out")) == EXDEV);
              CHECK(ErrnoOf(tree.Stat("/tree/sub/up")) == ENOENT);
              CHECK(ErrnoOf(tree.Stat("/tree/loop")) == ELOOP);
              CHECK(ErrnoOf(tree.Open("/tree/all", O_RDONLY | O_NOFOLLOW)) == ELOOP);
              CHECK(ErrnoOf(tree.Stat("/tree/later")) == ENOENT);
              // What a link leads to is made where that is; an exclusive open does not follow.
              CHECK(ErrnoOf(tree.Open("/tree/later", O_WRONLY | O_CREAT | O_EXCL)) == EEXIST);
              CHECK(tree.Open("/tree/later", O_WRONLY | O_CREAT).ok());
              CHECK(tree.Stat("/tree/sub/later").ok());
              CHECK(tree.Unlink("/tree/all").ok());
              CHECK(tree.Stat("/tree/sub").ok());
            })});
}

TEST_CASE("a hard link is another name for the same file") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              const FileServer tree = TreeOf(self);
              CHECK(ipc::WriteFile(self, "/tree/a", "one").ok());
              CHECK(tree.Link("/tree/a", "/tree/sub/b").ok());
              CHECK(tree.Stat("/tree/sub/b").value().links == 2);
              CHECK(tree.Stat("/tree/sub/b").value().inode == tree.Stat("/tree/a").value().inode);
              CHECK(ErrnoOf(tree.Link("/tree/a", "/tree/sub/b")) == EEXIST);
              CHECK(ErrnoOf(tree.Link("/tree/sub", "/tree/c")) == EPERM);
              CHECK(ErrnoOf(tree.Link("/tree/none", "/tree/c")) == ENOENT);
              const File open = tree.Open("/tree/a", O_RDWR).value();
              CHECK(tree.Unlink("/tree/a").ok());
              CHECK(ipc::ReadFile(self, "/tree/sub/b").value() == "one");
              CHECK(tree.Unlink("/tree/sub/b").ok());
              CHECK(ReadText(open) == "one");  // it lives as long as it is open
              CHECK(open.Stat().value().links == 0);
            })});
}

TEST_CASE("a small file is read and written by one message") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              CHECK(ipc::WriteFile(self, "/tree/a", "a long text", kSoon).ok());
              CHECK(ipc::WriteFile(self, "/tree/a", "short").ok());
              CHECK(ipc::ReadFile(self, "/tree/a").value() == "short");
              CHECK(ErrnoOf(ipc::ReadFile(self, "/tree/none")) == ENOENT);
              CHECK(ErrnoOf(ipc::ReadFile(self, "/tree/sub")) == EISDIR);
              const std::string big(ipc::files::kMaxPayloadBytes, 'x');
              CHECK(ErrnoOf(ipc::WriteFile(self, "/tree/a", big)) == EMSGSIZE);
              CHECK(ipc::ReadFile(self, "/tree/a").value() == "short");
            })});
}

TEST_CASE("in a sticky directory only owners take names away") {
  if (tests::conformance::LacksOtherUsers()) return;
  tests::Shared<bool> made, tried;
  tests::Actor owner = Client(
      [&](ipc::Process& self) {
        const FileServer tree = TreeOf(self);
        CHECK(tree.MakeDirectory("/tree/tmp", 01777).ok());
        CHECK(ipc::WriteFile(self, "/tree/tmp/a", "a").ok());
        CHECK(tree.Change("/tree/tmp/a", {.mask = ipc::files::Change::kMode, .mode = 0666}).ok());
        made = true;
        CHECK(WaitUntil(self, tried));
        CHECK(tree.Unlink("/tree/tmp/a").ok());
      },
      "owner");
  owner.uid = owner.gid = 1000;
  tests::Actor stranger = Client(
      [&](ipc::Process& self) {
        CHECK(WaitUntil(self, made));
        const FileServer tree = TreeOf(self);
        CHECK(ipc::WriteFile(self, "/tree/tmp/b", "b").ok());
        CHECK(ipc::WriteFile(self, "/tree/tmp/a", "mine").ok());
        CHECK(ErrnoOf(tree.Unlink("/tree/tmp/a")) == EPERM);
        CHECK(ErrnoOf(tree.Rename("/tree/tmp/b", "/tree/tmp/a")) == EPERM);
        CHECK(tree.Unlink("/tree/tmp/b").ok());
        tried = true;
      },
      "stranger");
  stranger.uid = stranger.gid = 1001;
  RunWorld({ServingTree(), owner, stranger});
}

TEST_CASE("of one server's two names, neither a link nor a rename leads from one to the other") {
  const tests::Actor server = {
      .name = "manager",
      .main =
          [](ipc::Process& self) {
            tests::conformance::Tree tree;
            auto root = [] {
              return std::make_shared<tests::conformance::Tree::Folder>(S_IFDIR | 0777);
            };
            return tree.Run(self, {{"/tree", root()}, {"/other", root()}});
          },
      .service = true};
  RunWorld({server, Client([](ipc::Process& self) {
              const FileServer tree = TreeOf(self);
              CHECK(ipc::WriteFile(self, "/tree/a", "a").ok());
              CHECK(ErrnoOf(tree.Link("/tree/a", "/other/b")) == EXDEV);
              CHECK(ErrnoOf(tree.Rename("/tree/a", "/other/b")) == EXDEV);
              CHECK(ErrnoOf(ipc::Rename(self, "/tree/a", "/other/b")) == EXDEV);
              CHECK(ErrnoOf(tree.Stat("/other/b")) == ENOENT);
              CHECK(tree.Link("/tree/a", "/tree/b").ok());
            })});
}

}  // namespace
