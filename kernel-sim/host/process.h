// The kernel as one process of the host has it: its calls, and its agent.
//
// Calls run in the caller's own thread. One priority-inheriting lock guards what the process holds
// (objects.h); the shared memory of a link or bell needs none. What a call has to ask the broker
// for, it asks without holding the lock. The agent is a thread of the kernel's own, above every
// other: it takes what the broker has to say, sees far processes die, fires timers, and looks at
// the bells when a client knocks because all who serve run below it (P4).
//
// A call made after the process has begun to end throws ProcessEnded, or returns kProcessEnded
// while that is on its way.
#ifndef PARLEY_KERNEL_SIM_HOST_PROCESS_H_
#define PARLEY_KERNEL_SIM_HOST_PROCESS_H_

#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "kernel-sim/core/priority.h"
#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/objects.h"
#include "kernel-sim/host/packet.h"
#include "kernel-sim/host/priority_lock.h"
#include "kernel-sim/host/process_main.h"
#include "kernel-sim/host/tracer.h"
#include "kernel-sim/host/weak_map.h"
#include "kernel-sim/refusals.h"

namespace parley::host {

// Thrown through a program to end its threads.
struct ProcessEnded {};

class Process final : public Kernel {
 public:
  explicit Process(ProcessStart start) : start_(std::move(start)) {}

  // Joins, and starts the agent. The calling thread is the main thread from then on.
  absl::Status Join();
  absl::StatusOr<Packet> AskToJoin(const Packet& join);

  // From now on a touch of a region beyond its rights is told by name (faults.cc).
  void CatchFaults();
  void EndIfOfRegion(const void* address, const char* deed);  // a fault; returns if it is none
  // Says farewell and leaves, whatever the other threads do.
  [[noreturn]] void End(ExitKind kind, int code, std::string_view reason);
  [[noreturn]] void EndByException(std::exception_ptr thrown);

  // kernel.h, in its order.
  const Birth& birth() const override { return birth_; }
  int64_t Now() override { return MonotonicNs() - start_ns_; }
  int64_t WallNow() override;
  void Compute(int64_t cpu_ns) override;
  void Charge(int64_t cpu_ns) override;
  absl::Status SleepUntil(int64_t wake_ns) override;
  void Yield() override;
  void Count(std::string_view counter, int64_t delta) override;
  void Mark(std::string_view remark) override;

  absl::StatusOr<ThreadHandle> ThreadSpawn(const ThreadOptions& options, void (*entry)(void*),
                                           void* argument) override;
  absl::Status ThreadJoin(ThreadHandle thread, int64_t deadline_ns) override;
  absl::Status ThreadCancel(ThreadHandle thread) override;
  absl::Status ThreadSetScheduling(ThreadHandle thread, const Scheduling& scheduling) override;
  absl::StatusOr<int> ThreadPriority(ThreadHandle thread) override;
  void ThreadClose(ThreadHandle thread) noexcept override;
  void ThreadEnd(ThreadHandle thread) noexcept override;
  void EndOtherThreads() noexcept override;
  absl::StatusOr<ChildHandle> ProcessSpawn(std::string_view program,
                                           const ProcessOptions& options) override;
  absl::StatusOr<ExitStatus> ProcessWait(ChildHandle child, int64_t deadline_ns) override;
  absl::Status ProcessKill(ChildHandle child) override;
  absl::StatusOr<ProcessId> ProcessIdOf(ChildHandle child) override;
  void ProcessClose(ChildHandle child) noexcept override;

  absl::StatusOr<ChannelHandle> ChannelCreate(const ChannelOptions& options) override;
  void ChannelDestroy(ChannelHandle channel) noexcept override;
  absl::StatusOr<Token> ChannelGrant(ChannelHandle channel, ProcessId holder, uint64_t badge,
                                     int ceiling, Rights rights) override;
  absl::StatusOr<Token> TokenDelegate(const Token& token, ProcessId holder, Rights rights) override;
  absl::Status TokenRevoke(const Token& token) override;
  absl::StatusOr<ConnectionHandle> Connect(const Token& token, ChannelHandle death,
                                           uint64_t cookie) override;
  void Disconnect(ConnectionHandle connection) noexcept override;
  absl::StatusOr<ProcessId> ServerOf(ConnectionHandle connection) override;

