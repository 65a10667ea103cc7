// The simulated kernel: a world of processes under one deterministic scheduler (Machine of boot.h).
//
// One host thread, no locks, no system calls on the message path. Its state changes only inside
// kernel calls (class Calls, one for each process) and timers; results depend on the programs and
// the choice source alone.
//
// The parts, a file each: simulation.cc (start, run, timers), lives.cc (threads and processes begin
// and end), messages.cc (what send, receive, reply and leaving do to both sides), regions.cc,
// faults.cc, report.cc (deadlock, who waits on whom), telling.cc (the trace).
#ifndef PARLEY_KERNEL_SIM_SIM_SIMULATION_H_
#define PARLEY_KERNEL_SIM_SIM_SIMULATION_H_

#include <array>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernel-sim/boot.h"
#include "kernel-sim/refusals.h"
#include "kernel-sim/sim/capability_index.h"
#include "kernel-sim/sim/objects.h"
#include "kernel-sim/sim/trap.h"

namespace parley::sim {

// Thrown through the frames of a program whose process is being ended, so that its destructors run.
// Programs do not catch it: what they do catch(...) is thrown again at their next kernel call.
struct ProcessEnded {};

class Simulation final : public Machine, private SchedulerClient, private TrapHandler {
 public:
  Simulation(const SimulationOptions& options, std::vector<Program> programs);
  ~Simulation() override;

  absl::Status Add(const InitialProcess& process) override;
  RunReport Run() override;

  // -- For Calls
  // -----------------------------------------------------------------------------------------------
  const SimulationOptions& options() const { return options_; }
  Scheduler& scheduler() { return scheduler_; }
  Inheritance& inheritance() { return inheritance_; }
  CapabilityTable& capabilities() { return capabilities_; }
  Chooser& chooser() { return chooser_; }
  SimThread& current() { return static_cast<SimThread&>(*scheduler_.current()); }
  int64_t now() const { return scheduler_.now(); }
  bool forked() const { return *alive_page_ == 0; }
  void CountCall() { ++report_.kernel_calls; }
  int64_t CopyCost(uint64_t bytes) const {
    return static_cast<int64_t>(bytes) * options_.copy_cost_ns_per_kib / 1024;
  }
  uint64_t NextSerial() { return next_serial_++; }
  uint64_t NextNumber() { return next_number_++; }
  Token NextToken();
  Process* FindProcess(ProcessId id);  // null when it never was or has ended
  static std::string NameOf(const SimThread& thread);
  static std::vector<SimThread*> ThreadsOf(Process& process);

  // Blocking. Between BeginWait and EndWait the caller sets up what the current thread waits for.
  void BeginWait(SimThread& thread, ThreadState state, int64_t deadline_ns);
  absl::Status EndWait(SimThread& thread) {
    scheduler_.FinishBlock();
    if (thread.state() == ThreadState::kDead) return CallAfterDeath(thread);
    return std::move(thread.wake_status);
  }
  void Wake(SimThread& thread, absl::Status status);
  // D5: makes a blocked thread leave with `error`, as at its deadline.
  void Leave(SimThread& thread, Error error);

  void Cancel(SimThread& thread);

  // Lives (lives.cc).
  absl::StatusOr<Process*> MakeProcess(std::string_view program, const ProcessOptions& options,
                                       Process* parent);
  absl::StatusOr<SimThread*> MakeThread(Process& process, const Scheduling& scheduling,
                                        std::string name, void (*entry)(void*), void* argument);
  void StartThread(SimThread& thread);
  // Ends a process: everything it holds is gone at once, then its threads unwind; but not the
  // current one, which unwinds at its next kernel call.
  void EndProcess(Process& process, ExitStatus exit);
  void ForgetIfUnnamed(SimThread& thread);
  void EndOtherThreads(SimThread& survivor);
  // A child counts for the run's end as its maker does.
  void Adopt(Process& child, const Process& maker);
  // A kernel call of a process that has ended: throws ProcessEnded, or returns kProcessEnded while
  // it is on its way.
  absl::Status CallAfterDeath(SimThread& thread);
  void AbandonMutex(Mutex& mutex);
  static absl::Status AbandonedMutexError();
  // A CONDVAR-blocked thread, out of its queue, locks its mutex again, then returns `status`.
  void Relock(SimThread& thread, absl::Status status);
  [[noreturn]] void OnTerminate();

