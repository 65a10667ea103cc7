// Scribbling, flooding, hoarding, and garbage for the broker.
#include "tests/hostile/evil.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernel-sim/host/child.h"
#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/layout.h"
#include "kernel-sim/host/packet.h"

namespace parley::host::tests {

uint64_t Tricky(Random& random) {
  constexpr std::array<uint64_t, 14> kValues = {
      0, 1, 2, 16, 17, 1024, 1025, 4096, 4097, 8191, 8192, 1 << 30, (1 << 30) + 1, ~uint64_t{0}};
  return random() % 4 == 0 ? random() : kValues.at(random() % kValues.size());
}

std::vector<Range> SharedRanges(const char* name) {
  std::vector<Range> ranges;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    std::array<char, 5> rights = {};
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, rights.data()) !=
        3) {
      continue;
    }
    if (rights[1] != 'w' || rights[3] != 's' || !absl::StrContains(line, name)) continue;
    ranges.push_back({reinterpret_cast<std::byte*>(begin), end - begin});
  }
  return ranges;
}

namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

// -- Shared memory

void ScribbleSlot(Slot& slot, Random& random) {
  switch (random() % 6) {
    case 0:
      slot.request = MakeRequest(static_cast<uint32_t>(Tricky(random)), Ask(random() % 4));
      slot.answer = static_cast<uint32_t>(random() % 2 == 0 ? random() % 1024 : random());
      slot.taken = static_cast<uint32_t>(Tricky(random));
      break;
    case 1:
      slot.request_bytes = static_cast<uint32_t>(Tricky(random));
      slot.reply_room = static_cast<uint32_t>(Tricky(random));
      break;
    case 2:
      slot.priority = static_cast<uint16_t>(Tricky(random));
      slot.sent_at = Tricky(random);
      break;
    case 3:
      slot.references = static_cast<uint8_t>(Tricky(random));
      for (SharedReference& region : slot.region) {
        region = {static_cast<uint32_t>(random() % 64),
                  static_cast<uint8_t>(random() % 8),
                  {},
                  Tricky(random),
                  Tricky(random)};
      }
      break;
    case 4:
      slot.request_parts = {Tricky(random), Tricky(random)};
      slot.reply_parts = {reinterpret_cast<uintptr_t>(&slot), random() % 3};
      break;
    default:
      slot.request = MakeRequest(NextSequence(SequenceOf(slot.request)), Ask(1 + random() % 3));
  }
}

void ScribbleLink(Link& link, Random& random) {
  switch (random() % 8) {
    case 0:
      link.closed_by_server = static_cast<uint32_t>(random());
      link.unblock_pulse = static_cast<uint32_t>(random());
      return;
    case 1:
    case 2: {
      LaneEntry& entry = link.lane.entries.at(random() % link.lane.entries.size());
      entry.code = static_cast<uint8_t>(random());
      entry.priority = static_cast<uint8_t>(random());
      entry.value = random();
      entry.sent_at = Tricky(random);
      entry.count = static_cast<uint32_t>(Tricky(random));
      return;
    }
    case 3:
      reinterpret_cast<std::byte*>(&link)[random() % sizeof(Link)] = std::byte(random() % 256);
      return;
    default:
      ScribbleSlot(link.slots.at(random() % link.slots.size()), random);
  }
}

void ScribbleBell(Bell& bell, Random& random) {
  bell.words.at(random() % kBellWords) |= random() & random();
  bell.summary |= random() % 2 == 0 ? 1 : random();
  if (random() % 4 == 0)
    bell.door = static_cast<uint32_t>(random() % 2 == 0 ? random() % 4 : random());
  if (random() % 4 == 0) bell.served_level = static_cast<uint32_t>(Tricky(random));
  if (random() % 8 == 0) FutexWake(bell.door, static_cast<int>(random() % 4), Sharing::kShared);
}

// -- Descriptors