  absl::StatusOr<SendResult> Send(ConnectionHandle connection,
                                  const SendArguments& arguments) override;
  absl::Status Receive(ChannelHandle channel, MutableParts buffer, int64_t deadline_ns,
                       ReceiveResult& result) override;
  absl::StatusOr<uint64_t> Reply(MessageHandle message, ConstParts reply) override;
  absl::Status ReplyError(MessageHandle message, absl::StatusCode code,
                          std::string_view text) override;
  void MessageDrop(MessageHandle message) noexcept override;
  absl::StatusOr<uint64_t> MessageRead(MessageHandle message, uint64_t offset,
                                       MutableParts destination) override;
  absl::StatusOr<uint64_t> MessageWrite(MessageHandle message, uint64_t offset,
                                        ConstParts source) override;
  absl::StatusOr<MessageInfo> MessageGetInfo(MessageHandle message) override;
  absl::StatusOr<Mapping> MessageLease(MessageHandle message, uint32_t index) override;
  absl::StatusOr<Direction> MessageLeaseDirection(MessageHandle message, uint32_t index) override;

  absl::Status PulseSend(ConnectionHandle connection, const PulseSpec& pulse) override;
  absl::StatusOr<Token> EventRegister(ChannelHandle channel, const PulseSpec& pulse, bool any_value,
                                      ConnectionHandle target) override;
  absl::Status EventDeliver(const Token& event, std::optional<uint64_t> value) override;
  absl::StatusOr<TimerHandle> TimerCreate(ChannelHandle channel, const PulseSpec& pulse) override;
  absl::Status TimerArm(TimerHandle timer, int64_t first_ns, int64_t period_ns) override;
  void TimerDestroy(TimerHandle timer) noexcept override;
  absl::StatusOr<WatchHandle> DescriptorWatch(ChannelHandle channel, int descriptor,
                                              Readiness readiness, int priority) override;
  absl::Status WatchRearm(WatchHandle watch) override;
  void WatchClose(WatchHandle watch) noexcept override;

  absl::StatusOr<MutexHandle> MutexCreate() override;
  absl::Status MutexLock(MutexHandle mutex, int64_t deadline_ns) override;
  absl::Status MutexUnlock(MutexHandle mutex) override;
  void MutexDestroy(MutexHandle mutex) noexcept override;
  absl::StatusOr<CondVarHandle> CondVarCreate() override;
  absl::Status CondVarWait(CondVarHandle condition, MutexHandle mutex,
                           int64_t deadline_ns) override;
  absl::Status CondVarSignal(CondVarHandle condition, bool all) override;
  void CondVarDestroy(CondVarHandle condition) noexcept override;

  absl::StatusOr<Mapping> RegionCreate(uint64_t bytes, const RegionOptions& options) override;
  absl::StatusOr<Token> RegionGrant(RegionHandle region, ProcessId holder, uint64_t offset,
                                    uint64_t length, Rights rights) override;
  absl::StatusOr<Mapping> RegionRedeem(const Token& token) override;
  absl::Status RegionFreeze(RegionHandle region) override;
  absl::StatusOr<Mapping> RegionReclaim(RegionHandle region) override;
  absl::Status RegionCheck(RegionHandle region) override;
  void RegionClose(RegionHandle region) noexcept override;

 private:
  // -- Entering and leaving a call (process.cc)
  static HostThread& current() {
    PARLEY_CHECK(t_current_ != nullptr);
    return *t_current_;
  }
  bool MayEnter() const { return !IsForked() && !ending_.load(std::memory_order_relaxed); }
  absl::Status Enter();                         // may throw ProcessEnded
  bool EnterQuietly() noexcept;                 // for calls that destructors make
  absl::Status EnterFromDestructor() noexcept;  // the same, for calls that say what went wrong
  bool IsOver(const HostThread& thread) const {
    return ending_.load(std::memory_order_relaxed) && &thread != ender_;
  }
  absl::Status Leave(absl::Status status);  // of a call that has blocked; may throw ProcessEnded
  // Applies what inheritance has changed: Linux priorities, sends in flight, served levels.
  void ApplyChanges() {
    if (!inheritance_.changed().empty()) ApplyWhatChanged();
  }
  void ApplyWhatChanged();
  void ApplyPriority(HostThread& thread);
  void ShowSendLevel(HostThread& thread);
  void TellLinux(HostThread& thread);
  void ShowLevels(HostThread& thread, absl::InlinedVector<HostChannel*, 4>& lowered);
  bool UpdateServedLevel(HostChannel& channel);
  int64_t ToMonotonic(int64_t deadline_ns) const;
  void ShowState(HostThread& thread, ThreadState state, uint32_t blocked_on = 0);

