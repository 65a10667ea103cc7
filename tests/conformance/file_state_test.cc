// Conformance: attributes and locks of files, on every kernel (M1).
#include <cerrno>
#include <string>

#include "tests/conformance/tree.h"

namespace {

using ipc::File;
using ipc::FileServer;
using ipc::files::Change;
using tests::conformance::Client;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::LetBlock;
using tests::conformance::RunWorld;
using tests::conformance::ServingTree;
using tests::conformance::WaitUntil;

FileServer TreeOf(ipc::Process& self) {
  return FileServer::Connect(self, "/tree", {.deadline = kSoon}).value();
}

TEST_CASE("mode, owner and times are changed, and times are kept") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              const FileServer tree = TreeOf(self);
              CHECK(ipc::WriteFile(self, "/tree/a", "a").ok());
              const ipc::files::Stat before = tree.Stat("/tree/a").value();
              CHECK(before.modified_ns > 0);
              self.Sleep(absl::Milliseconds(1)).IgnoreError();
              CHECK(ipc::WriteFile(self, "/tree/a", "b").ok());
              const ipc::files::Stat after = tree.Stat("/tree/a").value();
              CHECK(after.modified_ns > before.modified_ns);
              CHECK(after.changed_ns > before.changed_ns);
              CHECK(after.inode == before.inode);
              CHECK(after.inode != tree.Stat("/tree").value().inode);
              CHECK(tree.Change("/tree/a", {.mask = Change::kMode, .mode = 0123456}).ok());
              CHECK(tree.Stat("/tree/a").value().mode == (S_IFREG | 03456));
              const File file = tree.Open("/tree/a", O_RDONLY).value();
              CHECK(file.Change({.mask = Change::kAccessed | Change::kModified,
                                 .accessed_ns = 5,
                                 .modified_ns = 7})
                        .ok());
              CHECK(file.Stat().value().accessed_ns == 5);
              CHECK(file.Stat().value().modified_ns == 7);
              CHECK(file.Change({.mask = Change::kModifiedNow}).ok());
              CHECK(file.Stat().value().modified_ns > after.modified_ns);
              CHECK(file.Stat().value().accessed_ns == 5);
              CHECK(ErrnoOf(tree.Change("/tree/none", {.mask = Change::kMode})) == ENOENT);
              CHECK(tree.StatFs().value().name_bytes == 255);
            })});
}

TEST_CASE("only its owner changes a file, and only uid 0 gives one away") {
  if (tests::conformance::LacksOtherUsers()) return;
  tests::Shared<bool> made;
  tests::Actor owner = Client(
      [&](ipc::Process& self) {
        const FileServer tree = TreeOf(self);
        CHECK(ipc::WriteFile(self, "/tree/a", "a").ok());
        CHECK(tree.Change("/tree/a", {.mask = Change::kMode, .mode = 04755}).ok());
        CHECK(ErrnoOf(tree.Change("/tree/a", {.mask = Change::kUid, .uid = 1001})) == EPERM);
        CHECK(ErrnoOf(tree.Change("/tree/a", {.mask = Change::kGid, .gid = 1001})) == EPERM);
        CHECK(tree.Change("/tree/a", {.mask = Change::kGid, .gid = 1000}).ok());
        CHECK(tree.Stat("/tree/a").value().mode == (S_IFREG | 0755));  // no longer set-user-id
        made = true;
      },
      "owner");
  owner.uid = owner.gid = 1000;
  tests::Actor stranger = Client(
      [&](ipc::Process& self) {
        CHECK(WaitUntil(self, made));
        const FileServer tree = TreeOf(self);
        CHECK(ErrnoOf(tree.Change("/tree/a", {.mask = Change::kMode, .mode = 0777})) == EPERM);
        CHECK(ErrnoOf(tree.Change("/tree/a", {.mask = Change::kModifiedNow})) == EPERM);
      },
      "stranger");
  stranger.uid = stranger.gid = 1001;
  RunWorld({ServingTree(), owner, stranger});
}

