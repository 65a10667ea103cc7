// The table of names beside a list that is searched from end to end.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "servers/nameserver/registry.h"
#include "tests/core/drive.h"

namespace {

using nameserver::Caller;
using nameserver::CheckPath;
using nameserver::IsAtOrBelow;
using nameserver::Registry;
using tests::Choices;
using tests::Size;

// Every path of some depth over a few components, one of them a prefix of another as text.
std::vector<std::string> PathsUpTo(int depth, const std::vector<std::string>& components) {
  std::vector<std::string> paths = {""};
  for (size_t begin = 0; depth > 0; --depth) {
    const size_t end = paths.size();
    for (; begin < end; ++begin) {
      for (const std::string& component : components) {
        paths.push_back(absl::StrCat(paths[begin], "/", component));
      }
    }
  }
  paths.erase(paths.begin());
  return paths;
}

class RegistryRig {
 public:
  RegistryRig(Size size, Choices&)
      : paths_(size == Size::kSmall ? PathsUpTo(2, {"a"}) : PathsUpTo(3, {"a", "ab", "b"})),
        callers_(size == Size::kSmall ? std::vector<Caller>{{0, 0}, {1, 1}}
                                      : std::vector<Caller>{{0, 0}, {1, 1}, {1, 2}, {2, 1}}),
        modes_(size == Size::kSmall ? std::vector<uint32_t>{0600}
                                    : std::vector<uint32_t>{0600, 0666, 0020, 0002, 0}) {}

  void Step(Choices& choices) {
    const std::string& path = choices.OneOf(paths_);
    const Caller caller = choices.OneOf(callers_);
    switch (choices.Below(4)) {
      case 0:
        Attach(path, caller, choices.OneOf(modes_));
        break;
      case 1:
        Detach(choices);
        break;
      case 2:
        Resolve(path, caller);
        break;
      default:
        List(path);
    }
    REQUIRE(registry_.size() == names_.size());
  }

 private:
  struct Name {
    uint64_t id;
    std::string path;
    Caller owner;
    uint32_t mode;
  };

  static bool Covers(const std::string& prefix, const std::string& path) {
    return path == prefix || path.rfind(prefix + "/", 0) == 0;
  }

  // The longest name at or above, by looking at all.
  const Name* Above(const std::string& path) const {
    const Name* longest = nullptr;
    for (const Name& name : names_) {
      if (Covers(name.path, path) &&
          (longest == nullptr || name.path.size() > longest->path.size())) {
        longest = &name;
      }
    }
    return longest;
  }

  void Attach(const std::string& path, const Caller& caller, uint32_t mode) {
    const Name* above = Above(path);
    absl::StatusCode expected = absl::StatusCode::kOk;
    if (above != nullptr && above->path == path) {
      expected = absl::StatusCode::kAlreadyExists;
    } else if (above != nullptr && caller.uid != 0 && caller.uid != above->owner.uid) {
      expected = absl::StatusCode::kPermissionDenied;
    }
    REQUIRE(registry_.CheckAttach(path, caller).code() == expected);
    auto id = registry_.Attach(path, caller, mode);
    REQUIRE(id.status().code() == expected);
    if (!id.ok()) return;
    REQUIRE(*id > last_id_);  // never used before
    last_id_ = *id;
    names_.push_back({*id, path, caller, mode});
  }

  void Detach(Choices& choices) {
    if (names_.empty()) {
      REQUIRE(registry_.Detach(last_id_ + 1) == "");
      return;
    }
    const size_t at = choices.Below(static_cast<uint32_t>(names_.size()));
    REQUIRE(registry_.Detach(names_[at].id) == names_[at].path);
    REQUIRE(registry_.Detach(names_[at].id) == "");
    names_.erase(names_.begin() + static_cast<ptrdiff_t>(at));
  }

  void Resolve(const std::string& path, const Caller& caller) {
    const Name* above = Above(path);
    auto match = registry_.Resolve(path, caller);
    if (above == nullptr) {
      REQUIRE(absl::IsNotFound(match.status()));
      return;
    }
    bool may = (above->mode & 0002) != 0;
    if (caller.gid == above->owner.gid) may = (above->mode & 0020) != 0;
    if (caller.uid == above->owner.uid) may = (above->mode & 0200) != 0;
    if (caller.uid == 0) may = true;
    REQUIRE(match.status().code() ==
            (may ? absl::StatusCode::kOk : absl::StatusCode::kPermissionDenied));
    if (!may) return;
    REQUIRE(match->name.id == above->id);
    REQUIRE(match->matched == above->path.size());
  }

  void List(const std::string& prefix) {
    std::vector<std::string> expected, found;
    for (const Name& name : names_) {
      if (Covers(prefix, name.path)) expected.push_back(name.path);
    }
    std::sort(expected.begin(), expected.end());
    for (std::string at; !(at = registry_.NextAfter(prefix, at)).empty();) found.push_back(at);
    REQUIRE(found == expected);
  }

  const std::vector<std::string> paths_;
  const std::vector<Caller> callers_;
  const std::vector<uint32_t> modes_;
  Registry registry_;
  std::vector<Name> names_;
  uint64_t last_id_ = 0;
};

TEST_CASE("a registry of names agrees with a list through random operations") {
  tests::DriveAtRandom<RegistryRig>();
}

TEST_CASE("a registry of names agrees with a list through every sequence of a few operations") {
  tests::DriveThroughAll<RegistryRig>(5);
}

TEST_CASE("a path is absolute, at most 255 bytes, without empty, . and .. parts") {
  for (const char* path : {"/a", "/a/b", "/.a", "/a./..b", "/...", "/ "}) {
    CHECK_MESSAGE(CheckPath(path).ok(), path);
  }
  for (const char* path : {"", "/", "a", "a/b", "//", "//a", "/a/", "/a//b", "/.", "/..", "/a/./b",
                           "/a/../b", "/a/.."}) {
    CHECK_MESSAGE(absl::IsInvalidArgument(CheckPath(path)), path);
  }
  CHECK(CheckPath("/" + std::string(254, 'x')).ok());
  CHECK(absl::IsInvalidArgument(CheckPath("/" + std::string(255, 'x'))));
}

TEST_CASE("a prefix ends where a part of the path ends") {
  CHECK(IsAtOrBelow("/dev/gfx", "/dev/gfx"));
  CHECK(IsAtOrBelow("/dev/gfx/0", "/dev/gfx"));
  CHECK(IsAtOrBelow("/dev", "/"));
  CHECK_FALSE(IsAtOrBelow("/dev/gfx0", "/dev/gfx"));
  CHECK_FALSE(IsAtOrBelow("/dev", "/dev/gfx"));
}

TEST_CASE("a full registry refuses one more name and takes it when one has gone") {
  Registry registry;
  uint64_t first = 0;
  for (size_t i = 0; i < Registry::kMaxNames; ++i) {
    auto id = registry.Attach(absl::StrCat("/", i), {}, 0666);
    REQUIRE(id.ok());
    if (i == 0) first = *id;
  }
  CHECK(absl::IsResourceExhausted(registry.Attach("/more", {}, 0666).status()));
  CHECK(registry.Detach(first) == "/0");
  CHECK(registry.Attach("/more", {}, 0666).ok());
}

}  // namespace