  // Channels and connections (channels.cc).
  SimChannel& MakeChannel(Process& process, const ChannelOptions& options);
  Connection& MakeConnection(Process& client, SimChannel& channel, CapabilityId capability);
  void DestroyChannel(SimChannel& channel);
  void DropConnection(Connection& connection);
  void EndCapabilities(const std::vector<CapabilityId>& killed);
  SimChannel* FindChannel(uint64_t id);
  CapabilityId MakeEvent(SimChannel& channel, const PulseSpec& pulse, bool any_value);
  SimEvent* FindEvent(uint64_t number);
  void ForgetEvent(uint64_t number);

  // Messages (messages.cc).
  SimThread* FindMessage(const Process& server, MessageHandle message);
  enum class CopyOutcome : uint8_t { kCopied, kClientFault, kServerFault };
  CopyOutcome CopyRequest(const SimThread& client, MutableParts buffer, uint64_t& copied);
  // `server`, in Receive, gets the message of `client`, which is blocked in REPLY.
  void Deliver(SimThread& server, SimThread& client, uint64_t copied, ReceiveResult& result);
  static void FillInfo(const SimThread& client, MessageInfo& info);
  // Ends the send of a blocked client, one way or the other; it becomes READY.
  void FinishSend(SimThread& client, absl::Status status);
  // The client wants to leave (D2, D3, D5).
  void LeaveSend(SimThread& client, Error before_receive, Error after_receive);
  absl::Status RefuseDeadlock(SimThread& client, SimThread& waits_for);
  // Whether all bytes of `parts` can be read: tells whose address a failed copy faulted on.
  static bool Readable(ConstParts parts);

  // Pulses (pulses.cc).
  absl::Status OfferPulse(SimChannel& channel, PulseSource source, const PulseInfo& pulse,
                          size_t quota);
  void OfferKernelPulse(SimChannel& channel, KernelPulse code, uint64_t value, int priority,
                        uint64_t badge = 0);
  void TakePulse(SimThread& server, SimChannel& channel, Pulse& pulse, ReceiveResult& result);

  // Descriptors (calls_descriptor.cc).
  void Arm(WatchedDescriptor& watch);
  void Disarm(WatchedDescriptor& watch);

  // Regions (regions.cc).
  absl::StatusOr<RegionMapping*> CreateRegion(Process& owner, uint64_t bytes,
                                              bool others_may_write);
  absl::StatusOr<RegionMapping*> RedeemRegion(Process& holder, const Capability& capability);
  absl::StatusOr<RegionMapping*> MapLease(Process& server, Lease& lease);
  absl::Status ReclaimRegion(RegionMapping& mapping);
  absl::Status FreezeRegion(RegionMapping& mapping);
  void CloseRegion(RegionMapping& mapping);
  // The send of `client` carries leases.
  void LendFrom(SimThread& client) { lessors_.push_back(client); }
  // The leases of a send end: by the reply, or because the client has left (R5).
  void EndLeases(SimThread& client, bool client_left);
  // The server lets go of a message whose client has left (R5).
  void LetGo(Process& server, uint64_t serial);

  // Faults and the trace (faults.cc, telling.cc).
  void ApplyFaults(Process& process);
  bool PulseQuotaFault(const Process& process) const;
  void TellText(TraceKind kind, const SimThread& thread, std::string_view text, uint64_t value);
  void TellSend(const SimThread& client);
  void TellReply(const SimThread& server, const SimThread& client, uint64_t bytes);
  void Problem(std::string line) { report_.problems.push_back(std::move(line)); }

 private:
  // SchedulerClient.
  void OnTimer(Timer& timer) override;
  void OnStateChanged(ScheduledThread& thread) override {
    TellState(static_cast<SimThread&>(thread));
  }
  void OnPriorityChanged(ScheduledThread& thread) override {
    TellPriority(static_cast<SimThread&>(thread));
  }
  // TrapHandler.
  Answer OnFault(void* address, bool write) override;
  void Rescued() override;

