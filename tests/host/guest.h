// The far end of a real broker's socket, in packets: what processes and launchers of the tests are.
#ifndef PARLEY_TESTS_HOST_GUEST_H_
#define PARLEY_TESTS_HOST_GUEST_H_

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kernel-sim/host/packet.h"
#include "kernel-sim/kernel.h"

namespace parley::host::tests {

inline constexpr int kGuestPatienceS = 20;  // then a broker that says nothing counts as gone

class Guest {
 public:
  explicit Guest(UniqueFd socket) : socket_(std::move(socket)) {
    const timeval patience = {kGuestPatienceS, 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }

  // The answer; an empty packet if the broker is gone.
  template <WireStruct T>
  Packet Call(const T& body, std::string_view tail = {}) {
    const uint32_t number = ++last_call_;
    if (!SendPacket(socket_, Packet::Of(number, body, tail)).ok()) return {};
    for (;;) {
      auto packet = ReceivePacket(socket_);
      if (!packet.ok() || !packet->header()) return {};
      if (packet->header()->call == number) return *std::move(packet);
      notices_.push_back(*std::move(packet));
    }
  }
  template <WireStruct Answer, WireStruct T>
  std::optional<Answer> Ask(const T& body, std::string_view tail = {}) {
    last = Call(body, tail);
    return last.As<Answer>();
  }
  template <WireStruct T>
  Error Refusal(const T& body, std::string_view tail = {}) {
    const auto failed = Ask<Failed>(body, tail);
    return failed ? static_cast<Error>(failed->error) : Error::kNone;
  }
  // The next notice that is a T, which stays in `last`; what comes before it is dropped.
  template <WireStruct T>
  std::optional<T> Notice() {
    for (;;) {
      if (notices_.empty()) {
        auto packet = ReceivePacket(socket_);
        if (!packet.ok()) return std::nullopt;
        last = *std::move(packet);
      } else {
        last = std::move(notices_.front());
        notices_.pop_front();
      }
      if (last.As<T>()) return last.As<T>();
    }
  }
  // Whether the broker hangs up, sooner or later.
  bool Dropped() {
    while (ReceivePacket(socket_).ok()) {
    }
    return recv(socket_.get(), nullptr, 0, MSG_DONTWAIT) == 0 || errno != EAGAIN;
  }
  void HangUp() { socket_.Reset(); }
  const UniqueFd& socket() const { return socket_; }

  // A process that asks for nothing special, as whoever its maker is.
  static host::Spawn PlainSpawn() {
    host::Spawn spawn = {};
    spawn.scheduling = ToWire(Scheduling{});
    spawn.ceiling = kMaxPriority;
    spawn.region_quota_bytes = kDefaultRegionQuotaBytes;
    return spawn;
  }
  std::optional<Spawned> Spawn(const std::string& program, const std::string& name = "") {
    return Ask<Spawned>(PlainSpawn(), JoinTail({program, name}));
  }
  std::optional<Joined> Join(uint64_t ticket) {
    return Ask<Joined>(host::Join{kWireVersion, 0, ticket});
  }

  Packet last;

 private:
  UniqueFd socket_;
  uint32_t last_call_ = 0;
  std::deque<Packet> notices_;
};

}  // namespace parley::host::tests

#endif  // PARLEY_TESTS_HOST_GUEST_H_
