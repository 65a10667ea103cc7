// The client's side of the file protocol.
#include "libipc/src/file_exchange.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
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
absl::Status Check(const Connection& connection, const Front& front,
                   absl::Span<const files::Result> results, uint64_t length,
                   absl::FunctionRef<bool()> is_over) {
  const uint64_t count = front.results.count;
  const bool sane = length >= sizeof(front) && front.header.code == files::Results::kType.code &&
                    front.header.version == files::Results::kType.version && count >= 1 &&
                    count <= results.size() &&
                    length >= sizeof(front) + count * sizeof(files::Result);
  if (!sane) {
    return PosixError(EIO, absl::StrCat(connection.name(), ": its server serves no files"));
  }
  const int error = results[count - 1].error;
  if (error == EINTR && is_over()) {
    return MakeStatus(Error::kDeadlineAfterReceive,
                      absl::StrCat(connection.name(), ": the deadline has passed"));
  }
  if (error != 0) return PosixError(error, connection.name());
  if (count < results.size()) {
    return PosixError(EIO, absl::StrCat(connection.name(), ": its server left something undone"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> Exchange(const Process& self, const Connection& connection,
                                  const FileParts& parts, CallOptions options) {
  options.deadline = Fixed(self, options.deadline);
  const MessageHeader header = HeaderOf<files::Operations>();
  const files::Operations operations = {.count = static_cast<uint32_t>(parts.operations.size())};
  const ConstBytes list(reinterpret_cast<const std::byte*>(parts.operations.data()),
                        parts.operations.size() * sizeof(files::Operation));
  absl::InlinedVector<ConstBytes, 4> out = {BytesOf(header), BytesOf(operations), list};
  out.insert(out.end(), parts.payloads.begin(), parts.payloads.end());
  Front front;
  const MutableBytes results(reinterpret_cast<std::byte*>(parts.results.data()),
                             parts.results.size() * sizeof(files::Result));
  absl::InlinedVector<MutableBytes, 4> in = {MutableBytesOf(front), results};
  in.insert(in.end(), parts.rooms.begin(), parts.rooms.end());
  const auto length = connection.SendParts(out, in, options);
  if (!length.ok()) return length.status();
  absl::Status believed = Check(connection, front, parts.results, *length, [&] {
    const auto now = [&] { return absl::ToUnixNanos(self.Now()); };
    return options.deadline.Resolve(now) <= now();
  });
  if (!believed.ok()) return believed;
  return *length - sizeof(front) - results.size();
}

absl::Status Exchange(const Process& self, const Connection& connection,
                      absl::Span<FileExchange> exchanges, CallOptions options) {
  absl::InlinedVector<files::Operation, 3> operations;
  absl::InlinedVector<files::Result, 3> results(exchanges.size());
  absl::InlinedVector<ConstBytes, 4> payloads;
  absl::InlinedVector<MutableBytes, 4> rooms;
  for (const FileExchange& exchange : exchanges) {
    operations.push_back(exchange.operation);
    operations.back().payload_bytes = static_cast<uint32_t>(exchange.payload.size());
    if (!exchange.payload.empty()) payloads.push_back(exchange.payload);
    if (!exchange.room.empty()) rooms.push_back(exchange.room);
  }
  const FileParts parts = {.operations = operations,
                           .payloads = payloads,
                           .results = absl::MakeSpan(results),
                           .rooms = rooms};
  const auto came = Exchange(self, connection, parts, std::move(options));
  if (!came.ok()) return came.status();
  uint64_t left = *came;
  for (size_t i = 0; i < exchanges.size(); ++i) {
    exchanges[i].result = results[i];
    exchanges[i].payload_bytes =
        std::min<uint64_t>({results[i].payload_bytes, left, exchanges[i].room.size()});
    left -= exchanges[i].payload_bytes;
  }
  return absl::OkStatus();
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