  // -- Waiting for something inside the process (process.cc). All with the lock held.
  // Sleeps until Grant, the deadline or a cancel, and returns what it got.
  absl::Status Block(HostThread& thread, ThreadState state, uint32_t blocked_on,
                     int64_t deadline_ns) ABSL_NO_THREAD_SAFETY_ANALYSIS;  // lets go of it
  void Grant(HostThread& thread, absl::Status status);
  void Nudge(HostThread& thread);
  // Relaxed: whoever cancels nudges afterwards.
  static bool TakeCancel(HostThread& thread) {
    return thread.cancel_pending.load(std::memory_order_relaxed) &&
           thread.cancel_pending.exchange(false);
  }

  // -- Threads (calls_thread.cc)
  HostThread* MakeThread(const Scheduling& scheduling, std::string name);
  void BecomeThread(HostThread& thread);
  void EndThread(HostThread& thread);
  void ForgetIfUnnamed(HostThread& thread);
  static void* RunThread(void* argument);
  void Say(ExitKind kind, int code, std::string_view reason);
  int StartLinuxThread(pthread_t& thread, int linux_priority, void* (*entry)(void*),
                       void* argument) const;

  // -- Mutexes (calls_sync.cc)
  absl::Status WaitForMutex(HostThread& thread, HostMutex& mutex, int64_t deadline_ns);
  absl::Status LockAgain(HostThread& thread, MutexHandle handle);
  void HandOver(HostMutex& mutex);
  void AbandonMutex(Mutex& mutex);
  void WakeOne(CondVar& condition, absl::Status status);
  absl::Status RefuseLocalDeadlock(HostThread& thread, Thread& waits_for);

  // -- The broker (broker_call.cc)
  // With no padding that would tell the broker what stood there before.
  template <WireStruct T>
  static T Zeroed() {
    T body;
    std::memset(static_cast<void*>(&body), 0, sizeof(body));
    return body;
  }
  absl::StatusOr<Packet> Ask(Packet packet);
  template <WireStruct T>
  absl::StatusOr<Packet> Ask(const T& call, std::string_view tail = {}) {
    return Ask(Packet::Of(0, call, tail));
  }
  void TellBroker(Packet packet);  // answered too, but nobody waits
  void OnAnswer(Packet packet);
  void FailAllCalls();
  uint32_t NextCall();
  struct PendingCall;
  static void Settle(PendingCall& call, absl::StatusOr<Packet> answer);
  // -- Its restart (rejoin.cc)
  void OnBrokerLost();
  void TryToRejoin();
  void ConnectAgain();
  std::deque<Packet> MakeClaims(uint32_t call) const;
  void OnRejoined(const Packet& answer);
  void OnRefused();
  void GiveUpBroker();

  // -- The agent (agent.cc)
  enum class AgentSource : uint8_t { kBroker, kTimers, kKnocker, kFarProcess, kDescriptor };
  static uint64_t AgentKey(AgentSource source, uint32_t number = 0) {
    return static_cast<uint64_t>(source) << 32 | number;
  }
  absl::Status PrepareAgent();
  absl::Status StartAgent();
  absl::Status MeetNames(const Joined& joined, Packet& answer);
  static void* RunAgent(void* process);
  void AgentLoop();
  void Watch(int fd, uint64_t key);
  void Unwatch(int fd);
  bool OnBrokerReadable();
  void OnNotice(Packet packet);
  void OnAttached(Packet packet);
  void OnEventAttached(Packet packet);
  void OnChildEnded(const Packet& packet);
  void OnFarDeath(ProcessId process);
  void OnKnock(uint32_t bell);
  FarPointer KnowFar(const Far& far, UniqueFd pidfd);

  // -- Channels (calls_channel.cc)
  absl::StatusOr<ChannelHandle> AddChannel(ChannelId id, uint32_t bell,
                                           const ChannelOptions& options, Fds& fds);

  // -- As a client: connections.cc
  std::shared_ptr<OutBell> MapOutBell(uint32_t number, const UniqueFd& memory, UniqueFd knocker);
  absl::Status OnConnected(Packet& packet);
  absl::Status AddLink(OutConnection& connection, const Connected& connected, Packet& packet);
  void ForgetIfUnused(OutConnection& connection);
  void KillConnection(OutConnection& connection, bool revoked);
  static void RingOut(const OutBell& bell, uint32_t bit, int level);
  static void Knock(const UniqueFd& knocker);

