// Sending.
#include "ipc/connection.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libipc/src/convert.h"

namespace ipc {
namespace {

int64_t ToNs(absl::Duration grace) {
  return grace == absl::InfiniteDuration() ? parley::kNever : absl::ToInt64Nanoseconds(grace);
}

parley::ConnectionHandle Handle(uint32_t handle) { return parley::ConnectionHandle{handle}; }

}  // namespace

Connection::Connection(Connection&& other) noexcept
    : kernel_(other.kernel_),
      handle_(std::exchange(other.handle_, 0)),
      name_(std::move(other.name_)),
      matched_(other.matched_),
      capability_(other.capability_) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(kernel_, other.kernel_);
  std::swap(handle_, other.handle_);
  std::swap(name_, other.name_);
  std::swap(matched_, other.matched_);
  std::swap(capability_, other.capability_);
  return *this;
}

Connection::~Connection() {
  if (handle_ == 0) return;
  kernel_->Disconnect(Handle(handle_));
  if (!capability_.is_null()) kernel_->TokenRevoke(ToKernel(capability_)).IgnoreError();
}

absl::StatusOr<uint64_t> Connection::SendParts(ConstParts request, MutableParts reply,
                                               const CallOptions& options) const {
  parley::SendArguments arguments = {.request = request,
                                     .reply = reply,
                                     .regions = {},
                                     .deadline_ns = Resolve(*kernel_, options.deadline),
                                     .grace_ns = ToNs(options.grace)};
  absl::InlinedVector<parley::RegionReference, 2> regions;
  if (!options.regions.empty()) {
    for (const RegionReference& region : options.regions) {
      regions.push_back({parley::RegionHandle{region.region}, region.offset, region.length,
                         static_cast<parley::Direction>(region.direction)});
    }
    arguments.regions = regions;
  }
  absl::StatusOr<parley::SendResult> sent = kernel_->Send(Handle(handle_), arguments);
  if (!sent.ok()) return parley::Annotate(sent.status(), name_);
  return sent->reply_bytes;
}

absl::Status Connection::WrongReply(const MessageHeader& got, uint64_t length) const {
  if (length < sizeof(MessageHeader)) {
    return MakeStatus(Error::kWrongType, absl::StrCat(name_, ": the reply has no type"));
  }
  return MakeStatus(
      Error::kWrongType,
      absl::StrCat(name_, ": the reply is of type ", got.code, ", version ", got.version, ", ",
                   length - sizeof(MessageHeader), " bytes, which was not expected"));
}

absl::Status Connection::SendPulse(uint8_t code, uint64_t value, int priority) const {
  return parley::Annotate(kernel_->PulseSend(Handle(handle_), {code, value, priority}), name_);
}

ProcessRef Connection::server() const {
  absl::StatusOr<parley::ProcessId> server = kernel_->ServerOf(Handle(handle_));
  return server.ok() ? ProcessRef(parley::Raw(*server)) : ProcessRef();
}

}  // namespace ipc
