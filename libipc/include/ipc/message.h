// A received message: a one-shot handle to a blocked client (S4 to S6, R5).
//
// Threads: one thread at a time. It may be kept, moved to another thread of the process and
// answered there, in any order.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_MESSAGE_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_MESSAGE_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/statusor.h"
#include "ipc/bytes.h"
#include "ipc/error.h"
#include "ipc/region.h"
#include "ipc/typed.h"

namespace parley {
class Kernel;
}

namespace ipc {

// S6: who sent, as the kernel vouches for it.
struct MessageInfo {
  ProcessRef sender;
  uint32_t thread = 0;  // the sender's thread, unique on a kernel for all time
  uint32_t uid = 0, gid = 0, pid = 0;
  uint32_t connection = 0;     // its number on the channel, in the order in which they were made
  uint64_t badge = 0;          // S8: fixed by the server's own grant
  int priority = 0;            // the sender's, at the time of the call
  uint64_t request_bytes = 0;  // S2: full length
  uint64_t reply_room = 0;     // S2: bytes the sender accepts
  uint32_t region_count = 0;   // R5
  bool unblock_requested = false;  // D3: the client wants to leave
};

// What became of an answer. An absl::Status that may be left unread, since an answer that its
// client did not wait for (kMessageGone) is nobody's loss.
class Answered {
 public:
  Answered(absl::Status status) : status_(std::move(status)) {}  // NOLINT: implicit
  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }
  operator absl::Status() const { return status_; }  // NOLINT: implicit
  void IgnoreError() const {}

 private:
  absl::Status status_;
};

class [[nodiscard]] Message {
 public:
  // Requests up to this many bytes arrive with the message; what is longer stays with the client,
  // for Read.
  static constexpr size_t kInlineBytes = 256;

  Message(Message&& other) noexcept { MoveFrom(other); }
  Message& operator=(Message&& other) noexcept;
  ~Message();  // S4: unanswered, it answers kNotReplied

  // False once answered or moved from. A true one may still turn out dead: its client may leave at
  // any time.
  bool open() const { return serial_ != 0; }
  // Names this message among all a kernel ever saw. An unblock pulse carries it as its value (D4).
  uint64_t id() const { return id_; }
  // As of the receive. Refresh() asks the kernel again: priority and unblock_requested change.
  // kMessageGone.
  const MessageInfo& info() const { return info_; }
  absl::Status Refresh();

  // The beginning of the request, min(request_bytes, kInlineBytes); empty for a receive into a
  // buffer of the caller's.
  ConstBytes bytes() const { return {inline_.data(), inline_size_}; }
  // S5: copies from the request at `offset`; returns the bytes copied, short past the end. Does not
  // block, but that on the host kernel the client's thread serves the copy where Linux does not
  // permit this process to make it; kDeadline: it did not within 1 s and 16 ns for each byte, and
  // no more is copied of this message. kMessageGone, also while another thread replies.
  absl::StatusOr<uint64_t> Read(uint64_t offset, MutableBytes destination) const;
  // S5: the same into the reply.
  absl::StatusOr<uint64_t> Write(uint64_t offset, ConstBytes source) const;

  // The type of a typed message; code 0 for one too short to have a header.
  MessageType type() const;
  template <TypedMessage T>
  bool Is() const {
    return type() == MessageType{T::kType.code, T::kType.version};
  }
  // The typed request. On another type, version or size the client gets kWrongType as its answer,
  // and so does the caller. kMessageGone.
  template <TypedMessage T>
  absl::StatusOr<T> As() {
    if (!Is<T>() || info_.request_bytes != sizeof(MessageHeader) + sizeof(T)) {
      return RefuseType(HeaderOf<T>(), sizeof(T));
    }
    absl::StatusOr<T> request(absl::in_place);
    if (absl::Status read = ReadWhole(MutableBytesOf(*request)); !read.ok()) request = read;
    return request;
  }

  // S1, S4: ends the client's wait; never blocks. Returns how many bytes the client took (S2). The
  // message is over, whatever is returned but kBadAddress. kMessageGone (D3), kInvalidArgument:
  // more than 1 GiB; kDeadline: as Read. What other threads read or write of it then, it waits for.
  absl::StatusOr<uint64_t> Reply(ConstBytes reply) {
    return ReplyParts(absl::MakeConstSpan(&reply, 1));
  }
  absl::StatusOr<uint64_t> ReplyParts(ConstParts reply);
  Answered Reply() { return Reply(ConstBytes()).status(); }
  template <TypedMessage T>
  Answered Reply(const T& reply) {
    const MessageHeader header = HeaderOf<T>();
    const std::array<ConstBytes, 2> parts = {BytesOf(header), BytesOf(reply)};
    return ReplyParts(parts).status();
  }
  // S9: the client's call returns kServerError with this code and text (240 bytes at most).
  // kAborted without a text is kNotReplied. REQUIRES: not OK.
  Answered ReplyError(const absl::Status& error);

  // R5: the index-th region that came along, mapped. Never blocks. kMessageGone, kLeaseEnded,
  // kInvalidArgument.
  absl::StatusOr<Lease> Region(uint32_t index) const;

 private:
  friend class Channel;
  friend class Received;
  Message() {}  // the inline bytes are not zeroed
  void MoveFrom(Message& other) {
    kernel_ = other.kernel_;
    slot_ = other.slot_;
    serial_ = std::exchange(other.serial_, 0);
    id_ = other.id_;
    info_ = other.info_;
    inline_size_ = other.inline_size_;
    std::memcpy(inline_.data(), other.inline_.data(), inline_size_);
  }
  absl::Status RefuseType(const MessageHeader& wanted, size_t size);
  absl::Status ReadWhole(MutableBytes destination) const;

  parley::Kernel* kernel_ = nullptr;
  uint32_t slot_ = 0;
  uint32_t inline_size_ = 0;
  uint64_t serial_ = 0;
  uint64_t id_ = 0;
  MessageInfo info_;
  std::array<std::byte, kInlineBytes> inline_;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_MESSAGE_H_