  // -- send.cc
  struct Sending;
  absl::Status BeginSend(Sending& send, ConnectionHandle connection);
  static bool ClaimSlot(OutConnection& connection, OutSlot& claimed);
  absl::Status Submit(Sending& send);
  absl::Status AwaitReply(Sending& send);
  void WaitAwake(Sending& send);
  absl::Status LookForDeadlock(Sending& send);
  absl::Status LeaveSend(Sending& send, Error before_receive, Error after_receive);
  static absl::Status TakeAnswer(const Sending& send, SendResult& result);
  void EndSend(Sending& send, bool answered);
  static bool IsServerGone(const Sending& send, uint32_t answer);
  static void KnockOnce(Sending& send);
  absl::Status LeaveInTime(Sending& send, bool cancelled);

  // -- lends.cc
  // What has to be lent before a reference is good.
  struct MissingLend {
    RegionHandle region;
    uint32_t reclaims;  // of the region, when it was found missing
    Lend call;
  };
  absl::Status CheckReferences(Sending& send, const OutConnection& connection,
                               std::optional<MissingLend>& missing);
  absl::Status LendMissing(const MissingLend& missing);
  static void BeginReferences(const Sending& send);
  using EndedRegions = absl::InlinedVector<CapabilityId, 1>;  // own ones, to end at the broker
  void EndReferences(const Sending& send, EndedRegions& ended);
  void EndAtBroker(const EndedRegions& ended);  // calls_region.cc; without the lock
  void OnLent(Packet packet);
  void OnUnlent(const Unlent& unlent);
  absl::StatusOr<Mapping> MapLease(Inbound& inbound, uint32_t index, Rights rights,
                                   ServedLends::Lent& lent);

  // -- As a server: receive.cc
  struct Arrival {
    Inbound* inbound;  // null: a pulse
    LanePulse* pulse;
    uint64_t sent_at;
  };
  using Arrivals = absl::InlinedVector<Arrival, 8>;
  void Drain(HostChannel& channel);
  void Gather(HostChannel& channel);  // the same, but for what it changes (ApplyChanges)
  void GatherRung(HostChannel& channel, Inbound* watched);
  void Arrive(HostChannel& channel, Inbound& inbound);
  void Enqueue(HostChannel& channel, Inbound& inbound);
  bool LookAt(Inbound& inbound);
  void LookAtTaken(Inbound& inbound, host::Ask ask, int level);
  void LookAtLane(ServedLink& link, Arrivals& arrived);
  void Unqueue(Inbound& inbound);
  void Match(HostChannel& channel);
  void HandOver(HostThread& server);
  bool TakeFront(HostThread& server, HostChannel& channel);
  bool TakeMessage(HostThread& server, HostChannel& channel, Inbound& inbound);
  bool TakePulse(HostThread& server, HostChannel& channel, Pulse& pulse);
  Inbound* Announce(HostThread& server, ReceiveResult& result);
  void Serve(HostThread& server, HostChannel& channel);
  static void ShowServes(HostThread& server);
  void WaitAwakeToReceive(HostThread& server, HostChannel& channel,
                          int cpu) ABSL_NO_THREAD_SAFETY_ANALYSIS;  // as Block
  absl::Status WaitToReceive(HostThread& server, HostChannel& channel,
                             int64_t deadline_ns) ABSL_NO_THREAD_SAFETY_ANALYSIS;  // as Block
  static bool CloseDoors(HostChannel& channel);
  static void OpenDoors(HostChannel& channel);

  // -- reply.cc
  Inbound* FindMessage(MessageHandle message);
  void FillInfo(const Inbound& inbound, MessageInfo& info) const;
  absl::StatusOr<Inbound*> BeginAnswer(MessageHandle message);
  // What the slot is to say of the answer, besides its bytes.
  struct Ending {
    Outcome how = Outcome::kReplied;
    uint32_t reply_bytes = 0;
    absl::StatusCode code = absl::StatusCode::kOk;
    Error error = Error::kNone;
    bool is_short = false;
    std::array<std::byte, kShortReplyBytes> short_reply = {};
  };
  Slot* EndAnswer(Inbound& inbound, const Ending& ending, absl::Status& outcome);
  void FailMessage(MessageHandle message, Error error);
  absl::Status ReplyWith(MessageHandle message, absl::StatusCode code, Error error,
                         std::string_view text);
  static void WakeClient(Slot& slot);
  template <typename Move>
  absl::StatusOr<uint64_t> MoveBytes(MessageHandle message, Move move);
  absl::StatusOr<uint64_t> ReadRequest(Inbound& inbound, uint64_t offset, MutableParts destination);
  absl::StatusOr<uint64_t> WriteReply(Inbound& inbound, uint64_t offset, ConstParts source);

