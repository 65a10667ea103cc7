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
//   6. What the users' quotas have given away is what is there.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "kernel-sim/core/capability.h"
#include "kernel-sim/host/broker_numbers.h"
#include "kernel-sim/host/broker_objects.h"
#include "kernel-sim/host/broker_rejoin.h"
#include "kernel-sim/host/packet.h"
#include "kernel-sim/refusals.h"

namespace parley::host {

// What the broker does to the world outside. Calls back nothing of the broker's from within.
class BrokerOutlet {
 public:
  virtual ~BrokerOutlet() = default;
  // In order, without waiting. To a peer that is gone it does nothing.
  virtual void Send(PeerId peer, Packet packet) = 0;
  // Whether it has left so much unread that little more may be sent to it. Beyond that little it is
  // lost; so what somebody else asks for, and it would have to be told of, is refused first.
  virtual bool IsBehind(PeerId peer) const = 0;
  // Closes the socket after what was sent. The broker has forgotten the peer.
  virtual void Drop(PeerId peer) = 0;
  // SIGKILL to the process that is or was behind this socket.
  virtual void Kill(PeerId peer, const UniqueFd& pidfd) = 0;
  // Unguessable, for tokens and tickets.
  virtual uint64_t Random() = 0;
  // Nanoseconds of CLOCK_MONOTONIC.
  virtual int64_t Now() = 0;
  // A line for whoever runs the broker.
  virtual void Warn(const std::string& line) = 0;
};

// What one process may hold, and what all processes of one user may together; beyond it,
// kQuotaExhausted. A user's are what keeps one of them from using up the broker for all.
struct BrokerLimits {
  size_t channels_per_process = 65536;
  size_t connections_per_process = 65536;
  size_t links_per_process = 65536;  // of all its connections
  size_t links_per_connection = 64;
  size_t lends_per_connection = 1024;  // each takes a descriptor of the server's
  size_t strangers_per_user = 1024;    // peers that have not said what they are; more are dropped
  size_t launchers_per_user = 2048;
  size_t processes_per_user = 8192;           // of its launchers, until reported as exited
  size_t argument_bytes_per_user = 64 << 20;  // of processes that have not joined yet
  size_t records_per_user = 1 << 20;          // channels, connections, events, grants
  size_t descriptors_per_user = 64 << 10;     // open in the broker, also for its sockets
  // Of one process's events: how many another has open, of the grant words it has for all.
  size_t opened_events_of_one_process = kGrantWords / 8;
  uint32_t last_number = 0;  // for tests: numbers (broker_numbers.h) begin after it
};

// Whose broker it is, by the pid of the launcher; 0: nobody's. The owner's name server is that of
// everybody who may have it, and nobody else starts one.
struct BrokerOwner {
  uint32_t pid = 0;
  bool serves_all = false;  // names are for every user, not only for the owner's and uid 0
};

// Which of its launcher's brokers it is. A later one finds the processes of those before it, and
// takes over what they held (broker_rejoin.cc).
struct BrokerLife {
  uint32_t reign = 0;  // 0: the first
  LedgerKey key = {};  // the same for all of them
};

class Broker {
 public:
  // `start_ns`: when the kernel started, CLOCK_MONOTONIC.
  Broker(BrokerOutlet& outlet, int64_t start_ns, const BrokerLimits& limits = {},
         const BrokerOwner& owner = {}, const BrokerLife& life = {});
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker();

  // A new socket. `credentials` are Linux's; its `process` is ignored.
  void OnPeer(PeerId peer, const Far& credentials, UniqueFd pidfd);
  // The next packet of a peer. Does nothing for one that is unknown, or gone.
  void OnPacket(PeerId peer, const Packet& packet);
  // Its socket is closed, or its process has died (R8, L1, L2). May come more than once.
  void OnGone(PeerId peer);

  // Processes of before are awaited: OnTick is to be called now and then, with how long has been
  // waited, and packets of strangers may carry descriptors.
  bool restoring() const { return restoring_; }
  bool TakesDescriptors(PeerId peer) const;
  void OnTick(int64_t waited_ns);

  // When it is 0 and every stranger has gone, invariants 1 and 6 leave the broker empty.
  size_t launchers() const { return launchers_; }
  // The owner was there, and is not any more.
  bool owner_gone() const { return owner_gone_; }
  void CheckInvariants() const;

