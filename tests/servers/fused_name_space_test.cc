// The name space as a tree of directories, with servers that come, go and die.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "servers/fused/name_space.h"
#include "servers/ramfs/tree.h"
#include "tests/conformance/files.h"

namespace {

using fused::NameSpace;
using fused::Repeat;
using fused::Server;
using tests::Actor;
using tests::Shared;
using tests::conformance::Client;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::RunWorld;
using tests::conformance::WaitUntil;

constexpr uint64_t kBytes = 1 << 20;

int ServeTree(ipc::Process& self, const char* name) {
  ramfs::Tree tree(kBytes);
  return tree.Run(self, name, tree.MakeRoot());
}

Actor ServingTree(const char* name) {
  return {.name = name,
          .main = [name](ipc::Process& self) { return ServeTree(self, name); },
          .service = true};
}

// Serves until it is told to end.
Actor ServingUntil(const char* name, const Shared<bool>& end) {
  return {.name = name, .main = [name, &end](ipc::Process& self) {
            auto serving = self.Spawn({}, [&] { ServeTree(self, name); }).value();
            CHECK(WaitUntil(self, end));
            return 0;
          }};
}

void WaitFor(ipc::Process& self, const char* name) { CHECK(self.Open(name, kSoon).ok()); }

std::string NamesIn(NameSpace& names, const char* path) {
  const auto list = names.List(path);
  if (!list.ok()) return absl::StrCat("errno ", ErrnoOf(list));
  std::vector<std::string> all;
  for (const ipc::ListedName& listed : *list) all.push_back(listed.name);
  std::sort(all.begin(), all.end());
  return absl::StrJoin(all, " ");
}

absl::Status MakeFile(NameSpace& names, const std::string& path) {
  return names.Do(path, Repeat::kNever, [&](const Server& server) {
    return server.files.Open(path, O_WRONLY | O_CREAT).status();
  });
}

TEST_CASE("directories are made of the names' parts, and a served one shows the names below it") {
  RunWorld({ServingTree("/a/b"), ServingTree("/a/b/c/d"), ServingTree("/a/x"),
            Client([](ipc::Process& self) {
              for (const char* name : {"/a/b", "/a/b/c/d", "/a/x"}) WaitFor(self, name);
              const auto names = NameSpace::Make(self).value();
              CHECK(NamesIn(*names, "/") == "a");
              CHECK(NamesIn(*names, "/a") == "b x");
              CHECK(NamesIn(*names, "/a/b") == "c");
              CHECK(MakeFile(*names, "/a/b/file").ok());
              CHECK(NamesIn(*names, "/a/b") == "c file");
              CHECK(NamesIn(*names, "/a/b/c") == "d");
              CHECK(NamesIn(*names, "/a/b/c/d") == "");
              CHECK(NamesIn(*names, "/a/b/file") == absl::StrCat("errno ", ENOTDIR));
              CHECK(NamesIn(*names, "/none") == absl::StrCat("errno ", ENOENT));
              CHECK(!names->Find("/a").value().is_served);
              CHECK(names->Find("/a").value().stat.mode == (S_IFDIR | 0555));
              CHECK(names->Find("/a/b").value().is_served);
              CHECK(!names->Find("/a/b/c").value().is_served);
              CHECK(S_ISREG(names->Find("/a/b/file").value().stat.mode));
              CHECK(ErrnoOf(names->Find("/a/b/none")) == ENOENT);
            })});
}

TEST_CASE("no two files of two servers have the same inode") {
  RunWorld({ServingTree("/a"), ServingTree("/b"), Client([](ipc::Process& self) {
              for (const char* name : {"/a", "/b"}) WaitFor(self, name);
              const auto names = NameSpace::Make(self).value();
              const uint64_t root = names->Find("/").value().stat.inode;
              const uint64_t a = names->Find("/a").value().stat.inode;
              const uint64_t b = names->Find("/b").value().stat.inode;
              CHECK(a != b);
              CHECK(a != root);
              CHECK(names->Find("/a").value().stat.inode == a);
            })});
}

TEST_CASE("a name that comes is found by the next call; lists follow, and what has gone is gone") {
  Shared<bool> end;
  RunWorld({ServingUntil("/late", end), Client([&](ipc::Process& self) {
              WaitFor(self, "/late");
              const auto names = NameSpace::Make(self).value();
              CHECK(NamesIn(*names, "/") == "late");
              const ipc::Channel channel = self.Attach("/own/name").value();
              CHECK(names->Find("/own").value().stat.mode == (S_IFDIR | 0555));
              CHECK(WaitUntil(self, [&] { return NamesIn(*names, "/") == "late own"; }));
              end = true;
              CHECK(WaitUntil(self, [&] { return NamesIn(*names, "/") == "own"; }));
              CHECK(ErrnoOf(names->Find("/late")) == ENOENT);
            })});
}

TEST_CASE("two servers do not share a rename") {
  RunWorld({ServingTree("/a"), ServingTree("/b"), Client([](ipc::Process& self) {
              for (const char* name : {"/a", "/b"}) WaitFor(self, name);
              const auto names = NameSpace::Make(self).value();
              CHECK(names
                        ->Do("/a/x", Repeat::kNever,
                             [&](const Server& server) {
                               CHECK(names->CheckServes(server, "/a/y").ok());
                               CHECK(ErrnoOf(names->CheckServes(server, "/b/x")) == EXDEV);
                               CHECK(ErrnoOf(names->CheckServes(server, "/c")) == ENOENT);
                               return absl::OkStatus();
                             })
                        .ok());
            })});
}

TEST_CASE("after a server's death its successor is found, and what was open stays dead") {
  Shared<bool> end, ended;
  RunWorld({ServingUntil("/s", end),
            {.name = "successor",
             .main =
                 [&](ipc::Process& self) {
                   CHECK(WaitUntil(self, ended));
                   return ServeTree(self, "/s");
                 },
             .service = true},
            Client([&](ipc::Process& self) {
              WaitFor(self, "/s");
              const auto names = NameSpace::Make(self).value();
              std::unique_ptr<ipc::File> file;
              CHECK(names
                        ->Do("/s/x", Repeat::kNever,
                             [&](const Server& server) {
                               auto opened = server.files.Open("/s/x", O_RDWR | O_CREAT);
                               if (opened.ok())
                                 file = std::make_unique<ipc::File>(*std::move(opened));
                               return opened.status();
                             })
                        .ok());
              end = true;
              CHECK(WaitUntil(self, [&] { return self.ListNames("/s").value().empty(); }));
              CHECK(ErrnoOf(names->Find("/s/x")) == ENOENT);
              CHECK(ErrnoOf(file->Stat()) == EIO);
              ended = true;
              WaitFor(self, "/s");
              CHECK(names->Find("/s").ok());
              CHECK(ErrnoOf(names->Find("/s/x")) == ENOENT);
              CHECK(ErrnoOf(file->Stat()) == EIO);
            })});
}

TEST_CASE("a name whose server serves no files is a file that nobody may open") {
  RunWorld({{.name = "other",
             .main =
                 [](ipc::Process& self) {
                   const ipc::Channel channel = self.Attach("/other").value();
                   while (channel.Receive().ok()) {
                   }
                   return 0;
                 },
             .service = true},
            Client([](ipc::Process& self) {
              WaitFor(self, "/other");
              const auto names = NameSpace::Make(self).value();
              CHECK(names->Find("/other").value().stat.mode == S_IFREG);
            })});
}

}  // namespace
