// One message of the file protocol on its way through a resource manager.
#include "libipc/src/resource_exchange.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ipc/error.h"
#include "ipc/posix.h"
#include "ipc/resource_manager.h"

namespace ipc {
namespace {

struct Front {
  MessageHeader header;
  files::Operations operations;
};

// All of the request.
absl::Status Copy(const Message& message, uint64_t size, ByteBuffer& into) {
  into.Grow(size, 0);
  if (size <= message.bytes().size()) {
    std::memcpy(into.Range(0, size).data(), message.bytes().data(), size);
    return absl::OkStatus();
  }
  const auto read = message.Read(0, into.Range(0, size));
  if (!read.ok()) return read.status();
  return *read == size ? absl::OkStatus() : MakeStatus(Error::kWrongType, "a request cut short");
}

}  // namespace

absl::StatusOr<std::unique_ptr<ResourceExchange>> ResourceExchange::Parse(Message message) {
  constexpr uint64_t kMost =
      sizeof(Front) + files::kMaxOperations * sizeof(files::Operation) + files::kMaxPayloadBytes;
  const absl::Status malformed = MakeStatus(Error::kWrongType, "a malformed list of operations");
  const uint64_t size = message.info().request_bytes;
  if (!message.Is<files::Operations>() || size < sizeof(Front) || size > kMost) return malformed;
  auto exchange = absl::WrapUnique(new ResourceExchange(std::move(message)));
  const ByteBuffer& request = exchange->request_;
  absl::Status copied = Copy(exchange->message_, size, exchange->request_);
  if (!copied.ok()) return copied;
  Front front;
  std::memcpy(&front, request.Range(0, sizeof(front)).data(), sizeof(front));
  const uint64_t count = front.operations.count;
  if (count == 0 || count > files::kMaxOperations) return malformed;
  const uint64_t payloads = sizeof(front) + count * sizeof(files::Operation);
  if (size < payloads) return malformed;
  auto& operations = exchange->operations_;
  operations.resize(count);
  exchange->results_.reserve(count);
  std::memcpy(operations.data(), request.Range(sizeof(front), 0).data(),
              count * sizeof(files::Operation));
  uint64_t sum = 0;
  for (const files::Operation& operation : operations) sum += operation.payload_bytes;
  if (sum != size - payloads || sum > files::kMaxPayloadBytes) return malformed;
  exchange->payload_begin_ = payloads;
  return exchange;
}

ConstBytes ResourceExchange::payload() const {
  return request_.Range(payload_begin_, operation().payload_bytes);
}

MutableBytes ResourceExchange::Room(uint64_t bytes) {
  room_ = std::min<uint64_t>(bytes, files::kMaxPayloadBytes - used_);
  reply_.Grow(used_ + room_, used_);
  return reply_.Range(used_, room_);
}

void ResourceExchange::Succeed(files::Result result, uint64_t payload_bytes) {
  payload_bytes = std::min<uint64_t>(payload_bytes, room_);
  result.payload_bytes = static_cast<uint32_t>(payload_bytes);
  used_ += payload_bytes;
  room_ = 0;
  results_.push_back(result);
  payload_begin_ += operation().payload_bytes;
  ++next_;
}

absl::Status ResourceExchange::SucceedWith(files::Result result, ConstBytes payload) {
  const MutableBytes room = Room(payload.size());
  if (room.size() < payload.size()) return PosixError(EMSGSIZE);
  std::copy(payload.begin(), payload.end(), room.begin());
  Succeed(result, payload.size());
  return absl::OkStatus();
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
      reply_.Range(0, used_)};
  message_.ReplyParts(parts).IgnoreError();  // a client that has left needs no answer
}

}  // namespace ipc
