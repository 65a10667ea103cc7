// Packets, descriptors and sealed memory of the host kernel.
#include "kernel-sim/host/packet.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <array>
#include <thread>

#include "kernel-sim/core/errors.h"
#include "kernel-sim/host/futex.h"

namespace parley::host {
namespace {

struct Sockets {
  UniqueFd a, b;
};
Sockets MakeSockets() {
  std::array<int, 2> fds;
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TEST_CASE("an empty struct travels as a zero, whatever stood where it was made") {
  std::byte place[sizeof(Done)] = {std::byte{0xff}};
  const Packet packet = Packet::Of(1, *reinterpret_cast<const Done*>(place));
  CHECK(packet.As<Done>());
  CHECK(packet.bytes.back() == std::byte{0});
}

TEST_CASE("a packet arrives with its body, its tail and its descriptors") {
  Sockets sockets = MakeSockets();
  auto memory = MakeSharedMemory("test", 4096);
  REQUIRE(memory.ok());
  const auto here = MapShared(*memory, 4096, /*writable=*/true);
  REQUIRE(here.ok());
  Packet packet = Packet::Of(7, Kill{ProcessId{42}}, JoinTail({"one", "", "three"}));
  packet.fds.push_back(std::move(*memory));
  REQUIRE(SendPacket(sockets.a, packet).ok());
  const auto received = ReceivePacket(sockets.b);
  REQUIRE(received.ok());
  CHECK(received->header()->call == 7);
  REQUIRE(received->As<Kill>());
  CHECK(received->As<Kill>()->process == ProcessId{42});
  CHECK_FALSE(received->As<Revoke>());
  CHECK(SplitTail(received->Tail<Kill>()) == std::vector<std::string>{"one", "", "three"});
  REQUIRE(received->fds.size() == 1);
  const auto there = MapShared(received->fds[0], 4096, /*writable=*/false);
  REQUIRE(there.ok());
  here->address()[100] = std::byte{5};
  CHECK(there->address()[100] == std::byte{5});
}

TEST_CASE("a packet that is too short is no packet, and one that is too long is refused") {
  Packet shortened;
  shortened.bytes.resize(sizeof(Header) - 1);
  CHECK_FALSE(shortened.header());
  CHECK_FALSE(shortened.As<Done>());
  shortened = Packet::Of(1, Kill{});
  shortened.bytes.pop_back();
  CHECK_FALSE(shortened.As<Kill>());
  CHECK(SplitTail("no end").empty());
  Sockets sockets = MakeSockets();
  REQUIRE(SendPacket(sockets.a, Packet::Of(1, Done{}, std::string(kMaxPacketBytes, 'x'))).ok());
  CHECK(ErrorOf(ReceivePacket(sockets.b).status()) == Error::kInvalidArgument);
}

TEST_CASE("a far end that is gone is an error, on both ways") {
  Sockets sockets = MakeSockets();
  sockets.b.Reset();
  CHECK(ErrorOf(SendPacket(sockets.a, Packet::Of(1, Done{}))) == Error::kNoSuchChannel);
  CHECK(ErrorOf(ReceivePacket(sockets.a).status()) == Error::kNoSuchChannel);
}

TEST_CASE("shared memory can neither shrink nor grow, and nothing else is mapped (R9)") {
  auto memory = MakeSharedMemory("test", 8192);
  REQUIRE(memory.ok());
  CHECK(ftruncate(memory->get(), 4096) != 0);
  CHECK(ftruncate(memory->get(), 16384) != 0);
  CHECK(ErrorOf(MapShared(*memory, 4096, true).status()) == Error::kInvalidArgument);
  const UniqueFd unsealed(memfd_create("unsealed", MFD_CLOEXEC));
  REQUIRE(ftruncate(unsealed.get(), 8192) == 0);
  CHECK(ErrorOf(MapShared(unsealed, 8192, true).status()) == Error::kInvalidArgument);
  const UniqueFd file(open("/dev/null", O_RDWR | O_CLOEXEC));
  CHECK(ErrorOf(MapShared(file, 8192, true).status()) == Error::kInvalidArgument);
}

TEST_CASE("a wait on a word ends when the word has changed, or at its deadline") {
  std::atomic<uint32_t> word{1};
  CHECK(FutexWait(word, 0, kNever, Sharing::kPrivate));
  CHECK_FALSE(FutexWait(word, 1, MonotonicNs() + 1'000'000, Sharing::kPrivate));
  std::thread waker([&] {
    word = 2;
    FutexWake(word, 1, Sharing::kPrivate);
  });
  while (word == 1) FutexWait(word, 1, kNever, Sharing::kPrivate);
  waker.join();
}

}  // namespace
}  // namespace parley::host