 private:
  using Answer = absl::StatusOr<Packet>;  // its call number is filled in by the dispatch

  // With no padding that would tell a peer what stood there before.
  template <WireStruct T>
  static T Zeroed() {
    T body;
    std::memset(static_cast<void*>(&body), 0, sizeof(body));
    return body;
  }

  // broker.cc: peers, dispatch.
  bool Dispatch(PeerRecord& peer, const Packet& packet);  // false: it broke the protocol
  bool DispatchStranger(PeerRecord& peer, const Packet& packet);
  bool DispatchLauncher(PeerRecord& launcher, const Packet& packet);
  bool DispatchProcess(PeerRecord& peer, const Packet& packet);
  template <WireStruct T>
  bool Run(PeerRecord& peer, const Packet& packet,
           Answer (Broker::*handler)(ProcessRecord&, const T&));
  void Conclude(const PeerRecord& peer, uint32_t call, Answer answer);
  absl::Status CheckKeepsUp(const ProcessRecord& told) const;
  void DropPeer(PeerRecord& peer);
  void ForgetPeer(PeerRecord& peer);
  template <WireStruct T>
  void Notify(const ProcessRecord& process, const T& notice, Fds fds = {},
              std::string_view tail = {});

  // broker_processes.cc
  bool OnBecomeLauncher(PeerRecord& peer, const Packet& packet);
  bool OnJoin(PeerRecord& peer, const Packet& packet);
  absl::StatusOr<ProcessRecord*> Admit(const PeerRecord& peer, const Join& join);
  bool AnswerJoin(ProcessRecord& process);
  ProgramSet& NamesOf(ProgramSet& set);
  bool AwaitsNames(const ProcessRecord& process);
  void WelcomeWaiting();
  Answer Welcome(ProcessRecord& process);
  absl::Status ConnectToNames(ProcessRecord& process, Joined& joined, Fds& fds);
  absl::Status MakeNameChannel(ProcessRecord& process, Joined& joined, Fds& fds);
  bool OnSpawn(const PeerRecord& maker, const Packet& packet);
  absl::StatusOr<ProcessRecord*> MakeProcess(const PeerRecord& maker, const Spawn& spawn,
                                             const std::vector<std::string>& strings,
                                             const Launch* before = nullptr);
  absl::Status CheckSpawn(const PeerRecord& maker, const Spawn& spawn,
                          const std::vector<std::string>& strings) const;
  bool OnLaunched(const PeerRecord& launcher, const Packet& packet);
  bool OnKill(const PeerRecord& by, const Packet& packet);
  absl::Status KillProcess(const PeerRecord& by, ProcessId target);
  bool OnExited(const PeerRecord& launcher, const Packet& packet);
  absl::Status BookExit(const ProgramSet& set, const Exited& exited, std::string_view reason);
  void EndProcess(ProcessRecord& process);
  void EndSet(ProgramSet& set);
  void EraseProcess(ProcessRecord& process);
  ProcessRecord* FindProcess(ProcessId id);  // alive, of any set

  // broker_channels.cc
  bool OnMakeChannel(ProcessRecord& owner, const Packet& packet);
  absl::StatusOr<ChannelRecord*> AddChannel(ProcessRecord& owner, std::string_view name, Fds& fds);
  Answer OnDestroyChannel(ProcessRecord& owner, const DestroyChannel& call);
  Answer OnGrantChannel(ProcessRecord& owner, const GrantChannel& call);
  Answer OnConnect(ProcessRecord& client, const Connect& call);
  Answer OnExtend(ProcessRecord& client, const Extend& call);
  Answer OnDisconnect(ProcessRecord& client, const Disconnect& call);
  Answer OnTurnAway(ProcessRecord& server, const TurnAway& call);
  absl::StatusOr<ConnectionRecord*> MakeConnection(ProcessRecord& client, ChannelRecord& channel,
                                                   const Capability* capability,
                                                   Connected& connected, Fds& fds);
  absl::Status AddLink(ConnectionRecord& connection, Connected& connected, Fds& fds);
  void EndChannel(ChannelRecord& channel);
  void CutConnection(ConnectionRecord& connection, bool revoked);
  void CloseConnection(ConnectionRecord& connection);
  ChannelRecord* FindChannel(uint64_t id);
  ChannelRecord* FindOwnChannel(const ProcessRecord& owner, ChannelId id);
  ConnectionRecord* FindOwnConnection(const ProcessRecord& client, uint32_t number);

