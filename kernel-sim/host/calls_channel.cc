// Kernel calls: channels, capabilities to connect, connections.
#include <algorithm>

#include "kernel-sim/host/answer_in_use.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/transfer.h"

namespace parley::host {
namespace {

absl::StatusOr<Token> TokenOf(const absl::StatusOr<Packet>& answer) {
  if (!answer.ok()) return answer.status();
  const auto made = answer->As<TokenMade>();
  PARLEY_CHECK(made.has_value());
  return made->token;
}

}  // namespace

absl::StatusOr<ChannelHandle> Process::ChannelCreate(const ChannelOptions& options) {
  PARLEY_ENTER();
  if (options.name.size() > kMaxNameBytes) {
    return MakeError(Error::kInvalidArgument, "a channel's name is too long");
  }
  auto answer = Ask(MakeChannel{}, options.name);
  const AnswerInUse in_use(answers_in_use_, answer);
  if (!answer.ok()) return answer.status();
  const auto made = answer->As<MadeChannel>();
  PARLEY_CHECK(made.has_value());
  absl::StatusOr<ChannelHandle> handle = Refuse(Error::kQuotaExhausted);
  {
    Locked locked(lock_);
    handle = AddChannel(made->channel, made->bell, options, answer->fds);
  }
  if (!handle.ok()) Ask(host::DestroyChannel{made->channel}).IgnoreError();  // nobody knows it yet
  return handle;
}

// `fds`: the bell of this process's user, and its knocker.
absl::StatusOr<ChannelHandle> Process::AddChannel(ChannelId id, uint32_t bell,
                                                  const ChannelOptions& options, Fds& fds) {
  if (channel_handles_.full()) return Refuse(Error::kQuotaExhausted);
  if (fds.size() < 2) return MakeError(Error::kQuotaExhausted, "no descriptor is left");
  auto& channel = channels_[id];
  channel = std::make_unique<HostChannel>(id, options);
  if (AddBell(*channel, bell, std::move(fds[0]), std::move(fds[1])) == nullptr) {
    channels_.erase(id);
    return Refuse(Error::kQuotaExhausted);
  }
  tracer_.NameChannel(*channel);
  return channel_handles_.Add(channel.get());
}

void Process::ChannelDestroy(ChannelHandle handle) noexcept {
  if (!EnterQuietly()) return;
  ChannelId id;
  {
    Locked locked(lock_);
    HostChannel* channel = channel_handles_.Remove(handle);
    if (channel == nullptr) return;
    id = channel->id;
    DestroyChannel(*channel);
  }
  Ask(host::DestroyChannel{id}).IgnoreError();  // without a broker the links have told it
}

absl::StatusOr<Token> Process::ChannelGrant(ChannelHandle handle, ProcessId holder, uint64_t badge,
                                            int ceiling, Rights rights) {
  PARLEY_ENTER();
  ChannelId id;
  {
    Locked locked(lock_);
    HostChannel* channel = channel_handles_.Find(handle);
    if (channel == nullptr) return Refuse(Error::kBadHandle);
    id = channel->id;
  }
  auto call = Zeroed<GrantChannel>();
  call.channel = id;
  call.holder = holder;
  call.badge = badge;
  call.ceiling = ceiling;
  call.rights = rights;
  return TokenOf(Ask(call));
}

absl::StatusOr<Token> Process::TokenDelegate(const Token& token, ProcessId holder, Rights rights) {
  PARLEY_ENTER();
  auto call = Zeroed<Delegate>();
  call.token = token;
  call.holder = holder;
  call.rights = rights;
  return TokenOf(Ask(call));
}

absl::Status Process::TokenRevoke(const Token& token) {
  if (absl::Status entered = EnterFromDestructor(); !entered.ok()) return entered;
  return Ask(Revoke{token}).status();
}

absl::StatusOr<ConnectionHandle> Process::Connect(const Token& token, ChannelHandle death,
                                                  uint64_t cookie) {
  PARLEY_ENTER();
  {
    Locked locked(lock_);
    if (death != ChannelHandle::kNone && channel_handles_.Find(death) == nullptr) {
      return Refuse(Error::kBadHandle);
    }
    if (connection_handles_.full()) return Refuse(Error::kQuotaExhausted);
  }
  auto answer = Ask(host::Connect{token});
  if (!answer.ok()) return answer.status();
  Locked locked(lock_);
  OutConnection& connection = *connections_.at(answer->As<Connected>()->connection);
  if (death != ChannelHandle::kNone) connection.death_channel = channel_handles_.Find(death);
  connection.death_cookie = cookie;
  if (connection.dead && connection.death_channel != nullptr) {  // meanwhile
    OfferKernelPulse(*connection.death_channel, KernelPulse::kDeath, cookie, main_priority_);
  }
  return connection_handles_.Add(&connection);
}

void Process::Disconnect(ConnectionHandle handle) noexcept {
  if (!EnterQuietly()) return;
  uint32_t number = 0;
  {
    Locked locked(lock_);
    OutConnection* connection = connection_handles_.Remove(handle);
    if (connection == nullptr) return;
    number = connection->number;
    connection->closed = true;
    connection->death_channel = nullptr;
    // Sends in flight go on; the last of them tells the broker.
    if (connection->sends_in_flight > 0) return;
    ForgetIfUnused(*connection);
  }
  TellBroker(Packet::Of(0, host::Disconnect{number}));
}

absl::StatusOr<ProcessId> Process::ServerOf(ConnectionHandle handle) {
  PARLEY_ENTER();
  Locked locked(lock_);
  OutConnection* connection = connection_handles_.Find(handle);
  if (connection == nullptr) return Refuse(Error::kBadHandle);
  const FarProcess& server = *connection->server;
  if (connection->links[0]->link().closed_by_server.load() != 0 || server.dead ||
      !IsAlive(server)) {
    KillConnection(*connection, false);
  }
  if (connection->dead) return Refuse(Error::kNoSuchChannel);
  return connection->server->far.process;
}

}  // namespace parley::host
