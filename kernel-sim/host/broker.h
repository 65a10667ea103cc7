// The broker as a state machine: what packets of processes do to processes, channels, connections,
// events, regions and capabilities.
//
// It makes memory and descriptors, and neither blocks nor touches a socket: what is to be sent goes
// through its outlet. Everything that a peer says is checked here; a refusal comes before the first
// change. A peer that breaks the protocol is dropped, and nobody else notices. Not thread-safe; one
// thread owns it.
//
// Invariants (CheckInvariants):
//   1. A record is listed by whoever it belongs to, and nothing lists one that is gone.
//   2. The taken bits of a bell are those of the live links and opened events of its channel, each
//      of exactly one; they are its clients' of the bell's own user.
//   3. What rests on a capability (Dependents) rests on a live one.
//   4. A word of a grant page is not 0 only while its capability lives. Its value is never used
//      again, by grants nor by events.
//   5. An ended process holds nothing, and nothing is sent to it.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "kernel-sim/core/capability.h"
#include "kernel-sim/host/broker_objects.h"
#include "kernel-sim/host/packet.h"

namespace parley::host {

// What the broker does to the world outside. Calls back nothing of the broker's from within.
class BrokerOutlet {
 public:
  virtual ~BrokerOutlet() = default;
  // In order, without waiting. To a peer that is gone it does nothing.
  virtual void Send(PeerId peer, Packet packet) = 0;
  // Closes the socket after what was sent. The broker has forgotten the peer.
  virtual void Drop(PeerId peer) = 0;
  // SIGKILL to the peer's process, by its pidfd.
  virtual void Kill(PeerId peer) = 0;
  // Unguessable, for tokens and tickets.
  virtual uint64_t Random() = 0;
};

// What one process may hold; beyond it, kQuotaExhausted.
struct BrokerLimits {
  size_t channels_per_process = 65536;
  size_t connections_per_process = 65536;
  size_t links_per_process = 65536;  // of all its connections
  size_t links_per_connection = 64;
  size_t processes_per_set = 32768;  // that have not been reported as exited
  size_t strangers_per_user = 1024;  // peers that have not said what they are; more are dropped
};

class Broker {
 public:
  // `start_ns`: when the kernel started, CLOCK_MONOTONIC.
  Broker(BrokerOutlet& outlet, int64_t start_ns, const BrokerLimits& limits = {});
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker();

  // A new socket. `credentials` are Linux's; its `process` is ignored.
  void OnPeer(PeerId peer, const Far& credentials, UniqueFd pidfd);
  // The next packet of a peer. Does nothing for one that is unknown, or gone.
  void OnPacket(PeerId peer, const Packet& packet);
  // Its socket is closed, or its process has died (R8, L1, L2). May come more than once.
  void OnGone(PeerId peer);

  size_t launchers() const { return launchers_; }
  void CheckInvariants() const;

 private:
  using Answer = absl::StatusOr<Packet>;  // its call number is filled in by the dispatch

  // broker.cc: peers, dispatch.
  bool Dispatch(PeerRecord& peer, const Packet& packet);  // false: it broke the protocol
  bool DispatchStranger(PeerRecord& peer, const Packet& packet);
  std::optional<bool> DispatchRegion(PeerRecord& peer, const Packet& packet);
  template <WireStruct T, typename Handler>
  bool Run(PeerRecord& peer, const Packet& packet, Handler handler);
  void Conclude(const PeerRecord& peer, uint32_t call, Answer answer);
  void DropPeer(PeerRecord& peer);
  void ForgetPeer(PeerRecord& peer);
  template <WireStruct T>
  void Notify(const ProcessRecord& process, const T& notice, Fds fds = {},
              std::string_view tail = {});

