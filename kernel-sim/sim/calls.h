// The kernel calls of one simulated process (kernel.h).
//
// Each call: enter (time passes, others may run, faults strike), decode (every refusal), commit,
// then let whoever it has woken go first. A call made after the process has ended does not return:
// it throws ProcessEnded, or returns kProcessEnded while that exception is on its way.
#ifndef PARLEY_KERNEL_SIM_SIM_CALLS_H_
#define PARLEY_KERNEL_SIM_SIM_CALLS_H_

#include "kernel-sim/sim/simulation.h"

namespace parley::sim {

class Calls final : public Kernel {
 public:
  Calls(Simulation& simulation, Process& process) : sim_(simulation), process_(process) {}

  const Birth& birth() const override { return process_.birth; }
  int64_t Now() override { return sim_.now(); }
  // Each simulation begins with the year 2000, whenever it runs.
  int64_t WallNow() override { return 946'684'800'000'000'000 + sim_.now(); }
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
  // Every call begins with one of these. Enter may throw ProcessEnded; EnterQuietly, for calls that
  // destructors make, says false instead.
  absl::Status Enter();
  absl::Status EnterInVain(SimThread& thread);
  absl::Status EnterSlowly(SimThread& thread, int64_t cost_ns);
  bool EnterQuietly() noexcept;
  absl::Status EnterFromDestructor() noexcept;  // EnterQuietly, for calls that say what went wrong
  // Ends a call that may have woken somebody.
  void Leave() { sim_.scheduler().SettleAndLetOthersRun(); }

  absl::Status DecodeReferences(absl::Span<const RegionReference> references,
                                absl::InlinedVector<Lease, 2>& leases);
  absl::StatusOr<SimThread*> DecodeMessage(MessageHandle message);
  absl::StatusOr<RegionMapping*> DecodeOwnRegion(RegionHandle region);
  absl::Status WaitForMutex(SimThread& thread, SimMutex& mutex, int64_t deadline_ns);
  void HandOver(SimMutex& mutex);
  absl::Status DecodeSend(SimThread& client, ConnectionHandle handle,
                          const SendArguments& arguments);
  absl::Status Submit(SimThread& client);
  static Mapping MappingOf(const RegionMapping& mapping, uint64_t offset, uint64_t length);

  Simulation& sim_;
  Process& process_;
};

// Begins a call that returns a Status or a StatusOr.
#define PARLEY_ENTER() \
  if (absl::Status entered = Enter(); !entered.ok()) return entered

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_CALLS_H_