  // broker_bells.cc
  absl::StatusOr<std::unique_ptr<BellRecord>> MakeBell(const ProcessRecord& owner, uint32_t uid);
  absl::StatusOr<BellPlace> FindPlace(const ChannelRecord& channel, uint32_t uid,
                                      std::unique_ptr<BellRecord>& fresh);
  void TakePlace(ChannelRecord& channel, const BellPlace& place, std::unique_ptr<BellRecord> fresh);
  static void FreePlaces(ConnectionRecord& connection);
  static absl::Status AppendBell(const BellRecord& bell, Fds& fds);

  // broker_events.cc
  Answer OnRegisterEvent(ProcessRecord& owner, const RegisterEvent& call);
  Answer OnOpenEvent(ProcessRecord& target, const OpenEvent& call);
  absl::Status AttachEvent(EventRecord& event);
  void ForgetEvent(uint64_t number);

  // broker_capabilities.cc
  Answer OnDelegate(ProcessRecord& granter, const Delegate& call);
  Answer OnRevoke(ProcessRecord& by, const Revoke& call);
  Answer Grant(CapabilityId from, const ProcessRecord& granter, ProcessId holder,
               const Extent& extent);
  void EndCapabilities(const std::vector<CapabilityId>& killed);
  absl::StatusOr<uint32_t> TakeWord(ProcessRecord& process, uint64_t value);
  static void ClearWord(ProcessRecord& process, uint32_t word);
  Token DrawToken();

  // broker_regions.cc
  Answer OnMakeRegion(ProcessRecord& owner, const MakeRegion& call);
  Answer OnGrantRegion(ProcessRecord& granter, const GrantRegion& call);
  Answer OnRedeem(ProcessRecord& holder, const Redeem& call);
  Answer OnRenewRegion(ProcessRecord& owner, const RenewRegion& call);
  Answer OnCommitRegion(ProcessRecord& owner, const CommitRegion& call);
  Answer OnCloseRegion(ProcessRecord& holder, const CloseRegion& call);
  absl::Status Freeze(RegionRecord& region);
  void EndGrants(RegionRecord& region);
  void EndRegion(RegionRecord& region);
  struct Outgoing {
    const ProcessRecord* to;
    Packet packet;
  };
  absl::StatusOr<std::vector<Outgoing>> PrepareFreeze(const RegionRecord& region);
  // A live capability of the holder over a region, and the region.
  struct Held {
    const Capability* capability;
    RegionRecord* region;
  };
  absl::StatusOr<Held> FindHeld(const ProcessRecord& holder, CapabilityId capability);
  absl::StatusOr<RegionRecord*> FindOwned(const ProcessRecord& owner, CapabilityId capability);
  RegionRecord* FindRegion(uint64_t id);
  static Answer DescribeToOwner(const RegionRecord& region, UniqueFd memory);
  absl::StatusOr<UniqueFd> MemoryFor(const RegionRecord& region, const ProcessRecord& reader,
                                     Rights rights);

  // broker_lends.cc
  Answer OnLend(ProcessRecord& lender, const Lend& call);
  static Packet MakeLent(uint32_t connection, uint32_t lend, const RegionRecord& region,
                         Rights rights);
  using LendKey = std::pair<uint32_t, RegionId>;
  struct Before {
    uint32_t number;
    Rights rights;
  };
  using LentBefore = std::map<LendKey, Before>;
  void EndLends(CapabilityId capability, const std::set<LendKey>& lends, LentBefore& before);
  void TellLendsEnded(const LentBefore& before);
  void ForgetLendsOver(ConnectionRecord& connection);

  Answer OnCatchUp(ProcessRecord& asker, const CatchUp& call);  // broker.cc

