// Names: the client's side of the name server (N1 to N5).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ipc/name_protocol.h"
#include "ipc/process.h"
#include "libipc/src/convert.h"

namespace ipc {
namespace {

// As a message to the name server has it. kNoSuchChannel: there is no name server any more.
absl::StatusOr<names::Path> PathOf(const parley::Kernel& kernel, absl::string_view text) {
  const parley::Birth& birth = kernel.birth();
  if (birth.name_service == parley::ConnectionHandle::kNone &&
      birth.name_service_channel == parley::ChannelHandle::kNone) {
    return MakeStatus(Error::kNoSuchChannel,
                      absl::StrCat(text, ": the run's name server has ended"));
  }
  names::Path path;
  if (!path.Set(text)) {
    return MakeStatus(Error::kInvalidArgument,
                      absl::StrCat("a path is at most ", names::kMaxPathBytes,
                                   " bytes, none of them zero; this one has ", text.size()));
  }
  return path;
}

// The name server's errors are of its own making: they come as kServerError with a code. Told apart
// for callers.
absl::Status Translate(const absl::Status& status, absl::string_view path) {
  if (status.ok()) return status;
  const std::string text = absl::StrCat(path, ": ", status.message());
  if (ErrorOf(status) == Error::kServerError) {
    switch (status.code()) {
      case absl::StatusCode::kAlreadyExists:
        return MakeStatus(Error::kAlreadyExists, text);
      case absl::StatusCode::kNotFound:
        return MakeStatus(Error::kNoSuchName, text);
      case absl::StatusCode::kPermissionDenied:
        return MakeStatus(Error::kNotPermitted, text);
      case absl::StatusCode::kInvalidArgument:
        return MakeStatus(Error::kInvalidArgument, text);
      case absl::StatusCode::kResourceExhausted:
        return MakeStatus(Error::kQuotaExhausted, text);
      default:
        break;
    }
  }
  return parley::Annotate(status, std::string(path));
}

parley::ChannelOptions ToKernel(absl::string_view label, const ChannelOptions& options) {
  parley::ChannelOptions result;
  result.name = std::string(label);
  result.fixed_priority = options.fixed_priority;
  result.unblock_pulse = options.unblock_pulse;
  result.disconnect_pulse = options.disconnect_pulse;
  result.spin = options.spin;
  return result;
}

}  // namespace

absl::StatusOr<Channel> Process::CreateChannel(absl::string_view label,
                                               const ChannelOptions& options) {
  auto channel = kernel_->ChannelCreate(ToKernel(label, options));
  if (!channel.ok()) return parley::Annotate(channel.status(), std::string(label));
  return Channel(kernel_, parley::Raw(*channel), std::string(label));
}

absl::StatusOr<Channel> Process::TakeNameServiceChannel() {
  const parley::ChannelHandle channel = kernel_->birth().name_service_channel;
  if (channel == parley::ChannelHandle::kNone) {
    return MakeStatus(Error::kNotPermitted, "this process is not the name server");
  }
  return Channel(kernel_, parley::Raw(channel), "the name service");
}

absl::StatusOr<Channel> Process::Attach(absl::string_view path, const ChannelOptions& options) {
  if (auto wire = PathOf(*kernel_, path); !wire.ok()) return wire.status();
  absl::StatusOr<Channel> channel = CreateChannel(path, options);
  if (!channel.ok()) return channel;
  absl::Status attached = AttachTo(*channel, path, options.mode);
  if (!attached.ok()) return attached;
  return channel;
}

absl::Status Process::AttachTo(const Channel& channel, absl::string_view path, uint32_t mode) {
  absl::StatusOr<names::Path> wire = PathOf(*kernel_, path);
  if (!wire.ok()) return wire.status();
  absl::StatusOr<Token> token = channel.Grant(names_.server(), {.may_grant = true});
  if (!token.ok()) return token.status();
  const names::AttachRequest request{.path = *wire, .channel = *token, .mode = mode};
  return Translate(names_.Call<names::Done>(request).status(), path);
}

absl::StatusOr<Connection> Process::Open(absl::string_view path, Deadline deadline) {
  return Open(path, OpenOptions{.deadline = deadline});
}

absl::StatusOr<Connection> Process::Open(absl::string_view path, const OpenOptions& options) {
  absl::StatusOr<names::Path> wire = PathOf(*kernel_, path);
  if (!wire.ok()) return wire.status();
  names::OpenRequest request{.path = *wire};
  const int64_t deadline_ns = Resolve(*kernel_, options.deadline);
  CallOptions call;
  if (deadline_ns > kernel_->Now()) {
    request.wait = 1;
    if (deadline_ns != parley::kNever) call.deadline = absl::FromUnixNanos(deadline_ns);
  }
  auto reply = names_.Call<names::OpenReply>(request, call);
  if (!reply.ok()) {
    const Error error = ErrorOf(reply.status());
    if (error == Error::kDeadlineBeforeReceive || error == Error::kDeadlineAfterReceive) {
      return MakeStatus(Error::kNoSuchName,
                        absl::StrCat(path, ": nobody served it by the deadline"));
    }
    return Translate(reply.status(), path);
  }
  auto connection = Connect(reply->channel, path, options);
  if (!connection.ok()) {
    Revoke(reply->channel).IgnoreError();  // dead already, or of no more use
    if (ErrorOf(connection.status()) == Error::kQuotaExhausted) return connection.status();
    // The server ended between the answer and here.
    return MakeStatus(Error::kNoSuchName, absl::StrCat(path, ": its server has just ended"));
  }
  connection->matched_ = std::min<size_t>(reply->matched, path.size());
  connection->capability_ = reply->channel;
  return connection;
}

absl::StatusOr<Connection> Process::Connect(const Token& token, absl::string_view label,
                                            const OpenOptions& options) {
  const parley::ChannelHandle death = options.death == nullptr
                                          ? parley::ChannelHandle::kNone
                                          : parley::ChannelHandle{options.death->handle_};
  auto connection = kernel_->Connect(ipc::ToKernel(token), death, options.cookie);
  if (!connection.ok()) return parley::Annotate(connection.status(), std::string(label));
  return Connection(kernel_, parley::Raw(*connection), std::string(label), label.size());
}

absl::Status Process::Watch(absl::string_view prefix, const Channel& channel, uint8_t code,
                            int priority) {
  absl::StatusOr<names::Path> wire = PathOf(*kernel_, prefix);
  if (!wire.ok()) return wire.status();
  auto event = channel.RegisterEvent(names_, code, 0, priority, /*any_value=*/true);
  if (!event.ok()) return event.status();
  const names::WatchRequest request{.prefix = *wire, .event = *event};
  return Translate(names_.Call<names::Done>(request).status(), prefix);
}

absl::StatusOr<std::vector<std::string>> Process::ListNames(absl::string_view prefix) {
  absl::StatusOr<names::Path> wire = PathOf(*kernel_, prefix);
  if (!wire.ok()) return wire.status();
  std::vector<std::string> found;
  names::ListRequest request{.prefix = *wire, .after = {}};
  for (;;) {
    auto reply = names_.Call<names::ListReply>(request);
    if (!reply.ok()) return Translate(reply.status(), prefix);
    if (reply->path.Get().empty()) return found;
    found.emplace_back(reply->path.Get());
    request.after = reply->path;
  }
}

}  // namespace ipc