  void OnDeadline(SimThread& thread);
  void OnUserTimer(UserTimer& timer);
  void OnLook();
  bool LookAtDescriptors(int timeout_ms);
  bool AnybodyWaitsForDescriptors() const;
  void SetTelling(bool telling);
  static void FiberMain(void* thread);
  void RunProgram(SimThread& thread);
  void EndThread(SimThread& thread);
  void EndSendOfDeadClient(SimThread& client);
  void LeaveWaits(SimThread& thread);
  void BookFiberOver(SimThread& thread);
  void Unwind(SimThread& thread);
  [[noreturn]] void LeaveFiber(SimThread& thread);
  void ConnectToNames(Process& process);
  void EndMemory(Process& process);
  void ReleaseMemory(Process& process);
  void ReapFibers();
  void StopIfDone();
  void EndServices();
  void AbandonSend(SimThread& client, Error error);
  void RecordResponse(const SimThread& client);
  static SimThread* ExclusivelyWaitsFor(const SimThread& thread);
  static std::string DescribeCycle(const std::vector<SimThread*>& cycle);
  void WithdrawUnblockPulse(const SendInFlight& send);
  void ForgetIfUnused(Connection& connection);
  void EndRegionIfUnused(Region& region);
  void ReceivePulse(SimThread& server, SimChannel& channel, const PulseInfo& pulse,
                    ReceiveResult& result);
  CapabilityId MakeRegionRoot(const Region& region, const Process& owner);
  Region* FindRegion(uint64_t id);
  void IdleLease(Lease& lease);
  void ReleaseLease(Lease& lease);
  void RevokeGrant(RegionMapping& mapping);
  void EndLeasesOf(const absl::flat_hash_set<CapabilityId>& dead);
  template <typename Visit>
  void ForEachLease(Visit visit);
  void AssignFaults(Process& process);
  void ArmFaults();
  void OnFaultTimer(const Fault& fault);
  void Inject(const Fault& fault, Process& process);
  void ReportDeadlock();
  void ReportCircles();
  std::string DescribeWait(const SimThread& thread);
  static std::vector<SimThread*> CouldFree(const SimThread& thread);
  void FillReport();
  void Tell(TraceEvent event);
  static TraceEvent EventOf(TraceKind kind, const SimThread& thread);
  void TellProcess(const Process& process);
  void TellThread(const SimThread& thread);
  void TellChannel(const SimChannel& channel);
  void TellPulse(TraceKind kind, const SimThread* thread, const SimChannel& channel,
                 const PulseInfo& pulse);
  void TellExit(const Process& process);
  void TellFault(const Process& process, std::string_view text);
  void TellState(SimThread& thread);
  void TellPriority(SimThread& thread);
  void TellMessage(TraceKind kind, const SimThread& thread, const SimThread& client,
                   uint64_t bytes);
  void TellSendFailed(const SimThread& client, const absl::Status& status);
  void TellRegion(RegionEvent what, const Process& process, RegionId region);

  const SimulationOptions options_;
  const std::vector<Program> programs_;
  volatile uint32_t* alive_page_;  // L3: a page that a fork wipes
  Chooser chooser_;
  Inheritance inheritance_;
  Scheduler scheduler_;
  CapabilityTable capabilities_;
  StackPool stacks_;
  Arena arena_;
  MemoryMap memory_;
  bool telling_ = false;
  RunReport report_;
  std::array<ResponseReport, kPriorityLevels> responses_;

  std::vector<std::unique_ptr<SimThread>> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<SimThread*> over_;                     // their stacks can be reused
  std::vector<std::unique_ptr<Process>> processes_;  // in order of ProcessId, from 1
  absl::flat_hash_map<uint64_t, std::unique_ptr<SimChannel>> channels_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<SimEvent>> events_;
  absl::flat_hash_set<std::unique_ptr<Connection>> connections_;
  CapabilityIndex<Connection> connections_by_capability_;
  CapabilityIndex<RegionMapping> grants_by_capability_;
  HookedList<SimThread, &SimThread::lease_hook> lessors_;  // whose sends carry leases
  absl::flat_hash_map<RegionId, std::unique_ptr<Region>> regions_;
  std::vector<std::unique_ptr<Timer>> start_timers_;
  std::vector<WatchedDescriptor*> armed_;  // in the order they were armed
  Timer look_{Timer::Purpose::kLook, this};
  SimChannel* name_channel_ = nullptr;
  std::mt19937_64 token_source_;
  uint64_t next_serial_ = 1;
  uint64_t next_number_ = 1;
  uint32_t next_thread_ = 1;
  int foreground_ = 0;  // processes alive that are not services
  bool running_ = false;
  ExitStatus offence_;    // set by OnFault for Rescued
  Trap* trap_ = nullptr;  // while running
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_SIMULATION_H_