  // -- copies.cc
  void ServeCopy(Sending& send);
  static Error ErrorForClient(const absl::Status& failed);
  // Waits until no thread reads or writes the message's bytes. The lock is held on entry and on
  // return; meanwhile the message is `answering`.
  void WaitUntilMoved(Inbound& inbound) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  absl::StatusOr<uint64_t> ReadFar(Inbound& inbound, uint64_t offset, MutableParts destination);
  absl::StatusOr<uint64_t> WriteFar(Inbound& inbound, uint64_t offset, ConstParts source);
  template <typename Remote, typename Through>
  absl::StatusOr<uint64_t> MoveFar(Inbound& inbound, uint64_t bytes, Remote remote,
                                   Through through);

  // -- serving.cc
  void ClientWantsToLeave(Inbound& inbound);
  void ClientLeft(Inbound& inbound);
  void WithdrawUnblockPulse(Inbound& inbound);
  void OfferPulse(HostChannel& channel, PulseSource source, const PulseInfo& pulse);
  void OfferKernelPulse(HostChannel&, KernelPulse code, uint64_t value, int priority,
                        uint64_t badge = 0);
  ServedBell* AddBell(HostChannel& channel, uint32_t number, UniqueFd memory, UniqueFd knocker);
  void AddServedLink(std::unique_ptr<ServedLink> link);
  void Detach(ServedLink& link);
  void DetachConnection(uint32_t connection);
  void ReleaseIfUnused(ServedLink& link);
  void DestroyChannel(HostChannel& channel);
  void ForgetChannelIfUnused(HostChannel& channel);

  // -- placement.cc
  void Place(HostThread& thread, uint8_t load, int server_cpu);
  void Pair(HostThread& thread, int cpu);
  void StandAside(HostThread& thread, int cpu);
  bool Keep(HostThread& thread, cpu_set_t cpus);
  void Part(HostThread& thread);
  void OnParting(HostThread& thread);

  // -- sporadic.cc
  void BeginBudget(HostThread& thread);
  void OnBudget(HostThread& thread);

  // -- calls_region.cc
  bool IsLive(const HeldRegion& held) const {
    return grants().words[held.grant_word].load() == held.grant_value;
  }
  Mapping MappingOf(RegionHandle handle, const HeldRegion& held) const;
  absl::StatusOr<HeldRegion*> Hold(Packet& packet, bool owner);
  absl::StatusOr<HeldRegion*> FindOwned(RegionHandle region);
  absl::StatusOr<HeldRegion*> BeginChange(RegionHandle region);
  absl::Status CopyToRenewed(HeldRegion& held);
  absl::Status Freeze(HeldRegion& held);
  absl::Status Reclaim(HeldRegion& held);
  void EndChange(HeldRegion& held, EndedRegions& ended);
  static bool IsContested(HeldRegion& held);
  void ForgetLendsOf(CapabilityId capability);
  RegionId FindRegionAt(const void* address) const;  // faults.cc
  void EndHeldIfUnused(HeldRegion& held, EndedRegions& ended);
  void OnReplaced(Packet packet);
  void Replace(const Packet& packet);
  void OnGrantEnded(CapabilityId capability);

  // -- calls_descriptor.cc
  void Arm(WatchedDescriptor& watch);
  void Disarm(WatchedDescriptor& watch);
  void OnReady(WatchHandle watch);

  // -- calls_pulse.cc
  bool PutInLane(Lane& lane, const PulseSpec& pulse);
  absl::Status OpenEvent(const Token& event);
  void RearmTimerFd();
  void OnTimers();

  ProcessStart start_;
  UniqueFd broker_;
  Birth birth_;
  int ceiling_ = kMaxPriority;
  int main_priority_ = kDefaultPriority;  // of its main thread at birth
  int64_t start_ns_ = 0;
  bool real_time_ = false;                   // RT policies are permitted
  std::atomic<uint32_t>* origin_ = nullptr;  // 1; 0 in the child of a fork (L3)
  bool IsForked() const { return origin_->load(std::memory_order_relaxed) == 0; }
  std::atomic<bool> ending_{false};
  HostThread* ender_ = nullptr;  // who ends the others
  std::atomic_flag farewell_said_;
  SharedMapping page_memory_, grants_memory_;
  UniqueFd page_descriptor_, grants_descriptor_, ledger_descriptor_;
  ProcessPage& page() const { return *page_memory_.As<ProcessPage>(); }
  const GrantPage& grants() const { return *grants_memory_.As<GrantPage>(); }

