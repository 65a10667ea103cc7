// Tests of libipc/src/file_locks.h against a model that has a lock on each byte.
#include "libipc/src/file_locks.h"

#include <array>
#include <random>

#include "doctest/doctest.h"
#include "tests/core/drive.h"

namespace ipc {
namespace {

constexpr uint64_t kBytes = 24, kOwners = 3;

enum class Held : uint8_t { kNot, kShared, kAlone };
using Model = std::array<std::array<Held, kBytes>, kOwners>;

bool Conflicts(const Model& model, const FileLocks::Range& wanted) {
  for (uint64_t owner = 0; owner < kOwners; ++owner) {
    if (owner == wanted.owner.id) continue;
    for (uint64_t byte = wanted.begin; byte < wanted.end; ++byte) {
      const Held held = model[owner][byte];
      if (held == Held::kAlone || (held == Held::kShared && wanted.exclusive)) return true;
    }
  }
  return false;
}

void Fill(Model& model, const FileLocks::Range& range, Held held) {
  for (uint64_t byte = range.begin; byte < range.end; ++byte) model[range.owner.id][byte] = held;
}

// The ranges say what the model does, and neither overlap nor touch without need.
void CheckSame(const FileLocks& locks, const Model& model) {
  Model shown = {};
  for (const FileLocks::Range& range : locks.ranges()) {
    CHECK(range.begin < range.end);
    for (uint64_t byte = range.begin; byte < range.end; ++byte) {
      Held& held = shown[range.owner.id][byte];
      CHECK(held == Held::kNot);
      held = range.exclusive ? Held::kAlone : Held::kShared;
    }
    for (const FileLocks::Range& other : locks.ranges()) {
      const bool same = other.owner == range.owner && other.exclusive == range.exclusive;
      CHECK_FALSE((same && other.begin == range.end));
    }
  }
  CHECK(shown == model);
}

TEST_CASE("file locks are as if each byte had its own") {
  std::mt19937_64 random(tests::TestSeed());
  for (int round = 0; round < 200; ++round) {
    FileLocks locks;
    Model model = {};
    for (int step = 0; step < 100; ++step) {
      FileLocks::Range range;
      range.begin = random() % kBytes;
      range.end = range.begin + 1 + random() % (kBytes - range.begin);
      range.exclusive = random() % 2 != 0;
      range.owner = {0, random() % kOwners};
      range.file = static_cast<uint32_t>(range.owner.id);
      if (random() % 3 == 0) {
        CHECK(locks.Clear(range.owner, range.begin, range.end));
        Fill(model, range, Held::kNot);
      } else if (random() % 40 == 0) {
        const bool any = model[range.owner.id] != std::array<Held, kBytes>{};
        CHECK(locks.ClearFile(range.file) == any);
        model[range.owner.id] = {};
      } else {
        CHECK(locks.Conflict(range).has_value() == Conflicts(model, range));
        if (locks.Conflict(range)) continue;
        CHECK(locks.Set(range));
        Fill(model, range, range.exclusive ? Held::kAlone : Held::kShared);
      }
      CheckSame(locks, model);
    }
  }
}

TEST_CASE("file locks have a bound, and all that are held can be let go of") {
  FileLocks locks;
  uint64_t begin = 0;
  const auto at = [](uint64_t byte) {
    FileLocks::Range range;
    range.begin = byte;
    range.end = byte + 1;
    return range;
  };
  while (locks.Set(at(begin))) begin += 2;
  CHECK(locks.ranges().size() <= FileLocks::kMaxRanges);
  CHECK(locks.ranges().size() > FileLocks::kMaxRanges - 3);
  CHECK(locks.Clear({}, 0, FileLocks::kEnd));
  CHECK(locks.ranges().empty());
}

}  // namespace
}  // namespace ipc
