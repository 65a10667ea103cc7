// An operation of a client on a resource manager, as the device has it: who asks, and how to finish
// it later.
//
// Threads: used by the operation that was given it; a Deferral by any operation, OnPulse or OnReady
// of its manager.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_FILE_CALL_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_FILE_CALL_H_

#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/statusor.h"
#include "ipc/bytes.h"
#include "ipc/file_protocol.h"
#include "ipc/message.h"
#include "ipc/posix.h"
#include "ipc/typed.h"

namespace ipc {

class ResourceServer;

// An operation that its device will finish. The client stays blocked, and the bytes it gave stay
// where they are, until then: at a deadline too, for its grace period, as a process does in disk
// sleep. After that, or its death, finishing it still is the device's, and reaches nobody.
class [[nodiscard]] Deferral {
 public:
  Deferral(Deferral&& other) noexcept
      : server_(std::exchange(other.server_, nullptr)), id_(other.id_) {}
  Deferral& operator=(Deferral&& other) noexcept {
    std::swap(server_, other.server_);
    std::swap(id_, other.id_);
    return *this;
  }
  ~Deferral();  // unfinished: EIO

  // How many bytes were moved (0 of a Sync), or why not. Once.
  void Finish(absl::StatusOr<uint64_t> count);

 private:
  friend class FileCall;
  Deferral(ResourceServer* server, uint64_t id) : server_(server), id_(id) {}
  ResourceServer* server_;  // null: finished, or moved from
  uint64_t id_;
};

// What an operation returns that has deferred itself.
inline absl::Status Deferred() { return PosixError(EINPROGRESS); }

class FileCall {
 public:
  // The client, as the kernel vouches for it, and its priority.
  const MessageInfo& from() const { return *from_; }
  // In a Read, Write or Sync, which then returns Deferred().
  Deferral Defer() {
    deferred_ = true;
    return {server_, id_};
  }

 private:
  friend class ResourceServer;
  FileCall(ResourceServer* server, uint64_t id, const MessageInfo& from)
      : server_(server), id_(id), from_(&from) {}
  ResourceServer* server_;
  uint64_t id_;
  const MessageInfo* from_;
  bool deferred_ = false;
};

// A request of a device's own, and its reply: structs with their types, or plain bytes.
class ControlRequest {
 public:
  ControlRequest(uint64_t code, ConstBytes bytes, MutableBytes room)
      : code_(code), bytes_(bytes), room_(room) {}

  uint64_t code() const { return code_; }
  ConstBytes bytes() const { return bytes_; }
  // Whether it is a T; then As is it.
  template <TypedMessage T>
  bool Is() const {
    return code_ == files::ControlCode<T>() && bytes_.size() == sizeof(T);
  }
  template <TypedMessage T>
  T As() const {
    T request;
    std::memcpy(&request, bytes_.data(), sizeof(request));
    return request;
  }

  // Each returns OK, as Control does then; EMSGSIZE: the client has no room for it. `value` is what
  // ioctl(2) would return.
  absl::Status Reply(uint64_t value = 0) { return ReplyBytes({}, value); }
  template <TypedMessage T>
  absl::Status Reply(const T& reply) {
    const MessageHeader header = HeaderOf<T>();
    if (room_.size() < sizeof(header) + sizeof(reply)) return PosixError(EMSGSIZE);
    std::memcpy(room_.data(), &header, sizeof(header));
    std::memcpy(room_.data() + sizeof(header), &reply, sizeof(reply));
    used_ = sizeof(header) + sizeof(reply);
    return absl::OkStatus();
  }
  absl::Status ReplyBytes(ConstBytes reply, uint64_t value = 0);

 private:
  friend class ResourceServer;
  uint64_t code_;
  ConstBytes bytes_;
  MutableBytes room_;
  uint64_t used_ = 0, value_ = 0;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_FILE_CALL_H_