  // broker_ledger.cc
  absl::Status OpenLedger(ProcessRecord& process, const UniqueFd& page, const UniqueFd& grants,
                          Fds& fds);
  void Enter(ChannelRecord& channel, CapabilityId root, bool is_names);
  void Enter(const ChannelRecord& channel, BellRecord& bell);
  void Enter(ConnectionRecord& connection, const BellPlace& place);
  void Enter(const Capability& granted, const ProcessRecord& granter, Dependents& dependents);
  void Enter(RegionRecord& region);
  void Enter(EventRecord& event);

  // broker_rejoin.cc
  bool OnAdopt(PeerRecord& launcher, const Packet& packet);
  absl::Status AdoptProcess(PeerRecord& launcher, const Adopt& adopt,
                            const std::vector<std::string>& strings);
  using EarlyPackets = std::vector<std::pair<PeerId, std::vector<std::byte>>>;
  void TakeEarly(EarlyPackets& early);
  bool OnRejoin(PeerRecord& peer, const Packet& packet);
  absl::Status ReadLedger(PeerRecord& peer, const Rejoin& rejoin, const Packet& packet);
  void EndLate(uint32_t pid, ProcessId id);
  bool OnClaims(PeerRecord& peer, const Packet& packet);
  static void TakeClaim(Rejoining& by, const Claim& claim, UniqueFd first, UniqueFd second);
  PeerRecord* FindRejoined(const ProcessRecord& process) const;
  bool AllHaveCome() const;
  std::string WhoHasNotCome() const;
  void RestoreIfComplete();

  // broker_restore.cc
  class Restoration;
  void Restore();

  // broker_deadlock.cc
  Answer OnFindDeadlock(ProcessRecord& asker, const FindDeadlock& call);

  // broker_look.cc
  bool OnLook(const PeerRecord& peer, const Packet& packet);
  const ProcessRecord* NextVisible(const PeerRecord& to, ProcessId from) const;
  LookedThread ReadThread(const ProcessRecord& process, const ThreadEntry& entry) const;

  void CheckProcesses() const;
  void CheckBells() const;
  void CheckDependents() const;
  void CheckShares() const;

  BrokerOutlet& outlet_;
  const int64_t start_ns_;
  const BrokerLimits limits_;
  const BrokerOwner owner_;
  const BrokerLife life_;

  // Before all that has shares in them.
  UserQuota strangers_, launcher_quota_, process_quota_, argument_bytes_, record_quota_,
      descriptors_;
  absl::flat_hash_map<PeerId, std::unique_ptr<PeerRecord>> peers_;
  absl::flat_hash_map<ProcessId, std::unique_ptr<ProcessRecord>> processes_;
  absl::flat_hash_map<uint64_t, ProcessId> tickets_;
  absl::flat_hash_set<uint32_t> bells_in_use_;  // numbers; before those who have them
  absl::flat_hash_map<ChannelId, std::unique_ptr<ChannelRecord>> channels_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<ConnectionRecord>> connections_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<EventRecord>> events_;
  absl::flat_hash_map<RegionId, std::unique_ptr<RegionRecord>> regions_;
  CapabilityTable capabilities_;
  absl::flat_hash_map<CapabilityId, Dependents> dependents_;
  size_t launchers_ = 0;
  ProgramSet* owner_set_ = nullptr;  // while the owner is there
  bool owner_gone_ = false;
  bool restoring_;
  int64_t waited_ns_ = 0;  // for those who are to rejoin
  // Of the last broker's spawns, as long as their makers may ask again.
  absl::flat_hash_map<std::tuple<const ProgramSet*, ProcessId, uint32_t>, ProcessId> adopted_calls_;
  EarlyPackets early_joins_, early_exits_;  // while restoring: for processes to be adopted
  absl::flat_hash_map<ProcessId, PeerRecord*> rejoined_;  // while restoring

  Numbers process_numbers_, channel_numbers_, bell_numbers_, connection_numbers_, region_numbers_;
  Numbers lend_numbers_;     // each is one connection's
  uint64_t last_value_ = 0;  // of grant words, and so of events; the last that was used

  friend class DeadlockSearch;
};

template <WireStruct T>
void Broker::Notify(const ProcessRecord& process, const T& notice, Fds fds, std::string_view tail) {
  if (process.stage != ProcessRecord::Stage::kJoined) return;
  Packet packet = Packet::Of(0, notice, tail);
  packet.fds = std::move(fds);
  outlet_.Send(process.peer->id, std::move(packet));
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_H_
