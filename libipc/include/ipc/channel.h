// A channel: where a server receives messages and pulses, highest priority first (S7, P1, U1 to
// U5).
//
// Threads: any number may receive on one channel. It is destroyed, or moved, by one when no other
// uses it.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_CHANNEL_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_CHANNEL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "ipc/connection.h"
#include "ipc/message.h"
#include "ipc/time.h"
#include "ipc/token.h"

namespace ipc {

// U1, U2: a received pulse.
struct Pulse {
  // The kernel's own codes; a program's are 0 to 127.
  static constexpr uint8_t kDeath = 128;  // L1: value = the cookie of OpenOptions
  // L2: value = the id() of the client's ProcessRef, badge = MessageInfo::connection of the last
  // connection that it had. It may have made one since, whose number is higher.
  static constexpr uint8_t kDisconnect = 129;
  static constexpr uint8_t kUnblock = 130;  // D3, D4: value = the id() of the message
  static constexpr uint8_t kReady = 131;    // value = the id() of a DescriptorWatch

  uint8_t code = 0;
  uint64_t value = 0;
  int priority = 0;    // 1 to 255
  uint32_t count = 1;  // U2: identical ones it stands for; of a timer: overruns + 1 (U5)
  uint64_t badge =
      0;  // of the connection that sent it; 0 for events, timers and most of the kernel's
};

// What Receive returns: a message or a pulse (U3).
class [[nodiscard]] Received {
 public:
  Received() {}  // neither: an empty message; not zeroed, it is on every request's way
  Received(Received&&) noexcept = default;
  Received& operator=(Received&&) noexcept = default;
  Message* message() { return is_pulse_ ? nullptr : &message_; }        // null for a pulse
  const Pulse* pulse() const { return is_pulse_ ? &pulse_ : nullptr; }  // null for a message

 private:
  friend class Channel;
  bool is_pulse_ = false;
  Message message_;
  Pulse pulse_;
};

// U4: what a client gives a server in a message, so that the server can send one pulse back. Plain
// data.
struct EventToken {
  Token token;
};

// U5: queues a pulse on its channel at given times. Destroying it disarms it.
class [[nodiscard]] Timer {
 public:
  Timer(Timer&& other) noexcept;
  Timer& operator=(Timer&& other) noexcept;
  ~Timer();

  // First at `first` (absolute, or from now), then every `period`; zero: once. Re-arming replaces.
  // A pulse that is not received before the next one is due counts in it. kInvalidArgument: a
  // negative period. kNoSuchChannel.
  absl::Status Arm(Deadline first, absl::Duration period = absl::ZeroDuration());
  absl::Status Disarm();

 private:
  friend class Channel;
  Timer(parley::Kernel* kernel, uint32_t handle) : kernel_(kernel), handle_(handle) {}
  parley::Kernel* kernel_;
  uint32_t handle_;
};

struct GrantOptions {
  uint64_t badge = 0;      // S8
  int ceiling = 255;       // P6: sends above it are clamped
  bool may_grant = false;  // may the holder hand it on?
};

class [[nodiscard]] Channel {
 public:
  Channel(Channel&& other) noexcept;
  Channel& operator=(Channel&& other) noexcept;
  ~Channel();  // L1: every client blocked on it wakes, its connections are dead, its name dies (N3)

  // S1, S7: blocks until a message or a pulse is there. The calling thread then runs at the
  // sender's priority until it replies or receives again (P3), and serves the channel from now on
  // (P4). kDeadline, kCancelled, kNoSuchChannel: destroyed meanwhile.
  absl::StatusOr<Received> Receive(Deadline deadline = {}) const;
  // The same, with the beginning of a request in `buffer` instead of in the message.
  absl::StatusOr<Received> Receive(MutableBytes buffer, Deadline deadline = {}) const;

  // S8, R3: a token with which `holder` alone can Process::Connect. Never blocks. kNoSuchName: no
  // such process.
  absl::StatusOr<Token> Grant(ProcessRef holder, const GrantOptions& options = {}) const;
  // U4: lets the server of `to`, and nobody else, queue this pulse here; with a value of its own if
  // `any_value`. Ends with the channel, with either process, or by Process::Revoke.
  absl::StatusOr<EventToken> RegisterEvent(const Connection& to, uint8_t code, uint64_t value,
                                           int priority, bool any_value = false) const;
  // U5. kInvalidArgument: code not 0 to 127, priority not 1 to 255.
  absl::StatusOr<Timer> MakeTimer(uint8_t code, uint64_t value, int priority) const;

  const std::string& name() const { return name_; }

 private:
  friend class Process;
  friend class Dispatcher;
  Channel(parley::Kernel* kernel, uint32_t handle, std::string name)
      : kernel_(kernel), handle_(handle), name_(std::move(name)) {}
  absl::Status ReceiveInto(MutableBytes buffer, Deadline deadline, Received& received) const;

  parley::Kernel* kernel_;
  uint32_t handle_;
  std::string name_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_CHANNEL_H_
