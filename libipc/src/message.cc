// Received messages.
#include "ipc/message.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libipc/src/convert.h"
#include "libipc/src/message_info.h"

namespace ipc {

Message& Message::operator=(Message&& other) noexcept {
  if (this == &other) return *this;
  if (open()) kernel_->MessageDrop({slot_, serial_});
  MoveFrom(other);
  return *this;
}

Message::~Message() {
  if (open()) kernel_->MessageDrop({slot_, serial_});
}

absl::Status Message::Refresh() {
  absl::StatusOr<parley::MessageInfo> info = kernel_->MessageGetInfo({slot_, serial_});
  if (info.ok()) CopyInfo(*info, info_);
  return info.status();
}

absl::StatusOr<uint64_t> Message::Read(uint64_t offset, MutableBytes destination) const {
  return kernel_->MessageRead({slot_, serial_}, offset, absl::MakeConstSpan(&destination, 1));
}

absl::StatusOr<uint64_t> Message::Write(uint64_t offset, ConstBytes source) const {
  return kernel_->MessageWrite({slot_, serial_}, offset, absl::MakeConstSpan(&source, 1));
}

MessageType Message::type() const {
  MessageHeader header;
  if (inline_size_ < sizeof(header)) return {.code = 0, .version = 0};
  std::memcpy(&header, inline_.data(), sizeof(header));
  return {.code = header.code, .version = header.version};
}

absl::Status Message::ReadWhole(MutableBytes destination) const {
  const size_t here = std::min(destination.size(), inline_size_ - sizeof(MessageHeader));
  std::memcpy(destination.data(), inline_.data() + sizeof(MessageHeader), here);
  if (here == destination.size()) return absl::OkStatus();
  return Read(sizeof(MessageHeader) + here, destination.subspan(here)).status();
}

absl::Status Message::RefuseType(const MessageHeader& wanted, size_t size) {
  const MessageType got = type();
  absl::Status error = MakeStatus(
      Error::kWrongType,
      absl::StrCat("a message of type ", got.code, ", version ", got.version, ", ",
                   info_.request_bytes, " bytes came where type ", wanted.code, ", version ",
                   wanted.version, ", ", sizeof(MessageHeader) + size, " bytes was expected"));
  ReplyError(error);
  return error;
}

absl::StatusOr<uint64_t> Message::ReplyParts(ConstParts reply) {
  absl::StatusOr<uint64_t> taken = kernel_->Reply({slot_, serial_}, reply);
  if (taken.ok() || ErrorOf(taken.status()) != Error::kBadAddress) serial_ = 0;
  return taken;
}

Answered Message::ReplyError(const absl::Status& error) {
  const absl::string_view text = error.message();
  return kernel_->ReplyError({slot_, std::exchange(serial_, 0)}, error.code(),
                             {text.data(), text.size()});
}

absl::StatusOr<Lease> Message::Region(uint32_t index) const {
  absl::StatusOr<parley::Mapping> mapping = kernel_->MessageLease({slot_, serial_}, index);
  if (!mapping.ok()) return mapping.status();
  Lease lease;
  lease.address_ = mapping->address;
  lease.length_ = mapping->length;
  lease.live_ = mapping->live;
  lease.live_value_ = mapping->live_value;
  lease.writable_ = parley::Includes(mapping->rights, parley::Rights::kWrite);
  return lease;
}

}  // namespace ipc
