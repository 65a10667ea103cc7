// The broker's peers, and what each of their packets is handed to.
#include "kernel-sim/host/broker.h"

#include <utility>

#include "kernel-sim/core/check.h"

namespace parley::host {
namespace {

// So that none comes again soon after it was another's: those of 32 bits 2^18 further with each
// reign, and never what is in use; those of 64 bits never.
Numbers NumbersOf(const BrokerLimits& limits, const BrokerLife& life) {
  return Numbers(limits.last_number + (life.reign << 18), /*again=*/life.reign > 0);
}
uint64_t LastValueOf(const BrokerLife& life) { return uint64_t{life.reign} << 40; }

constexpr size_t kMaxFailureBytes = 1024;  // of a text, cut beyond: it may quote what the peer said

}  // namespace

Broker::Broker(BrokerOutlet& outlet, int64_t start_ns, const BrokerLimits& limits,
               const BrokerOwner& owner, const BrokerLife& life)
    : outlet_(outlet),
      start_ns_(start_ns),
      limits_(limits),
      owner_(owner),
      life_(life),
      strangers_(limits.strangers_per_user, "sockets without a role"),
      launcher_quota_(limits.launchers_per_user, "launchers"),
      process_quota_(limits.processes_per_user, "processes"),
      argument_bytes_(limits.argument_bytes_per_user, "bytes of arguments"),
      record_quota_(limits.records_per_user, "channels, connections, events and grants"),
      descriptors_(limits.descriptors_per_user, "descriptors"),
      capabilities_(LastValueOf(life)),
      restoring_(life.reign > 0),
      process_numbers_(NumbersOf(limits, life)),
      channel_numbers_(NumbersOf(limits, life)),
      bell_numbers_(NumbersOf(limits, life)),
      connection_numbers_(NumbersOf(limits, life)),
      region_numbers_(NumbersOf(limits, life)),
      lend_numbers_(NumbersOf(limits, life)),
      last_value_(LastValueOf(life)) {}

// What is written down is for the next one.
Broker::~Broker() {
  for (const auto& [id, process] : processes_) {
    if (process->ledger != nullptr) process->ledger->Leave();
  }
}

// -- Peers

void Broker::OnPeer(PeerId peer, const Far& credentials, UniqueFd pidfd) {
  PARLEY_CHECK(peer != PeerId::kNone && !peers_.contains(peer));
  auto stranger = strangers_.Take(credentials.uid, 1);
  auto descriptors = descriptors_.Take(credentials.uid, PeerRecord::kDescriptors);
  if (!stranger.ok() || !descriptors.ok()) return outlet_.Drop(peer);
  auto record = std::make_unique<PeerRecord>();
  record->id = peer;
  record->far = credentials;
  record->far.process = ProcessId::kNone;
  record->pidfd = std::move(pidfd);
  record->stranger = *std::move(stranger);
  record->descriptors = *std::move(descriptors);
  peers_[peer] = std::move(record);
}

void Broker::OnPacket(PeerId peer, const Packet& packet) {
  auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  if (!Dispatch(*found->second, packet)) DropPeer(*found->second);
}

void Broker::OnGone(PeerId peer) {
  auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  PeerRecord& record = *found->second;
  if (record.process != nullptr) EndProcess(*record.process);
  if (record.set != nullptr) EndSet(*record.set);
  ForgetPeer(record);
}

// kQuotaExhausted: a call that another process would be told of has to wait until it has read what
// it was told before. So nobody drowns it, whoever it is and however fast.
absl::Status Broker::CheckKeepsUp(const ProcessRecord& told) const {
  if (told.peer == nullptr || !outlet_.IsBehind(told.peer->id)) return absl::OkStatus();
  return MakeError(Error::kQuotaExhausted,
                   "the other process has not read yet what the broker told it");
}

void Broker::DropPeer(PeerRecord& peer) {
  const PeerId id = peer.id;
  OnGone(id);
  outlet_.Drop(id);
}

// REQUIRES: its process or set has ended.
void Broker::ForgetPeer(PeerRecord& peer) {
  if (peer.set != nullptr) --launchers_;
  if (peer.rejoining != nullptr) {
    absl::erase_if(rejoined_, [&](const auto& known) { return known.second == &peer; });
  }
  peers_.erase(peers_.find(peer.id));
}

bool Broker::TakesDescriptors(PeerId peer) const {
  auto found = peers_.find(peer);
  return restoring_ && found != peers_.end() && found->second->set == nullptr &&
         found->second->process == nullptr;
}

// -- Dispatch

// The one answer to a call.
void Broker::Conclude(const PeerRecord& peer, uint32_t call, Answer answer) {
  Packet packet;
  if (answer.ok()) {
    packet = std::move(*answer);
  } else {
    const std::string_view text(answer.status().message().data(), answer.status().message().size());
    packet = Packet::Of(call, Failed{static_cast<uint32_t>(ErrorOf(answer.status()))},
                        text.substr(0, kMaxFailureBytes));
  }
  packet.SetCall(call);
  outlet_.Send(peer.id, std::move(packet));
}

// Hands the body to `handler` and its answer to the peer.
template <WireStruct T>
bool Broker::Run(PeerRecord& peer, const Packet& packet,
                 Answer (Broker::*handler)(ProcessRecord&, const T&)) {
  const std::optional<T> body = packet.As<T>();
  if (!body) return false;
  Conclude(peer, packet.header()->call, (this->*handler)(*peer.process, *body));
  return true;
}

// A peer's packets keep their order, so the answer says it all.
Broker::Answer Broker::OnCatchUp(ProcessRecord&, const CatchUp&) { return Packet::Of(0, Done{}); }

bool Broker::Dispatch(PeerRecord& peer, const Packet& packet) {
  if (!packet.header()) return false;
  if (peer.set != nullptr) return DispatchLauncher(peer, packet);
  if (peer.process == nullptr) return DispatchStranger(peer, packet);
  // One that waits for the answer to its join has nothing to say.
  if (peer.process->stage != ProcessRecord::Stage::kJoined) return false;
  return DispatchProcess(peer, packet);
}

bool Broker::DispatchStranger(PeerRecord& peer, const Packet& packet) {
  // Who has shown a ledger says what it claims; it will be that process, and must not become
  // another one, or a launcher, before.
  if (peer.rejoining != nullptr && packet.header()->kind != Kind::kClaims) return false;
  switch (packet.header()->kind) {
    case Kind::kBecomeLauncher:
      return OnBecomeLauncher(peer, packet);
    case Kind::kLook:
      return OnLook(peer, packet);
    case Kind::kRejoin:
      return OnRejoin(peer, packet);
    case Kind::kClaims:
      return OnClaims(peer, packet);
    default:
      return OnJoin(peer, packet);
  }
}

bool Broker::DispatchLauncher(PeerRecord& launcher, const Packet& packet) {
  switch (packet.header()->kind) {
    case Kind::kSpawn:
      return OnSpawn(launcher, packet);
    case Kind::kKill:
      return OnKill(launcher, packet);
    case Kind::kExited:
      return OnExited(launcher, packet);
    case Kind::kAdopt:
      return OnAdopt(launcher, packet);
    case Kind::kLaunched:
      return OnLaunched(launcher, packet);
    default:
      return false;
  }
}

bool Broker::DispatchProcess(PeerRecord& peer, const Packet& packet) {
  switch (packet.header()->kind) {
    case Kind::kSpawn:
      return OnSpawn(peer, packet);
    case Kind::kKill:
      return OnKill(peer, packet);
    case Kind::kMakeChannel:
      return OnMakeChannel(*peer.process, packet);
    case Kind::kDestroyChannel:
      return Run(peer, packet, &Broker::OnDestroyChannel);
    case Kind::kGrantChannel:
      return Run(peer, packet, &Broker::OnGrantChannel);
    case Kind::kDelegate:
      return Run(peer, packet, &Broker::OnDelegate);
    case Kind::kRevoke:
      return Run(peer, packet, &Broker::OnRevoke);
    case Kind::kConnect:
      return Run(peer, packet, &Broker::OnConnect);
    case Kind::kExtend:
      return Run(peer, packet, &Broker::OnExtend);
    case Kind::kDisconnect:
      return Run(peer, packet, &Broker::OnDisconnect);
    case Kind::kTurnAway:
      return Run(peer, packet, &Broker::OnTurnAway);
    case Kind::kRegisterEvent:
      return Run(peer, packet, &Broker::OnRegisterEvent);
    case Kind::kOpenEvent:
      return Run(peer, packet, &Broker::OnOpenEvent);
    case Kind::kFindDeadlock:
      return Run(peer, packet, &Broker::OnFindDeadlock);
    case Kind::kCatchUp:
      return Run(peer, packet, &Broker::OnCatchUp);
    case Kind::kMakeRegion:
      return Run(peer, packet, &Broker::OnMakeRegion);
    case Kind::kGrantRegion:
      return Run(peer, packet, &Broker::OnGrantRegion);
    case Kind::kRedeem:
      return Run(peer, packet, &Broker::OnRedeem);
    case Kind::kLend:
      return Run(peer, packet, &Broker::OnLend);
    case Kind::kRenewRegion:
      return Run(peer, packet, &Broker::OnRenewRegion);
    case Kind::kCommitRegion:
      return Run(peer, packet, &Broker::OnCommitRegion);
    case Kind::kCloseRegion:
      return Run(peer, packet, &Broker::OnCloseRegion);
    default:
      return false;
  }
}

}  // namespace parley::host
