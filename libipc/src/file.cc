// Files, as their clients have them: each call is one message.
#include "ipc/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ipc/file_server.h"
#include "libipc/src/file_exchange.h"

namespace ipc {
namespace {

constexpr size_t kListBytes = 32768;

}  // namespace

absl::StatusOr<File> File::Open(Process& self, absl::string_view path, uint32_t flags,
                                uint32_t mode, Deadline deadline) {
  auto server = FileServer::Connect(self, path, {.deadline = deadline});
  if (!server.ok()) return server.status();
  return server->Open(path, flags, mode);
}

File& File::operator=(File&& other) noexcept {
  if (this == &other) return *this;
  Close();
  self_ = other.self_;
  connection_ = std::move(other.connection_);
  path_ = std::move(other.path_);
  number_ = other.number_;
  return *this;
}

File::~File() { Close(); }

// What the server says of it, close(2) could not mend either.
void File::Close() {
  if (connection_ == nullptr) return;
  Do(files::Verb::kClose).IgnoreError();
  connection_.reset();
}

absl::StatusOr<FileExchange> File::Do(FileExchange exchange, CallOptions options) const {
  exchange.operation.file = number_;
  absl::Status done =
      Exchange(*self_, *connection_, absl::MakeSpan(&exchange, 1), std::move(options));
  if (!done.ok()) return done;
  return exchange;
}

absl::Status File::Do(files::Verb verb) const {
  return Do({.operation = {.verb = verb}}, {}).status();
}

absl::StatusOr<uint64_t> File::Transfer(files::Verb verb, uint64_t offset, ConstBytes from,
                                        MutableBytes into, Deadline deadline) const {
  from = from.subspan(0, files::kMaxPayloadBytes);
  into = into.subspan(0, files::kMaxPayloadBytes);
  const auto done = Do(
      {.operation = {.verb = verb, .offset = offset, .length = std::max(from.size(), into.size())},
       .payload = from,
       .room = into},
      {.deadline = deadline});
  if (!done.ok()) return done.status();
  return verb == files::Verb::kRead ? done->payload_bytes
                                    : std::min<uint64_t>(done->result.value, from.size());
}

absl::StatusOr<uint64_t> File::Transfer(files::Verb verb, uint64_t offset,
                                        const RegionReference& region, Deadline deadline) const {
  if (offset == files::kPosition) return PosixError(EINVAL, path_);
  const auto done =
      Do({.operation = {.verb = verb, .region = 0, .offset = offset, .length = region.length}},
         {.regions = {region}, .deadline = deadline});
  if (!done.ok()) return done.status();
  return std::min(done->result.value, region.length);
}

absl::StatusOr<uint64_t> File::Read(MutableBytes bytes, Deadline deadline) const {
  return Transfer(files::Verb::kRead, files::kPosition, {}, bytes, deadline);
}

absl::StatusOr<uint64_t> File::Write(ConstBytes bytes, Deadline deadline) const {
  return Transfer(files::Verb::kWrite, files::kPosition, bytes, {}, deadline);
}

absl::StatusOr<uint64_t> File::ReadAt(uint64_t offset, MutableBytes bytes,
                                      Deadline deadline) const {
  if (offset == files::kPosition) return PosixError(EINVAL, path_);
  return Transfer(files::Verb::kRead, offset, {}, bytes, deadline);
}

absl::StatusOr<uint64_t> File::WriteAt(uint64_t offset, ConstBytes bytes, Deadline deadline) const {
  if (offset == files::kPosition) return PosixError(EINVAL, path_);
  return Transfer(files::Verb::kWrite, offset, bytes, {}, deadline);
}

absl::StatusOr<uint64_t> File::ReadAt(uint64_t offset, const RegionReference& into,
                                      Deadline deadline) const {
  return Transfer(files::Verb::kRead, offset, into, deadline);
}

absl::StatusOr<uint64_t> File::WriteAt(uint64_t offset, const RegionReference& from,
                                       Deadline deadline) const {
  return Transfer(files::Verb::kWrite, offset, from, deadline);
}

absl::Status File::ReadAt(absl::Span<Piece> pieces, const RegionReference& into,
                          Deadline deadline) const {
  deadline = Fixed(*self_, deadline);
  std::array<files::Operation, files::kMaxOperations> operations;
  std::array<files::Result, files::kMaxOperations> results;
  for (; !pieces.empty(); pieces.remove_prefix(std::min(pieces.size(), operations.size()))) {
    const absl::Span<Piece> now = pieces.first(std::min(pieces.size(), operations.size()));
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i].offset == files::kPosition) return PosixError(EINVAL, path_);
      operations[i] = {.verb = files::Verb::kRead,
                       .region = 0,
                       .file = number_,
                       .offset = now[i].offset,
                       .length = now[i].length,
                       .value = now[i].at};
    }
    const FileParts parts = {.operations = absl::MakeSpan(operations).first(now.size()),
                             .results = absl::MakeSpan(results).first(now.size())};
    const auto done =
        Exchange(*self_, *connection_, parts, {.regions = {into}, .deadline = deadline});
    if (!done.ok()) return done.status();
    for (size_t i = 0; i < now.size(); ++i) {
      now[i].count = std::min(results[i].value, now[i].length);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> File::Seek(int64_t distance, int whence) const {
  const auto done = Do({.operation = {.verb = files::Verb::kSeek,
                                      .flags = static_cast<uint32_t>(whence),
                                      .offset = static_cast<uint64_t>(distance)}},
                       {});
  if (!done.ok()) return done.status();
  return done->result.value;
}

absl::StatusOr<files::Stat> File::Stat() const {
  files::Stat stat;
  const auto done =
      Do({.operation = {.verb = files::Verb::kStat}, .room = MutableBytesOf(stat)}, {});
  if (!done.ok()) return done.status();
  if (done->payload_bytes != sizeof(stat)) return PosixError(EIO, path_);
  return stat;
}

absl::StatusOr<std::vector<ListedName>> File::List() const {
  std::vector<ListedName> names;
  std::vector<std::byte> room(kListBytes);
  uint64_t cookie = 0;
  for (;;) {
    const auto done =
        Do({.operation = {.verb = files::Verb::kList, .offset = cookie, .length = room.size()},
            .room = absl::MakeSpan(room)},
           {});
    if (!done.ok()) return done.status();
    if (done->result.value == 0) return names;
    ConstBytes left = ConstBytes(room).first(done->payload_bytes);
    const uint64_t from = cookie;
    for (uint64_t i = 0; i < done->result.value; ++i) {
      files::Entry entry;
      if (left.size() < sizeof(entry)) break;
      std::memcpy(&entry, left.data(), sizeof(entry));
      const uint64_t bytes = sizeof(entry) + (uint64_t{entry.name_bytes} + 7) / 8 * 8;
      if (left.size() < bytes) break;
      names.push_back({std::string(TextOf(left.subspan(sizeof(entry), entry.name_bytes))),
                       entry.inode, entry.mode});
      cookie = entry.next;
      left.remove_prefix(bytes);
    }
    if (cookie == from) return PosixError(EIO, path());  // it goes in circles
  }
}

absl::Status File::Truncate(uint64_t size) const {
  return Do({.operation = {.verb = files::Verb::kTruncate, .length = size}}, {}).status();
}

absl::Status File::Sync() const { return Do(files::Verb::kSync); }

absl::StatusOr<uint32_t> File::Poll(uint32_t wanted) const {
  return Ready({.operation = {.verb = files::Verb::kPoll, .flags = wanted}}, {});
}

absl::StatusOr<uint32_t> File::Wait(uint32_t wanted, Deadline deadline) const {
  return Ready({.operation = {.verb = files::Verb::kPoll, .flags = wanted, .value = 1}},
               {.deadline = deadline});
}

absl::StatusOr<uint32_t> File::Notify(uint32_t wanted, const EventToken& event) const {
  return Ready({.operation = {.verb = files::Verb::kNotify, .flags = wanted},
                .payload = wanted == 0 ? ConstBytes() : BytesOf(event)},
               {});
}

absl::StatusOr<uint32_t> File::Ready(FileExchange exchange, CallOptions options) const {
  const auto done = Do(exchange, std::move(options));
  if (!done.ok()) return done.status();
  return static_cast<uint32_t>(done->result.value) & exchange.operation.flags;
}

absl::StatusOr<EventToken> File::MakeEvent(const Channel& channel, uint8_t code, uint64_t value,
                                           int priority) const {
  return channel.RegisterEvent(*connection_, code, value, priority);
}

absl::StatusOr<uint64_t> File::Control(uint64_t code, ConstBytes request, MutableBytes reply,
                                       Deadline deadline) const {
  const auto done =
      Do({.operation = {.verb = files::Verb::kControl, .length = reply.size(), .value = code},
          .payload = request,
          .room = reply},
         {.deadline = deadline});
  if (!done.ok()) return done.status();
  return done->result.value;
}

absl::Status File::ControlTyped(uint64_t code, ConstBytes request, MessageType wanted,
                                MutableBytes reply, Deadline deadline) const {
  MessageHeader header;
  std::vector<std::byte> room(sizeof(header) + reply.size());
  const auto done =
      Do({.operation = {.verb = files::Verb::kControl, .length = room.size(), .value = code},
          .payload = request,
          .room = absl::MakeSpan(room)},
         {.deadline = deadline});
  if (!done.ok()) return done.status();
  std::memcpy(&header, room.data(), sizeof(header));
  if (done->payload_bytes != room.size() || header.code != wanted.code ||
      header.version != wanted.version) {
    return PosixError(EPROTO, path_);
  }
  std::memcpy(reply.data(), room.data() + sizeof(header), reply.size());
  return absl::OkStatus();
}

absl::StatusOr<Region> File::Map(uint64_t offset, uint64_t length, bool writable) const {
  Token token;
  const auto done = Do({.operation = {.verb = files::Verb::kMap,
                                      .flags = writable ? files::kWritable : 0,
                                      .offset = offset,
                                      .length = length},
                        .room = MutableBytesOf(token)},
                       {});
  if (!done.ok()) return done.status();
  if (done->payload_bytes != sizeof(token)) return PosixError(EIO, path_);
  return self_->Redeem(token);
}

absl::Status File::Lock(uint32_t type, uint64_t start, uint64_t length, Deadline deadline,
                        uint64_t owner) const {
  const bool waits = deadline.Resolve([&] { return absl::ToUnixNanos(self_->Now()); }) >
                     absl::ToUnixNanos(self_->Now());
  return Do({.operation = {.verb = files::Verb::kLock,
                           .flags = type | (waits ? files::kLockWait : 0),
                           .offset = start,
                           .length = length,
                           .value = owner}},
            {.deadline = waits ? deadline : Deadline::Never()})
      .status();
}

absl::StatusOr<files::Lock> File::FindLock(uint32_t type, uint64_t start, uint64_t length,
                                           uint64_t owner) const {
  files::Lock lock;
  const auto done = Do({.operation = {.verb = files::Verb::kLock,
                                      .flags = type | files::kLockTest,
                                      .offset = start,
                                      .length = length,
                                      .value = owner},
                        .room = MutableBytesOf(lock)},
                       {});
  if (!done.ok()) return done.status();
  if (done->payload_bytes != sizeof(lock)) return PosixError(EIO, path_);
  return lock;
}

absl::Status File::Change(const files::Change& change) const {
  return Do({.operation = {.verb = files::Verb::kChange}, .payload = BytesOf(change)}, {}).status();
}

}  // namespace ipc
