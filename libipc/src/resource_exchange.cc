// One message of the file protocol on its way through a resource manager.
#include "libipc/src/resource_exchange.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "ipc/error.h"

namespace ipc {

absl::StatusOr<ResourceExchange> ResourceExchange::Parse(Message message) {
  constexpr uint64_t kFront = sizeof(MessageHeader) + sizeof(files::Operations);
  constexpr uint64_t kMost =
      kFront + files::kMaxOperations * sizeof(files::Operation) + files::kMaxPayloadBytes;
  const absl::Status malformed = MakeStatus(Error::kWrongType, "a malformed list of operations");
  const uint64_t size = message.info().request_bytes;
  if (!message.Is<files::Operations>() || size < kFront || size > kMost) return malformed;
  std::vector<std::byte> bytes(size);
  if (size <= message.bytes().size()) {
    std::memcpy(bytes.data(), message.bytes().data(), size);
  } else {
    auto read = message.Read(0, absl::MakeSpan(bytes));
    if (!read.ok()) return read.status();
    if (*read != size) return malformed;
  }
  files::Operations operations;
  std::memcpy(&operations, bytes.data() + sizeof(MessageHeader), sizeof(operations));
  const uint64_t count = operations.count;
  if (count == 0 || count > files::kMaxOperations) return malformed;
  const uint64_t payloads = kFront + count * sizeof(files::Operation);
  if (size < payloads) return malformed;
  ResourceExchange exchange(std::move(message));
  exchange.operations_.resize(count);
  std::memcpy(exchange.operations_.data(), bytes.data() + kFront, count * sizeof(files::Operation));
  uint64_t sum = 0;
  for (const files::Operation& operation : exchange.operations_) {
    sum += operation.payload_bytes;
  }
  if (sum != size - payloads || sum > files::kMaxPayloadBytes) return malformed;
  exchange.payloads_.assign(bytes.begin() + static_cast<ptrdiff_t>(payloads), bytes.end());
  return exchange;
}

ConstBytes ResourceExchange::payload() const {
  return ConstBytes(payloads_).subspan(payload_begin_, operation().payload_bytes);
}

MutableBytes ResourceExchange::Room(uint64_t bytes) {
  reply_.resize(used_ + std::min<uint64_t>(bytes, files::kMaxPayloadBytes - used_));
  return absl::MakeSpan(reply_).subspan(used_);
}

void ResourceExchange::Succeed(files::Result result, uint64_t payload_bytes) {
  payload_bytes = std::min<uint64_t>(payload_bytes, reply_.size() - used_);
  result.payload_bytes = static_cast<uint32_t>(payload_bytes);
  used_ += payload_bytes;
  results_.push_back(result);
  payload_begin_ += operation().payload_bytes;
  ++next_;
}

void ResourceExchange::Fail(int error) {
  results_.push_back({.error = error});
  next_ = operations_.size();
}

void ResourceExchange::Reply() {
  const MessageHeader header = HeaderOf<files::Results>();
  const files::Results results = {.count = static_cast<uint32_t>(results_.size())};
  const std::array<ConstBytes, 4> parts = {
      BytesOf(header), BytesOf(results),
      ConstBytes(reinterpret_cast<const std::byte*>(results_.data()),
                 results_.size() * sizeof(files::Result)),
      ConstBytes(reply_.data(), used_)};
  message_.ReplyParts(parts).IgnoreError();  // a client that has left needs no answer
}

}  // namespace ipc
