// Named pipes beside a list of bytes and of who has seen whom; the bytes of /dev/random.
#include <algorithm>
#include <cerrno>
#include <list>
#include <string>

#include "ipc/posix.h"
#include "servers/devices/pipe.h"
#include "servers/devices/random_source.h"
#include "tests/core/drive.h"

namespace {

using devices::Pipe;
using devices::RandomSource;
using ipc::BytesOfText;
using tests::Choices;
using tests::Size;

class PipeRig {
 public:
  PipeRig(Size size, Choices&) : most_bytes_(size == Size::kSmall ? 3 : 70'000) {}

  void Step(Choices& choices) {
    const uint32_t what = choices.Below(6);
    if (open_.size() < 2 || (open_.size() < 6 && what == 0)) {
      Open(choices.Below(3));
    } else if (what == 0) {
      auto chosen = open_.begin();
      std::advance(chosen, choices.Below(static_cast<uint32_t>(open_.size())));
      Close(chosen);
    } else {
      auto chosen = open_.begin();
      std::advance(chosen, choices.Below(static_cast<uint32_t>(open_.size())));
      const size_t bytes = choices.Below(2) == 0 ? choices.Below(4) : choices.Below(most_bytes_);
      if (what < 3 && chosen->end.reads) Read(*chosen, bytes);
      if (what >= 3 && chosen->end.writes) Write(*chosen, bytes);
    }
    REQUIRE(pipe_.size() == held_.size());
    for (const One& one : open_) CheckPoll(one);
  }

 private:
  struct One {
    Pipe::End end;
    bool saw_reader, saw_writer;
  };

  bool Any(bool Pipe::End::*side) const {
    return std::any_of(open_.begin(), open_.end(), [&](const One& one) { return one.end.*side; });
  }

  void Open(uint32_t how) {
    const bool reads = how != 1, writes = how != 0;
    One one = {pipe_.Open(reads, writes), Any(&Pipe::End::reads),
               Any(&Pipe::End::writes) || !held_.empty()};
    for (One& other : open_) {
      other.saw_reader |= reads;
      other.saw_writer |= writes;
    }
    open_.push_back(one);
  }

  void Close(std::list<One>::iterator chosen) {
    const One one = *chosen;
    open_.erase(chosen);
    pipe_.Close(one.end);
    if (open_.empty() && (one.end.reads || one.saw_reader)) held_.clear();
  }

  void Read(const One& one, size_t bytes) {
    std::string room(bytes, '\0');
    const auto count =
        pipe_.Read(one.end, {reinterpret_cast<std::byte*>(room.data()), room.size()});
    if (bytes > 0 && held_.empty() && !AtEnd(one)) {
      REQUIRE(ipc::PosixErrorOf(count.status()) == EAGAIN);
      return;
    }
    REQUIRE(count.value() == std::min(bytes, held_.size()));
    REQUIRE(room.substr(0, *count) == held_.substr(0, *count));
    held_.erase(0, *count);
  }

  void Write(const One& one, size_t bytes) {
    std::string text(bytes, '\0');
    for (char& letter : text) letter = static_cast<char>(next_++);
    const auto count = pipe_.Write(one.end, BytesOfText(text));
    const size_t room = Pipe::kCapacityBytes - held_.size();
    const bool whole = bytes <= Pipe::kAtomicBytes;
    if (IsBroken(one)) {
      REQUIRE(ipc::PosixErrorOf(count.status()) == EPIPE);
    } else if (bytes > 0 && (room == 0 || (whole && room < bytes))) {
      REQUIRE(ipc::PosixErrorOf(count.status()) == EAGAIN);
    } else {
      REQUIRE(count.value() == std::min(bytes, room));
      held_ += text.substr(0, *count);
    }
  }

  void CheckPoll(const One& one) const {
    const size_t room = Pipe::kCapacityBytes - held_.size();
    REQUIRE(pipe_.IsReadable(one.end) == (one.end.reads && (!held_.empty() || AtEnd(one))));
    REQUIRE(pipe_.IsWritable(one.end) ==
            (one.end.writes && (room >= Pipe::kAtomicBytes || IsBroken(one))));
  }

  bool AtEnd(const One& one) const { return !Any(&Pipe::End::writes) && one.saw_writer; }
  bool IsBroken(const One& one) const { return !Any(&Pipe::End::reads) && one.saw_reader; }

  const uint32_t most_bytes_;
  Pipe pipe_;
  std::string held_;
  std::list<One> open_;
  uint8_t next_ = 0;
};

TEST_CASE("a pipe does what its model does, at random") {
  tests::DriveAtRandom<PipeRig>(tests::kRandomOperations / 10);
}

TEST_CASE("a pipe does what its model does, in every short sequence") {
  tests::DriveThroughAll<PipeRig>(3);
}

TEST_CASE("what is left in a pipe that nobody has read stays for the first reader") {
  Pipe pipe;
  const Pipe::End writer = pipe.Open(false, true);
  CHECK(pipe.Write(writer, BytesOfText("left")).value() == 4);
  pipe.Close(writer);
  const Pipe::End reader = pipe.Open(true, false);
  char four[4] = {};
  CHECK(pipe.Read(reader, ipc::MutableBytesOf(four)).value() == 4);
  CHECK(std::string(four, 4) == "left");
  CHECK(pipe.Read(reader, ipc::MutableBytesOf(four)).value() == 0);  // the end
  pipe.Close(reader);
  const Pipe::End next = pipe.Open(true, false);
  CHECK(ipc::PosixErrorOf(pipe.Read(next, ipc::MutableBytesOf(four)).status()) == EAGAIN);
}

TEST_CASE("random bytes of one seed are the same however they are asked for") {
  std::string whole(1000, '\0'), pieces(1000, '\0'), other(1000, '\0');
  const auto bytes = [](std::string& text, size_t at, size_t count) {
    return ipc::MutableBytes(reinterpret_cast<std::byte*>(text.data()) + at, count);
  };
  CHECK(RandomSource(7).Fill(bytes(whole, 0, 1000)).ok());
  RandomSource seven(7);
  for (size_t at = 0, size = 1; at < 1000; at += size, size = std::min(size + 1, 1000 - at)) {
    CHECK(seven.Fill(bytes(pieces, at, size)).ok());
  }
  CHECK(RandomSource(8).Fill(bytes(other, 0, 1000)).ok());
  CHECK(whole == pieces);
  CHECK(whole != other);
}

TEST_CASE("random bytes of the host are not twice the same") {
  uint64_t first[4] = {}, second[4] = {};
  RandomSource source;
  CHECK(source.Fill(ipc::MutableBytesOf(first)).ok());
  CHECK(source.Fill(ipc::MutableBytesOf(second)).ok());
  CHECK_FALSE(std::equal(first, first + 4, second));
}

}  // namespace
