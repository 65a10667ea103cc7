// Waiting for messages, pulses and descriptors of the host's in one call.
//
// A descriptor that is ready takes its place in the channel's queue like a pulse: whatever is of
// higher priority comes before it, and of the same priority what came first (S7, U3).
//
//   Dispatcher dispatcher(channel);
//   DescriptorWatch input = dispatcher.Watch(0, Readiness::kReadable, 10).value();
//   for (;;) {
//     Dispatched next = dispatcher.Wait().value();
//     if (Message* message = next.message()) ...
//     if (const Ready* ready = next.ready(); ready != nullptr && ready->Is(input)) read(0, ...);
//   }
//
// Threads: any number may wait on one dispatcher, and on several for one channel.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_DISPATCHER_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_DISPATCHER_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "ipc/channel.h"

namespace ipc {

// Reading from it, or writing to it, does not block. The end of the far side and errors count as
// both: the read or write says which it is.
enum class Readiness : uint8_t { kReadable = 0, kWritable = 1 };

// Watches one descriptor, or rather a copy: the program may close its own meanwhile, which ends
// nothing, and the far side sees its end only once the watch has gone too. Destroying it ends the
// watch; what it has queued is not received any more.
class [[nodiscard]] DescriptorWatch {
 public:
  DescriptorWatch(DescriptorWatch&& other) noexcept;
  DescriptorWatch& operator=(DescriptorWatch&& other) noexcept;
  ~DescriptorWatch();

  // Unique among the watches of the process that live.
  uint64_t id() const { return handle_; }

 private:
  friend class Dispatcher;
  DescriptorWatch(parley::Kernel* kernel, uint32_t handle) : kernel_(kernel), handle_(handle) {}
  parley::Kernel* kernel_;
  uint32_t handle_;
};

// A descriptor was found ready, and is not watched while this lives: read or write, then let go of
// it. If it is ready still, it is dispatched again, after what was queued meanwhile. Where others
// use the descriptor too, it may be ready no longer: then it had better not block (O_NONBLOCK).
//
// Not to be assigned to, and so neither what holds it: `next = dispatcher.Wait()` would wait while
// the last one is still held.
class [[nodiscard]] Ready {
 public:
  Ready(Ready&& other) noexcept
      : kernel_(other.kernel_), watch_(std::exchange(other.watch_, 0)), id_(other.id_) {}
  Ready& operator=(Ready&&) = delete;
  ~Ready();  // the watch goes on, if it was not destroyed

  bool Is(const DescriptorWatch& watch) const { return id_ == watch.id(); }
  uint64_t id() const { return id_; }  // the watch's

 private:
  friend class Dispatched;
  Ready(parley::Kernel* kernel, uint64_t watch)
      : kernel_(kernel), watch_(static_cast<uint32_t>(watch)), id_(watch) {}
  parley::Kernel* kernel_;
  uint32_t watch_;  // 0: moved from
  uint64_t id_;
};

// A message, a pulse, or a descriptor that is ready.
class [[nodiscard]] Dispatched {
 public:
  // Each is null unless it is that.
  Message* message() { return received_.message(); }
  const Pulse* pulse() const { return ready_ ? nullptr : received_.pulse(); }
  Ready* ready() { return ready_ ? &*ready_ : nullptr; }

 private:
  friend class Dispatcher;
  Dispatched(parley::Kernel* kernel, Received received);
  Received received_;
  std::optional<Ready> ready_;
};

class Dispatcher {
 public:
  // REQUIRES: the channel lives, and stays where it is, as long as this.
  explicit Dispatcher(const Channel& channel) : channel_(channel) {}

  // Queues it on the channel at `priority`, 1 to 255, when it is ready. Never blocks.
  // kInvalidArgument: not open, or nothing that can be waited for, as files and folders, which are
  // always ready. kNotPermitted: above the process's ceiling (P6). kQuotaExhausted: no more
  // descriptors; each watch takes one.
  absl::StatusOr<DescriptorWatch> Watch(int descriptor, Readiness readiness, int priority) const;

  // Blocks until something is there; otherwise as Channel::Receive: the caller then runs at the
  // priority of what it got (P3). Whoever calls Channel::Receive instead gets a descriptor as a
  // pulse Pulse::kReady, and that is the last of it. kDeadline, kCancelled, kNoSuchChannel:
  // destroyed meanwhile.
  absl::StatusOr<Dispatched> Wait(Deadline deadline = {}) const;
  // The same, with the beginning of a request in `buffer` instead of in the message.
  absl::StatusOr<Dispatched> Wait(MutableBytes buffer, Deadline deadline = {}) const;

 private:
  absl::StatusOr<Dispatched> Sort(absl::StatusOr<Received> received) const;
  const Channel& channel_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_DISPATCHER_H_
