// Files: the client's side of the file protocol.
#include "ipc/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ipc/name_protocol.h"

namespace ipc {
namespace {

constexpr size_t kListBytes = 32768;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct Answer {
  files::Result result;
  uint64_t payload_bytes = 0;  // in the room
};

// One operation and its result. What the server says is checked: it may be anybody's. A wait that
// the server has let go of because the deadline has passed says so.
absl::StatusOr<Answer> Exchange(const Process& self, const Connection& connection,
                                files::Operation operation, ConstBytes payload, MutableBytes room,
                                CallOptions options = {}) {
  const auto now = [&] { return absl::ToUnixNanos(self.Now()); };
  const int64_t until = options.deadline.Resolve(now);
  if (until != kNever) options.deadline = absl::FromUnixNanos(until);
  operation.payload_bytes = static_cast<uint32_t>(payload.size());
  const MessageHeader sent = HeaderOf<files::Operations>();
  const files::Operations operations = {.count = 1};
  MessageHeader got;
  files::Results results;
  Answer answer;
  const std::array<ConstBytes, 4> out = {BytesOf(sent), BytesOf(operations), BytesOf(operation),
                                         payload};
  const std::array<MutableBytes, 4> in = {MutableBytesOf(got), MutableBytesOf(results),
                                          MutableBytesOf(answer.result), room};
  const auto length = connection.SendParts(out, in, options);
  if (!length.ok()) return length.status();
  constexpr uint64_t kFront = sizeof(got) + sizeof(results) + sizeof(answer.result);
  const bool sane = *length >= kFront && got.code == files::Results::kType.code &&
                    got.version == files::Results::kType.version && results.count == 1;
  if (!sane) {
    return PosixError(EIO, absl::StrCat(connection.name(), ": its server serves no files"));
  }
  if (answer.result.error == EINTR && until <= now()) {
    return MakeStatus(Error::kDeadlineAfterReceive,
                      absl::StrCat(connection.name(), ": the deadline has passed"));
  }
  if (answer.result.error != 0) return PosixError(answer.result.error, connection.name());
  answer.payload_bytes = std::min<uint64_t>(answer.result.payload_bytes, *length - kFront);
  answer.payload_bytes = std::min<uint64_t>(answer.payload_bytes, room.size());
  return answer;
}

// Without empty, "." and ".." parts, by text alone; with the "/" behind it that asks for a
// directory.
std::string Normalized(absl::string_view path) {
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  const bool directory = path.size() > 1 && path.back() == '/' && !parts.empty();
  return absl::StrCat("/", absl::StrJoin(parts, "/"), directory ? "/" : "");
}

// `path` is normalized. As much of it is looked up as can be part of a name; a name that nobody
// serves is as good as a file that is not there.
absl::StatusOr<Connection> Connect(Process& self, absl::string_view path, Deadline deadline) {
  if (path.size() > 1) absl::ConsumeSuffix(&path, "/");
  if (path.size() > names::kMaxPathBytes) {
    path = path.substr(0, path.rfind('/', names::kMaxPathBytes));
    if (path.empty()) return PosixError(ENAMETOOLONG);
  }
  auto connection = self.Open(path, deadline);
  if (!connection.ok() && ErrorOf(connection.status()) == Error::kNoSuchName) {
    return PosixError(ENOENT, path);
  }
  return connection;
}

}  // namespace

absl::StatusOr<File> File::Open(Process& self, absl::string_view path, uint32_t flags,
                                uint32_t mode, Deadline deadline) {
  std::string normalized = Normalized(path);
  auto connection = Connect(self, normalized, deadline);
  if (!connection.ok()) return connection.status();
  const auto answer =
      Exchange(self, *connection, {.verb = files::Verb::kOpen, .flags = flags, .value = mode},
               BytesOfText(normalized), {});
  if (!answer.ok()) return answer.status();
  return File(self, *std::move(connection), std::move(normalized), answer->result.file);
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
  Exchange(*self_, *connection_, Begin(files::Verb::kClose), {}, {}).IgnoreError();
  connection_.reset();
}

files::Operation File::Begin(files::Verb verb) const { return {.verb = verb, .file = number_}; }

absl::StatusOr<uint64_t> File::Transfer(files::Verb verb, uint64_t offset, ConstBytes from,
                                        MutableBytes into, Deadline deadline) const {
  files::Operation operation = Begin(verb);
  operation.offset = offset;
  from = from.subspan(0, files::kMaxPayloadBytes);
  into = into.subspan(0, files::kMaxPayloadBytes);
  operation.length = std::max(from.size(), into.size());
  const auto answer = Exchange(*self_, *connection_, operation, from, into, {.deadline = deadline});
  if (!answer.ok()) return answer.status();
  return verb == files::Verb::kRead ? answer->payload_bytes
                                    : std::min<uint64_t>(answer->result.value, from.size());
}

absl::StatusOr<uint64_t> File::Transfer(files::Verb verb, uint64_t offset,
                                        const RegionReference& region, Deadline deadline) const {
  if (offset == files::kPosition) return PosixError(EINVAL, path_);
  files::Operation operation = Begin(verb);
  operation.offset = offset;
  operation.length = region.length;
  operation.region = 0;
  const auto answer = Exchange(*self_, *connection_, operation, {}, {},
                               {.regions = {region}, .deadline = deadline});
  if (!answer.ok()) return answer.status();
  return std::min(answer->result.value, region.length);
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

absl::StatusOr<uint64_t> File::Seek(int64_t distance, int whence) const {
  files::Operation operation = Begin(files::Verb::kSeek);
  operation.offset = static_cast<uint64_t>(distance);
  operation.flags = static_cast<uint32_t>(whence);
  const auto answer = Exchange(*self_, *connection_, operation, {}, {});
  if (!answer.ok()) return answer.status();
  return answer->result.value;
}

absl::StatusOr<files::Stat> File::Stat() const {
  files::Stat stat;
  const auto answer =
      Exchange(*self_, *connection_, Begin(files::Verb::kStat), {}, MutableBytesOf(stat));
  if (!answer.ok()) return answer.status();
  return stat;
}

absl::StatusOr<std::vector<ListedName>> File::List() const {
  std::vector<ListedName> names;
  std::vector<std::byte> room(kListBytes);
  files::Operation operation = Begin(files::Verb::kList);
  operation.length = room.size();
  for (;;) {
    const auto answer = Exchange(*self_, *connection_, operation, {}, absl::MakeSpan(room));
    if (!answer.ok()) return answer.status();
    if (answer->result.value == 0) return names;
    ConstBytes left = ConstBytes(room).first(answer->payload_bytes);
    const uint64_t from = operation.offset;
    for (uint64_t i = 0; i < answer->result.value; ++i) {
      files::Entry entry;
      if (left.size() < sizeof(entry)) break;
      std::memcpy(&entry, left.data(), sizeof(entry));
      const uint64_t bytes = sizeof(entry) + (uint64_t{entry.name_bytes} + 7) / 8 * 8;
      if (left.size() < bytes) break;
      names.push_back({std::string(TextOf(left.subspan(sizeof(entry), entry.name_bytes))),
                       entry.inode, entry.mode});
      operation.offset = entry.next;
      left.remove_prefix(bytes);
    }
    if (operation.offset == from) return PosixError(EIO, path());  // it goes in circles
  }
}

absl::Status File::Truncate(uint64_t size) const {
  files::Operation operation = Begin(files::Verb::kTruncate);
  operation.length = size;
  return Exchange(*self_, *connection_, operation, {}, {}).status();
}

absl::Status File::Sync() const {
  return Exchange(*self_, *connection_, Begin(files::Verb::kSync), {}, {}).status();
}

absl::StatusOr<uint32_t> File::Poll(uint32_t wanted) const {
  files::Operation operation = Begin(files::Verb::kPoll);
  operation.flags = wanted;
  const auto answer = Exchange(*self_, *connection_, operation, {}, {});
  if (!answer.ok()) return answer.status();
  return static_cast<uint32_t>(answer->result.value) & wanted;
}

absl::StatusOr<uint32_t> File::Wait(uint32_t wanted, Deadline deadline) const {
  files::Operation operation = Begin(files::Verb::kPoll);
  operation.flags = wanted;
  operation.value = 1;
  const auto answer = Exchange(*self_, *connection_, operation, {}, {}, {.deadline = deadline});
  if (!answer.ok()) return answer.status();
  return static_cast<uint32_t>(answer->result.value) & wanted;
}

absl::StatusOr<uint64_t> File::Control(uint64_t code, ConstBytes request, MutableBytes reply,
                                       Deadline deadline) const {
  files::Operation operation = Begin(files::Verb::kControl);
  operation.value = code;
  operation.length = reply.size();
  const auto answer =
      Exchange(*self_, *connection_, operation, request, reply, {.deadline = deadline});
  if (!answer.ok()) return answer.status();
  return answer->result.value;
}

namespace {

absl::Status RemoveName(Process& self, absl::string_view path, uint32_t flags) {
  const std::string normalized = Normalized(path);
  auto connection = Connect(self, normalized, Deadline::Poll());
  if (!connection.ok()) return connection.status();
  return Exchange(self, *connection, {.verb = files::Verb::kUnlink, .flags = flags},
                  BytesOfText(normalized), {})
      .status();
}

}  // namespace

absl::Status Unlink(Process& self, absl::string_view path) { return RemoveName(self, path, 0); }

absl::Status RemoveDirectory(Process& self, absl::string_view path) {
  return RemoveName(self, path, AT_REMOVEDIR);
}

absl::Status Rename(Process& self, absl::string_view from, absl::string_view to) {
  std::string both = Normalized(from);
  const std::string target = Normalized(to);
  auto connection = Connect(self, both, Deadline::Poll());
  if (!connection.ok()) return connection.status();
  auto other = Connect(self, target, Deadline::Poll());
  if (!other.ok()) return other.status();
  const auto served_name = [](const Connection& of) {
    return absl::string_view(of.name()).substr(0, of.name().size() - of.rest().size());
  };
  if (served_name(*connection) != served_name(*other)) return PosixError(EXDEV, to);
  both.push_back('\0');
  absl::StrAppend(&both, target);
  both.push_back('\0');
  return Exchange(self, *connection, {.verb = files::Verb::kRename}, BytesOfText(both), {})
      .status();
}

absl::StatusOr<files::Stat> StatOf(Process& self, absl::string_view path) {
  const std::string normalized = Normalized(path);
  auto connection = Connect(self, normalized, Deadline::Poll());
  if (!connection.ok()) return connection.status();
  files::Stat stat;
  const auto answer = Exchange(self, *connection, {.verb = files::Verb::kStat},
                               BytesOfText(normalized), MutableBytesOf(stat));
  if (!answer.ok()) return answer.status();
  return stat;
}

}  // namespace ipc
