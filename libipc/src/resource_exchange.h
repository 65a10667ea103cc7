// One message of the file protocol on its way through a resource manager: the operations as they
// came, the results so far, and where it goes on if it has to wait.
//
// What a client sent is copied once and then checked, so that it cannot change underneath. An
// exchange stays where it is from beginning to end: devices hold on to its bytes.
#ifndef PARLEY_LIBIPC_SRC_RESOURCE_EXCHANGE_H_
#define PARLEY_LIBIPC_SRC_RESOURCE_EXCHANGE_H_

#include <cstdint>
#include <memory>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "ipc/file_protocol.h"
#include "ipc/message.h"
#include "libipc/src/byte_buffer.h"

namespace ipc {

class Node;

class ResourceExchange {
 public:
  // kWrongType: not a list of operations, or its sizes do not add up. kMessageGone.
  static absl::StatusOr<std::unique_ptr<ResourceExchange>> Parse(Message message);

  const Message& message() const { return message_; }
  const MessageInfo& caller() const { return message_.info(); }
  bool done() const { return next_ == operations_.size(); }
  // The operation that comes next, and its payload. REQUIRES: not done.
  const files::Operation& operation() const { return operations_[next_]; }
  ConstBytes payload() const;
  // The operations from the next one on.
  absl::Span<const files::Operation> ahead() const {
    return absl::MakeConstSpan(operations_).subspan(next_);
  }

  // Room behind the reply's payload so far, for the operation that comes next: less than asked for
  // if the reply would be longer than kMaxPayloadBytes.
  MutableBytes Room(uint64_t bytes);
  // It is done, with so much of its room used, and no more than there was; or has failed, and with
  // it what comes after it.
  void Succeed(files::Result result, uint64_t payload_bytes = 0);
  // The same with this as its payload. EMSGSIZE: the reply is full.
  absl::Status SucceedWith(files::Result result, ConstBytes payload);
  void Fail(int error);
  void Reply();

  uint32_t newest = 0;  // the file that this message opened last; 0: none
  // Where it waits to be tried again, if its operation said EAGAIN, and how often that had been
  // woken when the operation began.
  std::shared_ptr<Node> waits_on;
  uint64_t wakes_seen = 0;

 private:
  explicit ResourceExchange(Message message) : message_(std::move(message)) {}

  Message message_;
  absl::InlinedVector<files::Operation, 3> operations_;
  ByteBuffer request_;
  size_t next_ = 0, payload_begin_ = 0;  // in request_
  absl::InlinedVector<files::Result, 3> results_;
  ByteBuffer reply_;            // its payloads
  size_t used_ = 0, room_ = 0;  // of them, and behind them
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_RESOURCE_EXCHANGE_H_
