// Kernel calls: channels, capabilities to connect, connections.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/calls.h"

namespace parley::sim {

absl::StatusOr<ChannelHandle> Calls::ChannelCreate(const ChannelOptions& options) {
  PARLEY_ENTER();
  if (options.name.size() > kMaxNameBytes) {
    return MakeError(Error::kInvalidArgument, "a channel's name is too long");
  }
  if (process_.channels.full()) return Refuse(Error::kQuotaExhausted);
  return process_.channels.Add(&sim_.MakeChannel(process_, options));
}

void Calls::ChannelDestroy(ChannelHandle handle) noexcept {
  if (!EnterQuietly()) return;
  SimChannel* channel = process_.channels.Remove(handle);
  if (channel == nullptr) return;
  sim_.DestroyChannel(*channel);
  Leave();
}

absl::StatusOr<Token> Calls::ChannelGrant(ChannelHandle handle, ProcessId holder, uint64_t badge,
                                          int ceiling, Rights rights) {
  PARLEY_ENTER();
  SimChannel* channel = process_.channels.Find(handle);
  if (channel == nullptr) return Refuse(Error::kBadHandle);
  if (sim_.FindProcess(holder) == nullptr) {
    return MakeError(Error::kNoSuchName, "the holder is no living process");
  }
  if (ceiling < kMinPriority || ceiling > kMaxPriority) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("ceiling ", ceiling, " is not 1 to 255"));
  }
  if (!Includes(Rights::kConnect | Rights::kGrant, rights) || rights == Rights::kNone) {
    return MakeError(Error::kInvalidArgument, "rights over a channel are connect and grant");
  }
  const Capability* root = sim_.capabilities().FindRoot({ObjectKind::kChannel, Raw(channel->id)});
  auto granted = sim_.capabilities().Grant(root->id, process_.id, holder,
                                           {.rights = rights, .badge = badge, .ceiling = ceiling},
                                           sim_.NextToken());
  if (!granted.ok()) return granted.status();
  return (*granted)->token;
}

absl::StatusOr<Token> Calls::TokenDelegate(const Token& token, ProcessId holder, Rights rights) {
  PARLEY_ENTER();
  auto held = sim_.capabilities().FindByToken(token, process_.id);
  if (!held.ok()) return held.status();
  if (sim_.FindProcess(holder) == nullptr) {
    return MakeError(Error::kNoSuchName, "the holder is no living process");
  }
  Extent extent = (*held)->extent;
  extent.rights = rights;
  auto granted =
      sim_.capabilities().Grant((*held)->id, process_.id, holder, extent, sim_.NextToken());
  if (!granted.ok()) return granted.status();
  return (*granted)->token;
}

absl::Status Calls::TokenRevoke(const Token& token) {
  if (absl::Status entered = EnterFromDestructor(); !entered.ok()) return entered;
  auto capability = sim_.capabilities().FindRevocable(token, process_.id);
  if (!capability.ok()) return capability.status();
  const ObjectRef object = (*capability)->object;
  sim_.EndCapabilities(sim_.capabilities().Kill((*capability)->id));
  if (object.kind == ObjectKind::kEvent) sim_.ForgetEvent(object.id);
  Leave();
  return absl::OkStatus();
}

absl::StatusOr<ConnectionHandle> Calls::Connect(const Token& token, ChannelHandle death,
                                                uint64_t cookie) {
  PARLEY_ENTER();
  auto capability = sim_.capabilities().FindByToken(token, process_.id);
  if (!capability.ok()) return capability.status();
  if ((*capability)->object.kind != ObjectKind::kChannel ||
      !Includes((*capability)->extent.rights, Rights::kConnect)) {
    return MakeError(Error::kNotPermitted, "the token does not grant to connect");
  }
  SimChannel* death_channel = nullptr;
  if (death != ChannelHandle::kNone) {
    death_channel = process_.channels.Find(death);
    if (death_channel == nullptr) return Refuse(Error::kBadHandle);
  }
  if (process_.connections.full()) return Refuse(Error::kQuotaExhausted);
  SimChannel& channel = *sim_.FindChannel((*capability)->object.id);
  Connection& connection = sim_.MakeConnection(process_, channel, (*capability)->id);
  connection.badge = (*capability)->extent.badge;
  connection.ceiling = (*capability)->extent.ceiling;
  connection.death_channel = death_channel;
  connection.death_cookie = cookie;
  return process_.connections.Add(&connection);
}

void Calls::Disconnect(ConnectionHandle handle) noexcept {
  if (!EnterQuietly()) return;
  Connection* connection = process_.connections.Remove(handle);
  if (connection == nullptr) return;
  sim_.DropConnection(*connection);
  Leave();
}

absl::StatusOr<ProcessId> Calls::ServerOf(ConnectionHandle handle) {
  PARLEY_ENTER();
  Connection* connection = process_.connections.Find(handle);
  if (connection == nullptr) return Refuse(Error::kBadHandle);
  if (connection->channel == nullptr || connection->revoked) return Refuse(Error::kNoSuchChannel);
  return connection->channel->process.id;
}

}  // namespace parley::sim