  // broker_processes.cc
  bool OnBecomeLauncher(PeerRecord& peer, const Packet& packet);
  bool OnJoin(PeerRecord& peer, const Packet& packet);
  absl::StatusOr<ProcessRecord*> Admit(const PeerRecord& peer, const Join& join);
  void AnswerJoin(ProcessRecord& process);
  Answer Welcome(ProcessRecord& process);
  absl::Status ConnectToNames(ProcessRecord& process, Joined& joined, Fds& fds);
  absl::Status MakeNameChannel(ProcessRecord& process, Joined& joined, Fds& fds);
  void OnSpawn(PeerRecord& peer, uint32_t call, const Spawn& spawn, std::string_view tail);
  absl::StatusOr<ProcessRecord*> MakeProcess(const PeerRecord& maker, const Spawn& spawn,
                                             const std::vector<std::string>& strings);
  absl::Status CheckSpawn(const PeerRecord& maker, const Spawn& spawn,
                          const std::vector<std::string>& strings) const;
  Answer OnKill(const PeerRecord& peer, const Kill& kill);
  Answer OnExited(const PeerRecord& peer, const Exited& exited, std::string_view reason);
  void EndProcess(ProcessRecord& process);
  void EndSet(ProgramSet& set);
  void EraseProcess(ProcessRecord& process);
  ProcessRecord* FindProcess(ProcessId id);  // alive, of any set

  // broker_channels.cc
  Answer OnMakeChannel(ProcessRecord& owner, std::string_view name);
  absl::StatusOr<ChannelRecord*> MakeChannel(ProcessRecord& owner, std::string_view name, Fds& fds);
  Answer OnDestroyChannel(const ProcessRecord& owner, const DestroyChannel& call);
  Answer OnGrantChannel(const ProcessRecord& owner, const GrantChannel& call);
  Answer OnDelegate(const ProcessRecord& granter, const Delegate& call);
  Answer OnRevoke(const ProcessRecord& by, const Revoke& call);
  Answer OnConnect(ProcessRecord& client, const Connect& call);
  Answer OnExtend(const ProcessRecord& client, const Extend& call);
  Answer OnDisconnect(const ProcessRecord& client, const Disconnect& call);
  absl::StatusOr<ConnectionRecord*> MakeConnection(ProcessRecord& client, ChannelRecord& channel,
                                                   const Capability* capability,
                                                   Connected& connected, Fds& fds);
  absl::Status AddLink(ConnectionRecord& connection, Connected& connected, Fds& fds);
  void EndChannel(ChannelRecord& channel);
  void RevokeConnection(ConnectionRecord& connection);
  void CloseConnection(ConnectionRecord& connection);
  ChannelRecord* FindChannel(uint64_t id);
  ChannelRecord* FindOwnChannel(const ProcessRecord& owner, ChannelId id);
  ConnectionRecord* FindOwnConnection(const ProcessRecord& client, uint32_t number);

  // broker_bells.cc
  absl::StatusOr<std::unique_ptr<BellRecord>> MakeBell(uint32_t uid);
  // Where the next link of this user rings; `fresh` is a bell that the channel does not have yet.
  absl::StatusOr<BellPlace> FindPlace(const ChannelRecord& channel, uint32_t uid,
                                      std::unique_ptr<BellRecord>& fresh);
  void TakePlace(ChannelRecord& channel, const BellPlace& place,
                 std::unique_ptr<BellRecord> fresh);
  static void FreePlaces(ConnectionRecord& connection);
  static absl::Status AppendBell(const BellRecord& bell, Fds& fds);

  // broker_events.cc
  Answer OnRegisterEvent(const ProcessRecord& owner, const RegisterEvent& call);
  Answer OnOpenEvent(ProcessRecord& target, const OpenEvent& call);
  absl::Status AttachEvent(EventRecord& event);
  void ForgetEvent(uint64_t number);

  // broker_capabilities.cc
  absl::StatusOr<Token> Grant(CapabilityId from, const ProcessRecord& granter, ProcessId holder,
                              const Extent& extent);
  void EndCapabilities(const std::vector<CapabilityId>& killed);
  absl::StatusOr<uint32_t> TakeWord(ProcessRecord& process, uint64_t value);
  static void ClearWord(ProcessRecord& process, uint32_t word);
  absl::StatusOr<uint32_t> NextNumber(uint32_t& last);
  Token DrawToken();

