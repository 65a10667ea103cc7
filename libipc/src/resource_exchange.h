// One message of the file protocol on its way through a resource manager: the operations as they
// came, the results so far, and where it goes on if it has to wait.
//
// What a client sent is copied once and then checked, so that it cannot change underneath.
#ifndef PARLEY_LIBIPC_SRC_RESOURCE_EXCHANGE_H_
#define PARLEY_LIBIPC_SRC_RESOURCE_EXCHANGE_H_

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "ipc/file_protocol.h"
#include "ipc/message.h"

namespace ipc {

class ResourceExchange {
 public:
  // kWrongType: not a list of operations, or its sizes do not add up. kMessageGone.
  static absl::StatusOr<ResourceExchange> Parse(Message message);

  const Message& message() const { return message_; }
  bool done() const { return next_ == operations_.size(); }
  // The operation that comes next, and its payload. REQUIRES: not done.
  const files::Operation& operation() const { return operations_[next_]; }
  ConstBytes payload() const;

  // Room behind the reply's payload so far, for the operation that comes next: less than asked for
  // if the reply would be longer than kMaxPayloadBytes.
  MutableBytes Room(uint64_t bytes);
  // It is done, with so much of its room used, and no more than there was; or has failed, and with
  // it what comes after it.
  void Succeed(files::Result result, uint64_t payload_bytes);
  void Fail(int error);
  void Reply();

  uint32_t newest = 0;  // the file that this message opened last; 0: none

 private:
  explicit ResourceExchange(Message message) : message_(std::move(message)) {}

  Message message_;
  absl::InlinedVector<files::Operation, 2> operations_;
  std::vector<std::byte> payloads_;
  size_t next_ = 0, payload_begin_ = 0;
  absl::InlinedVector<files::Result, 2> results_;
  std::vector<std::byte> reply_;  // its payloads
  size_t used_ = 0;               // of them
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_RESOURCE_EXCHANGE_H_
