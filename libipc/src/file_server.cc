// A server of files, as its clients have it.
#include "ipc/file_server.h"

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ipc/name_protocol.h"
#include "libipc/src/file_exchange.h"

namespace ipc {
namespace {

// Two texts, a zero byte behind each.
std::string Pair(absl::string_view first, absl::string_view second) {
  std::string both(first);
  both.push_back('\0');
  absl::StrAppend(&both, second);
  both.push_back('\0');
  return both;
}

// As much of a path as can be part of a name. ENAMETOOLONG.
absl::StatusOr<absl::string_view> NamePart(absl::string_view path) {
  if (path.size() > 1) absl::ConsumeSuffix(&path, "/");
  if (path.size() <= names::kMaxPathBytes) return path;
  path = path.substr(0, path.rfind('/', names::kMaxPathBytes));
  if (path.empty()) return PosixError(ENAMETOOLONG);
  return path;
}

}  // namespace

absl::StatusOr<FileServer> FileServer::Connect(Process& self, absl::string_view path,
                                               const OpenOptions& options) {
  const std::string normalized = NormalizedPath(path);
  const auto part = NamePart(normalized);
  if (!part.ok()) return part.status();
  auto connection = self.Open(*part, options);
  if (!connection.ok() && ErrorOf(connection.status()) == Error::kNoSuchName) {
    return PosixError(ENOENT, path);  // as good as a file that is not there
  }
  if (!connection.ok()) return connection.status();
  std::string name = connection->name().substr(0, part->size() - connection->rest().size());
  return FileServer(self, std::make_shared<const Connection>(*std::move(connection)),
                    std::move(name));
}

absl::StatusOr<File> FileServer::Open(absl::string_view path, uint32_t flags, uint32_t mode) const {
  std::string normalized = NormalizedPath(path);
  const auto done = Do({.operation = {.verb = files::Verb::kOpen, .flags = flags, .value = mode},
                        .payload = BytesOfText(normalized)});
  if (!done.ok()) return done.status();
  return File(*self_, connection_, std::move(normalized), done->result.file);
}

absl::StatusOr<FileExchange> FileServer::Do(FileExchange exchange) const {
  absl::Status done = Exchange(*self_, *connection_, absl::MakeSpan(&exchange, 1));
  if (!done.ok()) return done;
  return exchange;
}

absl::StatusOr<files::Stat> FileServer::Stat(absl::string_view path, bool follow) const {
  const std::string normalized = NormalizedPath(path);
  files::Stat stat;
  const auto done = Do({.operation = {.verb = files::Verb::kStat,
                                      .flags = follow ? 0u : uint32_t{AT_SYMLINK_NOFOLLOW}},
                        .payload = BytesOfText(normalized),
                        .room = MutableBytesOf(stat)});
  if (!done.ok()) return done.status();
  if (done->payload_bytes != sizeof(stat)) return PosixError(EIO, normalized);
  return stat;
}

absl::Status FileServer::One(files::Verb verb, absl::string_view path, uint32_t flags) const {
  const std::string normalized = NormalizedPath(path);
  return Do({.operation = {.verb = verb, .flags = flags}, .payload = BytesOfText(normalized)})
      .status();
}

absl::Status FileServer::Unlink(absl::string_view path) const {
  return One(files::Verb::kUnlink, path, 0);
}

absl::Status FileServer::RemoveDirectory(absl::string_view path) const {
  return One(files::Verb::kUnlink, path, AT_REMOVEDIR);
}

absl::Status FileServer::Rename(absl::string_view from, absl::string_view to) const {
  const std::string both = Pair(NormalizedPath(from), NormalizedPath(to));
  return Do({.operation = {.verb = files::Verb::kRename}, .payload = BytesOfText(both)}).status();
}

absl::Status FileServer::Link(absl::string_view from, absl::string_view to) const {
  const std::string both = Pair(NormalizedPath(from), NormalizedPath(to));
  return Do({.operation = {.verb = files::Verb::kLink}, .payload = BytesOfText(both)}).status();
}

absl::Status FileServer::Make(absl::string_view path, absl::string_view target,
                              uint32_t mode) const {
  const std::string both = Pair(NormalizedPath(path), target);
  return Do({.operation = {.verb = files::Verb::kMake, .value = mode},
             .payload = BytesOfText(both)})
      .status();
}

absl::Status FileServer::MakeDirectory(absl::string_view path, uint32_t mode) const {
  return Make(path, "", S_IFDIR | (mode & 07777));
}

absl::Status FileServer::MakeNode(absl::string_view path, uint32_t mode) const {
  return Make(path, "", mode);
}

absl::Status FileServer::MakeSymbolicLink(absl::string_view target, absl::string_view path) const {
  return Make(path, target, S_IFLNK | 0777);
}

absl::StatusOr<std::string> FileServer::ReadLink(absl::string_view path) const {
  const std::string normalized = NormalizedPath(path);
  std::vector<std::byte> room(files::kMaxPathBytes);
  const auto done = Do({.operation = {.verb = files::Verb::kReadLink},
                        .payload = BytesOfText(normalized),
                        .room = absl::MakeSpan(room)});
  if (!done.ok()) return done.status();
  return std::string(TextOf(ConstBytes(room).first(done->payload_bytes)));
}

absl::Status FileServer::Change(absl::string_view path, const files::Change& change,
                                bool follow) const {
  const std::string payload = absl::StrCat(TextOf(BytesOf(change)), NormalizedPath(path));
  return Do({.operation = {.verb = files::Verb::kChange,
                           .flags = follow ? 0u : uint32_t{AT_SYMLINK_NOFOLLOW}},
             .payload = BytesOfText(payload)})
      .status();
}

absl::StatusOr<files::StatFs> FileServer::StatFs() const {
  files::StatFs stat;
  const auto done = Do({.operation = {.verb = files::Verb::kStatFs}, .room = MutableBytesOf(stat)});
  if (!done.ok()) return done.status();
  if (done->payload_bytes != sizeof(stat)) return PosixError(EIO, name_);
  return stat;
}

// -- Of any path

absl::StatusOr<files::Stat> StatOf(Process& self, absl::string_view path) {
  const auto server = FileServer::Connect(self, path);
  if (!server.ok()) return server.status();
  return server->Stat(path);
}

absl::Status Unlink(Process& self, absl::string_view path) {
  const auto server = FileServer::Connect(self, path);
  return server.ok() ? server->Unlink(path) : server.status();
}

absl::Status RemoveDirectory(Process& self, absl::string_view path) {
  const auto server = FileServer::Connect(self, path);
  return server.ok() ? server->RemoveDirectory(path) : server.status();
}

absl::Status MakeDirectory(Process& self, absl::string_view path, uint32_t mode) {
  const auto server = FileServer::Connect(self, path);
  return server.ok() ? server->MakeDirectory(path, mode) : server.status();
}

absl::Status Rename(Process& self, absl::string_view from, absl::string_view to) {
  const auto server = FileServer::Connect(self, from);
  if (!server.ok()) return server.status();
  const auto other = FileServer::Connect(self, to);
  if (!other.ok()) return other.status();
  return server->name() == other->name() ? server->Rename(from, to) : PosixError(EXDEV, to);
}

absl::StatusOr<std::string> ReadFile(Process& self, absl::string_view path, Deadline deadline) {
  deadline = Fixed(self, deadline);
  const auto server = FileServer::Connect(self, path, {.deadline = deadline});
  if (!server.ok()) return server.status();
  const std::string normalized = NormalizedPath(path);
  std::string text(files::kMaxPayloadBytes, '\0');
  std::array<FileExchange, 3> exchanges = {
      FileExchange{.operation = {.verb = files::Verb::kOpen, .flags = O_RDONLY},
                   .payload = BytesOfText(normalized)},
      FileExchange{.operation = {.verb = files::Verb::kRead,
                                 .offset = files::kPosition,
                                 .length = text.size()},
                   .room = {reinterpret_cast<std::byte*>(text.data()), text.size()}},
      FileExchange{.operation = {.verb = files::Verb::kClose}}};
  absl::Status done = server->Do(absl::MakeSpan(exchanges), deadline);
  if (!done.ok()) return done;
  if (exchanges[1].payload_bytes == text.size()) return PosixError(EMSGSIZE, normalized);
  text.resize(exchanges[1].payload_bytes);
  return text;
}

absl::Status WriteFile(Process& self, absl::string_view path, absl::string_view text,
                       Deadline deadline) {
  deadline = Fixed(self, deadline);
  const auto server = FileServer::Connect(self, path, {.deadline = deadline});
  if (!server.ok()) return server.status();
  const std::string normalized = NormalizedPath(path);
  if (text.size() + normalized.size() > files::kMaxPayloadBytes) {
    return PosixError(EMSGSIZE, normalized);
  }
  std::array<FileExchange, 3> exchanges = {
      FileExchange{.operation = {.verb = files::Verb::kOpen,
                                 .flags = O_WRONLY | O_CREAT | O_TRUNC,
                                 .value = 0666},
                   .payload = BytesOfText(normalized)},
      FileExchange{.operation = {.verb = files::Verb::kWrite,
                                 .offset = files::kPosition,
                                 .length = text.size()},
                   .payload = BytesOfText(text)},
      FileExchange{.operation = {.verb = files::Verb::kClose}}};
  absl::Status done = server->Do(absl::MakeSpan(exchanges), deadline);
  if (done.ok() && exchanges[1].result.value != text.size()) return PosixError(EIO, normalized);
  return done;
}

absl::Status FileServer::Do(absl::Span<FileExchange> exchanges, Deadline deadline) const {
  return Exchange(*self_, *connection_, exchanges, {.deadline = deadline});
}

}  // namespace ipc