TEST_CASE("locks keep each other out, and end with their file") {
  RunWorld({ServingTree(), Client([](ipc::Process& self) {
              const FileServer tree = TreeOf(self);
              const auto open = [&](uint32_t flags) {
                return tree.Open("/tree/a", flags | O_CREAT).value();
              };
              const File reader = open(O_RDONLY), other = open(O_RDWR);
              const ipc::Deadline now = ipc::Deadline::Poll();
              CHECK(reader.Lock(F_RDLCK, 0, 100, now).ok());
              CHECK(other.Lock(F_RDLCK, 50, 100, now).ok());
              CHECK(ErrnoOf(reader.Lock(F_WRLCK, 0, 1, now)) == EBADF);
              CHECK(ErrnoOf(other.Lock(F_WRLCK, 99, 1, now)) == EAGAIN);
              CHECK(other.Lock(F_WRLCK, 100, 0, now).ok());
              CHECK(ErrnoOf(reader.Lock(F_RDLCK, 1000, 1, now)) == EAGAIN);
              const ipc::files::Lock found = other.FindLock(F_WRLCK, 0, 60).value();
              CHECK(found.type == F_RDLCK);
              CHECK(found.start == 0);
              CHECK(found.length == 100);
              CHECK(other.FindLock(F_WRLCK, 200).value().type == F_UNLCK);
              CHECK(ErrnoOf(reader.Lock(F_RDLCK, 0, ~uint64_t{0}, now)) == EAGAIN);
              CHECK(ErrnoOf(reader.Lock(F_RDLCK, 5, ~uint64_t{0}, now)) == EINVAL);
              CHECK(ErrnoOf(other.Lock(F_WRLCK, 0, 60, absl::Milliseconds(5))) == ETIMEDOUT);
              {
                const File third = open(O_RDWR);
                CHECK(third.Lock(F_RDLCK, 0, 10, now).ok());
                CHECK(reader.Lock(F_UNLCK).ok());
                CHECK(ErrnoOf(other.Lock(F_WRLCK, 0, 60, now)) == EAGAIN);
              }
              CHECK(other.Lock(F_WRLCK, 0, 60, now).ok());
              // Owners of the client's own are told apart on one file.
              CHECK(other.Lock(F_UNLCK).ok());
              CHECK(other.Lock(F_WRLCK, 0, 10, now, 1).ok());
              CHECK(ErrnoOf(other.Lock(F_WRLCK, 5, 10, now, 2)) == EAGAIN);
              CHECK(other.FindLock(F_WRLCK, 5, 10, 2).value().owner == 1);
              CHECK(other.Lock(F_UNLCK, 0, 0, now, 1).ok());
              CHECK(other.Lock(F_WRLCK, 5, 10, now, 2).ok());
            })});
}

TEST_CASE("who waits for a lock gets it when it is let go of, or its holder dies") {
  tests::Shared<bool> locked;
  tests::Actor holder = {.name = "holder",
                         .main =
                             [&](ipc::Process& self) {
                               const File file = TreeOf(self).Open("/tree/a", O_RDWR).value();
                               CHECK(file.Lock(F_WRLCK).ok());
                               locked = true;
                               self.Sleep(absl::Seconds(100)).IgnoreError();
                               return 0;
                             },
                         .only_program = true};
  RunWorld({ServingTree(), holder, Client([&](ipc::Process& self) {
              const FileServer tree = TreeOf(self);
              const File one = tree.Open("/tree/a", O_RDWR | O_CREAT).value();
              const File two = tree.Open("/tree/a", O_RDWR).value();
              CHECK(one.Lock(F_WRLCK).ok());
              ipc::Thread waiter =
                  self.Spawn({}, [&] { CHECK(two.Lock(F_WRLCK, 0, 0, kSoon).ok()); }).value();
              LetBlock(self);
              CHECK(one.Lock(F_UNLCK).ok());
              CHECK(waiter.Join().ok());
              CHECK(two.Lock(F_UNLCK).ok());
              const ipc::Child child = self.Start("holder").value();
              CHECK(WaitUntil(self, locked));
              CHECK(ErrnoOf(one.Lock(F_WRLCK, 0, 0, ipc::Deadline::Poll())) == EAGAIN);
              CHECK(child.Kill().ok());
              CHECK(one.Lock(F_WRLCK, 0, 0, kSoon).ok());
            })});
}

}  // namespace
