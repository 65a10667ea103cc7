// The copy between scattered parts beside a copy of flat strings.
#include "kernel-sim/core/bytes.h"

#include <doctest/doctest.h>

#include <cstring>

#include "tests/core/drive.h"

namespace parley {
namespace {

using tests::Choices;
using tests::Size;

bool CopyRun(std::byte* to, const std::byte* from, size_t size) {
  std::memcpy(to, from, size);
  return true;
}

// Both ends in one flat buffer each, cut into parts at random places.
class CopyRig {
 public:
  CopyRig(Size size, Choices&) : bytes_(size == Size::kSmall ? 3 : 24) {}

  void Step(Choices& choices) {
    std::vector<std::byte> source(bytes_), destination(bytes_, std::byte{0xee});
    for (uint32_t i = 0; i < bytes_; ++i) source[i] = static_cast<std::byte>(i + 1);
    std::vector<ConstBytes> from;
    std::vector<MutableBytes> to;
    const uint32_t offered = Cut(choices, source, from), room = Cut(choices, destination, to);
    const uint32_t source_offset = choices.Below(bytes_ + 2);
    const uint32_t destination_offset = choices.Below(bytes_ + 2);

    std::vector<std::byte> expected = destination;
    uint32_t moved = 0;
    while (source_offset + moved < offered && destination_offset + moved < room) {
      expected[destination_offset + moved] = source[source_offset + moved];
      ++moved;
    }
    REQUIRE(TotalBytes(from) == offered);
    REQUIRE(CopyParts(MutableParts(to), destination_offset, ConstParts(from), source_offset,
                      CopyRun) == moved);
    REQUIRE(destination == expected);
  }

 private:
  // Parts of random lengths, empty ones too; returns how many bytes they hold.
  template <typename Bytes>
  uint32_t Cut(Choices& choices, std::vector<std::byte>& flat, std::vector<Bytes>& parts) const {
    uint32_t used = 0;
    const uint32_t count = choices.Below(bytes_ == 3 ? 3 : 6);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t length = choices.Below(std::min<uint32_t>(bytes_ - used, 7) + 1);
      parts.push_back(Bytes(flat.data() + used, length));
      used += length;
    }
    return used;
  }
  const uint32_t bytes_;
};

TEST_CASE("core: a scattered copy moves what a flat one would, a million times") {
  tests::DriveAtRandom<CopyRig>();
}

TEST_CASE("core: a scattered copy moves what a flat one would, for all cuts of three bytes") {
  tests::DriveThroughAll<CopyRig>(1 + (PARLEY_TEST_SLOWDOWN > 1));
}

TEST_CASE("core: a copy that stops counts the runs before it") {
  const std::byte source[6] = {};
  std::byte destination[6] = {};
  const std::vector<ConstBytes> from = {{source, 2}, {source + 2, 2}, {source + 4, 2}};
  const std::vector<MutableBytes> to = {{destination, 6}};
  int runs = 0;
  const auto fails_third = [&](std::byte*, const std::byte*, size_t) { return ++runs < 3; };
  CHECK(CopyParts(MutableParts(to), 0, ConstParts(from), 0, fails_third) == 4);
  CHECK(runs == 3);
}

}  // namespace
}  // namespace parley