// Knockers, whose open file is shared with the server or the clients: full, emptied, blocking,
// shut. And, seldom, the broker's socket.
void AbuseDescriptors(Random& random) {
  std::array<char, 600> garbage;
  for (char& byte : garbage) byte = static_cast<char>(random());
  for (int fd = 3; fd < 64; ++fd) {
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) continue;
    if (type == SOCK_DGRAM) {
      fcntl(fd, F_SETFL, random() % 2 == 0 ? O_NONBLOCK : 0);
      for (int i = 0; i < 1000; ++i) send(fd, garbage.data(), i % 3, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (random() % 2 == 0) recv(fd, garbage.data(), 1, MSG_DONTWAIT);
      if (random() % 64 == 0) shutdown(fd, SHUT_RDWR);
    } else if (random() % 64 == 0) {
      send(fd, garbage.data(), random() % garbage.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  }
}

// -- The broker's address: garbage, with descriptors that it did not ask for

// Of this process's own broker, as the far end of its socket.
std::string BrokerAddress() {
  for (int fd = 3; fd < 64; ++fd) {
    sockaddr_un name = {};
    socklen_t size = sizeof(name);
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) continue;
    const size_t begin = offsetof(sockaddr_un, sun_path) + 1;
    if (name.sun_family == AF_UNIX && size > begin) return {name.sun_path + 1, size - begin};
  }
  return "";
}

void PesterBroker(const std::string& address, Random& random) {
  const UniqueFd broker = ConnectTo(address);
  if (!broker.valid()) return;
  std::array<char, 2000> garbage;
  for (char& byte : garbage) byte = static_cast<char>(random() % 3 == 0 ? random() : 0);
  iovec part = {garbage.data(), 1 + random() % garbage.size()};
  std::array<int, 8> fds;
  fds.fill(broker.get());
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(fds))> control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(fds));
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof(fds));
  sendmsg(broker.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// -- Calls of the library, which has to live with what its process scribbles

void Flood(ipc::Process& self, const ipc::Connection& to, uint64_t seed) {
  Random random(seed);
  ipc::Region region = self.CreateRegion(16384).value();
  std::vector<std::byte> bytes(20'000);
  std::vector<ipc::Channel> hoarded;
  for (;;) {
    ipc::CallOptions options = {
        .deadline = absl::Microseconds(static_cast<int64_t>(random() % 2000)),
        .grace = absl::Microseconds(100)};
    if (random() % 4 == 0) options.regions = {region.InOut(), region.In()};
    const size_t size = random() % 3 == 0 ? bytes.size() : random() % 300;
    to.Send(ipc::ConstBytes(bytes).first(size), absl::MakeSpan(bytes), options)
        .status()
        .IgnoreError();
    for (int i = 0; i < 100; ++i) {
      to.SendPulse(static_cast<uint8_t>(random() % 128), random(),
                   1 + static_cast<int>(random() % 255))
          .IgnoreError();
    }
    if (random() % 16 == 0) region = self.CreateRegion(16384).value();
    auto channel = self.CreateChannel("hoarded");
    if (channel.ok() && hoarded.size() < 100) hoarded.push_back(*std::move(channel));
  }
}

// A server that takes and never answers.
void NeverReply(ipc::Process& self) {
  auto channel = self.Attach("/evil", {.unblock_pulse = true});
  std::vector<ipc::Received> kept;
  while (channel.ok()) {
    auto received = channel->Receive();
    if (received.ok() && received->message() != nullptr) kept.push_back(*std::move(received));
  }
}

[[noreturn]] void Leave(Random& random) {
  switch (random() % 3) {
    case 0:
      _exit(0);
    case 1:
      raise(SIGSEGV);
  }
  for (;;) raise(SIGKILL);
}

}  // namespace

void BeEvil(ipc::Process& self, uint64_t seed, absl::Duration duration) {
  // What its own library says of all this is nobody's concern.
  [[maybe_unused]] const int quiet = dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
  Random random(seed);
  ipc::Connection to = self.Open("/s", kPatience).value();
  ipc::Thread flood = self.Spawn({}, [&] { Flood(self, to, seed); }).value();
  ipc::Thread idle = self.Spawn({}, [&] { NeverReply(self); }).value();
  self.Sleep(absl::Milliseconds(2)).IgnoreError();  // some of what it scribbles over is in use
  const std::string address = BrokerAddress();
  const absl::Time until = self.Now() + duration;
  while (self.Now() < until) {
    const std::vector<Range> links = SharedRanges("memfd:parley-link");
    const std::vector<Range> bells = SharedRanges("memfd:parley-bell");
    const std::vector<Range> pages = SharedRanges("memfd:parley-process");
    for (int i = 0; i < 2000; ++i) {
      ScribbleLink(*reinterpret_cast<Link*>(links.at(random() % links.size()).address), random);
      if (i % 4 == 0) {
        ScribbleBell(*reinterpret_cast<Bell*>(bells.at(random() % bells.size()).address), random);
      }
      const Range& page = pages.at(0);
      page.address[random() % page.bytes] = std::byte(random() % 256);
    }
    AbuseDescriptors(random);
    PesterBroker(address, random);
  }
  Leave(random);
}

}  // namespace parley::host::tests
