// The client's side of the file protocol.
#include "libipc/src/file_exchange.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "ipc/posix.h"

namespace ipc {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct Front {
  MessageHeader header;
  files::Results results;
};

// The reply, `length` bytes of it, as far as it can be believed.
absl::Status Sort(const Connection& connection, const Front& front,
                  absl::Span<const files::Result> results, uint64_t length, bool over,
                  absl::Span<FileExchange> exchanges) {
  const uint64_t count = front.results.count;
  const bool sane = length >= sizeof(front) && front.header.code == files::Results::kType.code &&
                    front.header.version == files::Results::kType.version && count >= 1 &&
                    count <= exchanges.size() &&
                    length >= sizeof(front) + count * sizeof(files::Result);
  if (!sane) {
    return PosixError(EIO, absl::StrCat(connection.name(), ": its server serves no files"));
  }
  const int error = results[count - 1].error;
  if (error == EINTR && over) {
    return MakeStatus(Error::kDeadlineAfterReceive,
                      absl::StrCat(connection.name(), ": the deadline has passed"));
  }
  if (error != 0) return PosixError(error, connection.name());
  if (count < exchanges.size()) {
    return PosixError(EIO, absl::StrCat(connection.name(), ": its server left something undone"));
  }
  uint64_t left = length - sizeof(front) - count * sizeof(files::Result);
  for (size_t i = 0; i < count; ++i) {
    exchanges[i].result = results[i];
    exchanges[i].payload_bytes =
        std::min<uint64_t>({results[i].payload_bytes, left, exchanges[i].room.size()});
    left -= exchanges[i].payload_bytes;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Exchange(const Process& self, const Connection& connection,
                      absl::Span<FileExchange> exchanges, CallOptions options) {
  options.deadline = Fixed(self, options.deadline);
  const MessageHeader header = HeaderOf<files::Operations>();
  const files::Operations operations = {.count = static_cast<uint32_t>(exchanges.size())};
  absl::InlinedVector<ConstBytes, 4> out = {BytesOf(header), BytesOf(operations)};
  for (FileExchange& exchange : exchanges) {
    exchange.operation.payload_bytes = static_cast<uint32_t>(exchange.payload.size());
    out.push_back(BytesOf(exchange.operation));
  }
  Front front;
  std::array<files::Result, files::kMaxOperations> results;
  absl::InlinedVector<MutableBytes, 4> in = {
      MutableBytesOf(front), MutableBytes(reinterpret_cast<std::byte*>(results.data()),
                                          exchanges.size() * sizeof(files::Result))};
  for (const FileExchange& exchange : exchanges) {
    if (!exchange.payload.empty()) out.push_back(exchange.payload);
    if (!exchange.room.empty()) in.push_back(exchange.room);
  }
  const auto length = connection.SendParts(out, in, options);
  if (!length.ok()) return length.status();
  const auto now = [&] { return absl::ToUnixNanos(self.Now()); };
  const bool over = options.deadline.Resolve(now) <= now();
  return Sort(connection, front, results, *length, over, exchanges);
}

Deadline Fixed(const Process& self, const Deadline& deadline) {
  const int64_t until = deadline.Resolve([&] { return absl::ToUnixNanos(self.Now()); });
  return until == kNever ? Deadline::Never() : Deadline(absl::FromUnixNanos(until));
}

std::string NormalizedPath(absl::string_view path) {
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

}  // namespace ipc