  PriorityLock lock_;
  Inheritance inheritance_;
  bool gathering_ = false;
  TimerQueue timers_;
  int64_t timer_armed_for_ = kNever;
  uint32_t last_thread_ = 0;
  uint64_t last_serial_ = 0, last_number_ = 0;
  absl::flat_hash_set<std::unique_ptr<HostThread>> threads_;
  std::atomic<uint32_t> live_threads_{0};  // besides the main thread; a futex
  HandleTable<ThreadHandle, HostThread> thread_handles_;
  HandleTable<ChildHandle, ChildRecord> child_handles_;
  HandleTable<ChannelHandle, HostChannel> channel_handles_;
  HandleTable<ConnectionHandle, OutConnection> connection_handles_;
  HandleTable<TimerHandle, UserTimer> timer_handles_;
  WatchTable watches_;
  HandleTable<MutexHandle, HostMutex> mutex_handles_;
  HandleTable<CondVarHandle, CondVar> condition_handles_;
  absl::flat_hash_map<ProcessId, std::unique_ptr<ChildRecord>> children_;
  int spawning_ = 0;  // threads that may hear of an end before they know whose it is
  absl::flat_hash_map<ChannelId, std::unique_ptr<HostChannel>> channels_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<OutConnection>> connections_;
  absl::flat_hash_set<std::unique_ptr<ServedLink>> served_;
  absl::flat_hash_map<uint32_t, std::vector<ServedLink*>> served_connections_;
  absl::flat_hash_map<uint32_t, ServedBell*> bells_;
  WeakMap<ProcessId, FarProcess> far_;
  WeakMap<uint32_t, OutBell> out_bells_;
  absl::flat_hash_map<Token, std::unique_ptr<OpenedLane>> opened_events_;
  absl::flat_hash_set<std::unique_ptr<UserTimer>> timer_records_;
  absl::flat_hash_set<std::unique_ptr<HostMutex>> mutex_records_;
  absl::flat_hash_set<std::unique_ptr<CondVar>> condition_records_;
  std::vector<Inbound*> inbound_;  // by MessageHandle::slot
  std::vector<uint32_t> free_inbound_;
  std::deque<Inbound::LeaseWords> lease_words_;  // by the same; they stay in place
  uint64_t last_lease_ = 0;
  HandleTable<RegionHandle, HeldRegion> region_handles_;
  absl::flat_hash_set<std::unique_ptr<HeldRegion>> held_regions_;
  absl::flat_hash_map<Token, HeldRegion*> redeemed_;  // R6: what is held already
  int redeeming_ = 0;                   // threads that have asked to, and do not hold it yet;
  std::vector<Packet> early_replaced_;  // what came for them meanwhile
  Farewell& numbers() const { return *start_.farewell; }  // of the run's report, kept as it goes
  Tracer tracer_{start_.trace};
  // Calls that wait for their answers, and the socket's sending side.
  PriorityLock broker_lock_;
  uint32_t last_call_ = 0;
  enum class BrokerIs : uint8_t { kThere, kAway, kGone };
  BrokerIs broker_is_ = BrokerIs::kThere;
  bool calls_fail_ = false;     // without one: it has been away for too long, or for good
  std::vector<Packet> untold_;  // for the next one
  // The agent's.
  int away_tries_ = 0;  // that the broker is away, kRetryMs apart; 0: it is not
  uint32_t rejoin_call_ = 0;
  std::deque<Packet> unsaid_;  // of what it says to rejoin
  std::atomic<uint32_t> answers_in_use_{0};
  absl::flat_hash_map<uint32_t, PendingCall*> pending_;
  UniqueFd epoll_, timer_fd_;

  static thread_local HostThread* t_current_ __attribute__((tls_model("initial-exec")));
};

// Begins a call that returns a Status or a StatusOr.
#define PARLEY_ENTER()                                                 \
  if (!MayEnter()) {                                                   \
    if (absl::Status entered = Enter(); !entered.ok()) return entered; \
  }

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_PROCESS_H_
