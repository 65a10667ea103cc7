// The broker has died: this process goes on, and joins the next one with what it holds.
//
//   (1) the agent sees the socket's end; calls that come now wait
//   (2) it connects to where the broker listens, shows the ledger, and claims what this process
//       knows of (Rejoin, Claims)
//   (3) the next broker answers once all have come: what waited is said again
// What the broker had been asked for and not answered is asked for again: the claims do not name
// what nobody here has heard of, so the next broker forgets it first; and a process that was
// spawned keeps the number of the call that it was asked for with.
#include <sys/socket.h>

#include "kernel-sim/host/broker_memory.h"
#include "kernel-sim/host/pending_call.h"
#include "kernel-sim/host/service.h"
#include "kernel-sim/host/wire_rejoin.h"

namespace parley::host {
namespace {

// How long calls wait for another broker: 5 s in which this process, too, has not stood still.
constexpr int kPatienceTries = 500;
constexpr size_t kClaimsPerPacket = 2048;

// Claims, as many to a packet as fit.
class ClaimPackets {
 public:
  // Without its descriptors, which may have run out, it is as if it had not been made.
  void Add(const Claim& claim, const UniqueFd* first = nullptr, const UniqueFd* second = nullptr) {
    Fds fds;
    for (const UniqueFd* fd : {first, second}) {
      if (fd == nullptr) continue;
      auto copy = Duplicate(*fd);
      if (!copy.ok()) return;
      fds.push_back(*std::move(copy));
    }
    if (packets_.empty() || claims_ == kClaimsPerPacket ||
        packets_.back().fds.size() + fds.size() > kMaxPacketFds) {
      packets_.push_back(Packet::Of(0, Claims{0}));
      claims_ = 0;
    }
    Packet& packet = packets_.back();
    packet.Append(&claim, sizeof(claim));
    for (UniqueFd& fd : fds) packet.fds.push_back(std::move(fd));
    ++claims_;
  }
  std::deque<Packet> Finish(uint32_t call) {
    packets_.push_back(Packet::Of(call, Claims{1}));
    return std::move(packets_);
  }

 private:
  std::deque<Packet> packets_;
  size_t claims_ = 0;  // in the last
};

}  // namespace

// -- (1)

void Process::OnBrokerLost() {
  if (away_tries_ == 0) away_tries_ = 1;
  Unwatch(broker_.get());
  unsaid_.clear();
  {
    Locked locked(broker_lock_);
    broker_is_ = BrokerIs::kAway;
    broker_.Reset();
  }
  TryToRejoin();
}

// -- (2)

// Now and then, until there is a broker again, or nobody listens where it did. The agent has others
// to look after, and waits for nothing here.
void Process::TryToRejoin() {
  if (away_tries_ > kPatienceTries) FailAllCalls();
  if (!broker_.valid()) ConnectAgain();
  while (!unsaid_.empty()) {
    const absl::Status sent = SendPacket(broker_, unsaid_.front(), MSG_DONTWAIT);
    if (ErrorOf(sent) == Error::kDeadline) return;
    if (!sent.ok()) return unsaid_.clear();  // its end is about to be seen
    unsaid_.pop_front();
  }
}

void Process::ConnectAgain() {
  // What a thread has been answered, and does not hold yet, could not be claimed.
  if (answers_in_use_.load() != 0) return;
  UniqueFd broker = ConnectToSame(start_.broker_address, start_.broker_listener);
  if (!broker.valid()) {
    if (errno == ECONNREFUSED || errno == ENOENT) GiveUpBroker();
    return;
  }
  {
    Locked locked(broker_lock_);
    rejoin_call_ = NextCall();
    broker_ = std::move(broker);
  }
  {
    Locked locked(lock_);
    unsaid_ = MakeClaims(rejoin_call_);
  }
  Watch(broker_.get(), AgentKey(AgentSource::kBroker));
}

// The lock is held.
std::deque<Packet> Process::MakeClaims(uint32_t call) const {
  ClaimPackets claims;
  for (const auto& [id, channel] : channels_) {
    if (channel->destroyed) continue;
    claims.Add({Raw(id), ClaimOf::kChannel, {0}});
    for (const auto& bell : channel->bells) {
      claims.Add({bell->number, ClaimOf::kBell, {0}}, &bell->descriptor, &bell->knocker);
    }
  }
  for (const auto& [number, connection] : connections_) {
    if (connection->dead) continue;
    for (const auto& link : connection->links) {
      claims.Add({number, ClaimOf::kLink, {link->first_bit}});
    }
  }
  for (const auto& [number, links] : served_connections_) {
    for (const ServedLink* link : links) {
      claims.Add({number, ClaimOf::kServedLink, {link->first_bit}});
    }
    for (const auto& [lend, lent] : links.front()->lends->lent) {
      claims.Add({number, ClaimOf::kServedLend, {lend}});
    }
  }
  for (const auto& link : served_) {
    if (link->event == 0 || link->detached) continue;
    claims.Add({link->event, ClaimOf::kServedEvent, {link->first_bit}}, &link->descriptor);
  }
  for (const auto& held : held_regions_) {
    if (!held->owner) {  // also one that has ended: the word of that may have been lost
      claims.Add({Raw(held->capability), ClaimOf::kGrant, {0}});
    } else if (IsLive(*held)) {
      const bool renewed = held->renewed.valid();
      claims.Add({Raw(held->capability), ClaimOf::kRegion, {renewed ? 1u : 0u}}, &held->memory,
                 renewed ? &held->renewed : nullptr);
    }
  }
  std::deque<Packet> packets = claims.Finish(call);
  auto rejoin = Zeroed<Rejoin>();
  rejoin.version = kWireVersion;
  rejoin.process = birth_.process;
  Packet first = Packet::Of(call, rejoin);
  for (const UniqueFd* own : {&page_descriptor_, &grants_descriptor_, &ledger_descriptor_}) {
    if (auto copy = Duplicate(*own); copy.ok()) first.fds.push_back(*std::move(copy));
  }
  packets.push_front(std::move(first));
  return packets;
}

// -- (3)

void Process::OnRejoined(const Packet& answer) {
  rejoin_call_ = 0;
  if (answer.As<Failed>()) return OnRefused();
  away_tries_ = 0;
  Locked locked(broker_lock_);
  broker_is_ = BrokerIs::kThere;
  calls_fail_ = false;
  for (Packet& packet : std::exchange(untold_, {})) SendPacket(broker_, packet).IgnoreError();
  for (auto& [number, call] : pending_) {
    SendPacket(broker_, *call->packet).IgnoreError();
  }
}

// It came too late: for all others it has ended, so it has no connection left.
void Process::OnRefused() {
  GiveUpBroker();
  Locked locked(lock_);
  std::vector<OutConnection*> connections;
  for (auto& [number, connection] : connections_) connections.push_back(connection.get());
  for (OutConnection* connection : connections) KillConnection(*connection, false);
  std::vector<uint32_t> served;
  for (auto& [number, links] : served_connections_) served.push_back(number);
  for (uint32_t number : served) DetachConnection(number);
  ApplyChanges();
}

// What is connected goes on without one.
void Process::GiveUpBroker() {
  if (broker_.valid()) Unwatch(broker_.get());
  away_tries_ = 0;
  {
    Locked locked(broker_lock_);
    broker_is_ = BrokerIs::kGone;
    broker_.Reset();
    untold_.clear();
  }
  FailAllCalls();
}

}  // namespace parley::host