  // broker_regions.cc
  Answer OnMakeRegion(ProcessRecord& owner, const MakeRegion& call);
  Answer OnGrantRegion(const ProcessRecord& granter, const GrantRegion& call);
  Answer OnRedeem(ProcessRecord& holder, const Redeem& call);
  Answer OnRenewRegion(const ProcessRecord& owner, const RenewRegion& call);
  Answer OnCommitRegion(const ProcessRecord& owner, const CommitRegion& call);
  Answer OnCloseRegion(ProcessRecord& holder, const CloseRegion& call);
  absl::Status Freeze(RegionRecord& region);
  void Reclaim(RegionRecord& region);
  void EndRegion(RegionRecord& region);
  // A live capability of the holder over a region, and the region.
  struct Held {
    const Capability* capability;
    RegionRecord* region;
  };
  absl::StatusOr<Held> FindHeld(const ProcessRecord& holder, CapabilityId capability);
  absl::StatusOr<RegionRecord*> FindOwned(const ProcessRecord& owner, CapabilityId capability);
  RegionRecord* FindRegion(uint64_t id);
  static Answer DescribeRegion(const RegionRecord& region, const Capability& capability,
                               const UniqueFd& memory, uint32_t word, uint64_t value);
  absl::StatusOr<UniqueFd> MemoryFor(const RegionRecord& region, const ProcessRecord& reader,
                                     Rights rights);

  // broker_lends.cc
  Answer OnLend(const ProcessRecord& lender, const Lend& call);
  absl::Status SendLent(const ConnectionRecord& connection, const RegionRecord& region,
                        Rights rights);
  using LendKey = std::pair<uint32_t, RegionId>;
  void EndLends(CapabilityId capability, const std::set<LendKey>& lends,
                std::map<LendKey, Rights>& before);
  void TellLendsEnded(const std::map<LendKey, Rights>& before);
  void ForgetLendsOver(ConnectionRecord& connection);

  // broker_deadlock.cc
  Answer OnFindDeadlock(const ProcessRecord& asker, const FindDeadlock& call);

  void CheckProcesses() const;
  void CheckBells() const;
  void CheckDependents() const;

  BrokerOutlet& outlet_;
  const int64_t start_ns_;
  const BrokerLimits limits_;

  absl::flat_hash_map<PeerId, std::unique_ptr<PeerRecord>> peers_;
  absl::flat_hash_map<uint32_t, size_t> strangers_;  // by uid
  absl::flat_hash_map<ProcessId, std::unique_ptr<ProcessRecord>> processes_;
  absl::flat_hash_map<uint64_t, ProcessId> tickets_;
  absl::flat_hash_map<ChannelId, std::unique_ptr<ChannelRecord>> channels_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<ConnectionRecord>> connections_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<EventRecord>> events_;
  absl::flat_hash_map<RegionId, std::unique_ptr<RegionRecord>> regions_;
  CapabilityTable capabilities_;
  absl::flat_hash_map<CapabilityId, Dependents> dependents_;
  size_t launchers_ = 0;

  // The last of each that was used.
  uint32_t last_process_ = 0, last_channel_ = 0, last_bell_ = 0, last_connection_ = 0;
  uint32_t last_region_ = 0;
  uint64_t last_value_ = 0;  // of grant words, and so of events

  friend class DeadlockSearch;
};

inline absl::Status Refuse(Error error) { return MakeError(error, Describe(error)); }

template <WireStruct T>
void Broker::Notify(const ProcessRecord& process, const T& notice, Fds fds,
                    std::string_view tail) {
  if (process.stage != ProcessRecord::Stage::kJoined) return;
  Packet packet = Packet::Of(0, notice, tail);
  packet.fds = std::move(fds);
  outlet_.Send(process.peer->id, std::move(packet));
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_H_
