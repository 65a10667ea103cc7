// The kernel calls: the only door between libipc and a kernel.
//
// A Kernel is the kernel as one process sees it: every call is made by a thread of that process, on
// behalf of that thread. All calls may be made from any thread of the process, at any time.
//
// What keeps this door fit for processes with separate memory:
//   1. Arguments and results are values, handles of this process, and spans of this process's own
//   memory.
//   2. A kernel never calls into user code. (A thread's entry is where a thread starts, not a
//   callback.)
//   3. No handle or address of one process means anything in another; tokens travel instead (R3).
//
// Errors: each call returns a Status made by core/errors.h. Every call can fail with kBadHandle,
// kInvalidArgument, kBadAddress, kForked (L3) and kProcessEnded (the caller's process is being
// ended), which are not repeated below. No call crashes on a bad argument (L5); a refused call has
// changed nothing.
//
// Blocking: calls that can block take `deadline_ns`, a point on the Now() clock: kNever waits for
// ever, a past one (kPollNow) means "only if it need not block" (D1). They alone return kCancelled.
// All others never block; on the host kernel those that need its broker wait for its answer, and
// while that is being replaced by another one 5 s at most, then kNoSuchChannel.
#ifndef PARLEY_KERNEL_SIM_KERNEL_H_
#define PARLEY_KERNEL_SIM_KERNEL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernel-sim/core/bounds.h"
#include "kernel-sim/core/bytes.h"
#include "kernel-sim/core/errors.h"
#include "kernel-sim/core/ids.h"
#include "kernel-sim/core/rights.h"

namespace parley {

// What a process is born with.
struct Birth {
  ProcessId process = ProcessId::kNone;
  std::string name;                                         // of the process, unique only by custom
  std::vector<std::string> arguments;                       // without the program's name
  ConnectionHandle name_service = ConnectionHandle::kNone;  // N5; none in the name server itself
  ChannelHandle name_service_channel = ChannelHandle::kNone;  // only in the name server
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool virtual_time = false;  // the kernel is a simulated one
};

// Scheduling (P6, P7). Times in nanoseconds of CPU or clock time.
enum class Policy : uint8_t { kFifo, kRoundRobin, kSporadic };
struct Scheduling {
  Policy policy = Policy::kFifo;
  int priority = kDefaultPriority;  // base priority
  int64_t slice_ns = 4'000'000;     // kRoundRobin
  int64_t budget_ns = 0;            // kSporadic: runs at `priority` for this long in each period,
  int64_t period_ns = 0;            //   gets back what it used a period after it began to use it,
  int low_priority = kMinPriority;  //   and runs at this priority while it has no budget
  int max_replenishments = 8;       //   at most kMaxReplenishments
};

struct ThreadOptions {
  std::string name;
  Scheduling scheduling;        // used only with `own_scheduling`
  bool own_scheduling = false;  // else the thread gets its maker's base priority and policy
};

struct ProcessOptions {
  std::string name;  // empty: the program's name
  std::vector<std::string> arguments;
  Scheduling scheduling;             // of its main thread
  int ceiling = kMaxPriority;        // P6; at most the maker's ceiling
  std::optional<uint32_t> uid, gid;  // default: the maker's; changing them needs uid 0
  uint64_t region_quota_bytes = kDefaultRegionQuotaBytes;  // R1; never more than the maker's
};

// How a process ended.
enum class ExitKind : uint8_t { kReturned, kKilled, kException, kFault, kStackOverflow };
struct ExitStatus {
  ExitKind kind = ExitKind::kReturned;
  int code = 0;        // what main returned; 128 for every other kind
  std::string reason;  // one line, empty for kReturned
};

// Channels (P5, D3, L2).
struct ChannelOptions {
  std::string name;             // for people: traces, errors
  bool fixed_priority = false;  // P5
  bool unblock_pulse =
      false;  // D3: clients that want to leave are announced and wait for the server
  bool disconnect_pulse =
      false;         // L2: a pulse when the last connection of a client process is gone
  bool spin = true;  // may those who wait on it try so for a while before they sleep?
};

// A pulse as a program describes it (U1).
struct PulseSpec {
  uint8_t code = 0;  // 0 to kMaxProgramPulseCode
  uint64_t value = 0;
  int priority = kDefaultPriority;
};

// The kernel's own pulse codes.
enum class KernelPulse : uint8_t {
  kDeath = 128,       // L1: value = the cookie given to Connect
  kDisconnect = 129,  // L2: value = the client's ProcessId, badge = its newest connection's id
  kUnblock = 130,     // D3, D4: value = the message's serial
  kReady = 131,       // a watched descriptor is ready: value = its WatchHandle
};

// What a descriptor is watched for.
enum class Readiness : uint8_t { kReadable, kWritable };

// R5: a range of one of the sender's regions, in a message.
enum class Direction : uint8_t {
  kIn = 1,
  kOut = 2,
  kInOut = 3
};  // as the server sees it: kIn it may read, kOut write
struct RegionReference {
  RegionHandle region = RegionHandle::kNone;
  uint64_t offset = 0;
  uint64_t length = 0;  // bytes, any length; protection is by the page
  Direction direction = Direction::kIn;
};

struct SendArguments {
  ConstParts request;
  MutableParts reply;
  absl::Span<const RegionReference> regions;
  int64_t deadline_ns = kNever;
  int64_t grace_ns = 1'000'000'000;  // D3: how long past the deadline the server may take to let go
};
struct SendResult {
  uint64_t reply_bytes = 0;  // how long the reply was; beyond the room offered it was cut (S2)
};

// S6: who sent, as the kernel vouches for it.
struct MessageInfo {
  ProcessId process;
  ThreadId thread;
  uint32_t uid, gid;
  uint32_t pid;            // the host's process id where there is one, else the ProcessId
  uint32_t connection;     // the connection's id on the server's side: its number on the channel
  uint64_t badge;          // S8
  int priority;            // the sender's effective priority now
  uint64_t request_bytes;  // full length (S2)
  uint64_t reply_room;     // bytes the sender accepts
  uint32_t region_count;   // R5
  bool unblock_requested;  // D3
};

struct PulseInfo {
  uint8_t code;
  uint64_t value;
  int priority;
  uint32_t count;  // U2: how many identical ones this stands for; U5: a timer's overruns + 1
  uint64_t badge;  // of the connection that sent it; 0 for most of the kernel's own and for events
};

// Not zeroed when made: it is on every message's way. Receive fills what it says is there.
struct ReceiveResult {
  bool is_pulse;
  PulseInfo pulse;        // if is_pulse
  MessageHandle message;  // else
  MessageInfo info;
};

// A region, or a lease of one, as mapped into the caller's process. `address` is stable while the
// handle lives. The mapping may be touched only while `*live == live_value` (R6: one load tells
// whether the grant still stands).
struct Mapping {
  RegionHandle region = RegionHandle::kNone;  // none for a lease
  RegionId id = RegionId::kNone;
  std::byte* address = nullptr;
  uint64_t length = 0;
  Rights rights = Rights::kNone;
  const std::atomic<uint64_t>* live = nullptr;
  uint64_t live_value = 0;
};

struct RegionOptions {
  bool others_may_write =
      true;  // R4: if false, the kernel makes writing by others impossible, for ever
};

class Kernel {
 public:
  virtual ~Kernel() = default;

  // -- Time and identity

  virtual const Birth& birth() const = 0;
  virtual int64_t Now() = 0;      // monotonic nanoseconds since the kernel started
  virtual int64_t WallNow() = 0;  // nanoseconds since 1970, as the host has it; may jump
  // Works for `cpu_ns` of CPU time, preemptible at any instant.
  virtual void Compute(int64_t cpu_ns) = 0;
  // Says that the work done since the last call took `cpu_ns`. Where time is virtual the same as
  // Compute; on the host nothing, since doing the work has taken its time.
  virtual void Charge(int64_t cpu_ns) = 0;
  // Blocks (SLEEP) until `wake_ns`. kCancelled.
  virtual absl::Status SleepUntil(int64_t wake_ns) = 0;
  // To the tail of the caller's level.
  virtual void Yield() = 0;
  // Adds to a counter of this process that the run's report shows, and leaves a remark in the
  // trace.
  virtual void Count(std::string_view counter, int64_t delta) = 0;
  virtual void Mark(std::string_view remark) = 0;

  // -- Threads and processes

  // Starts a thread at entry(argument). kNotPermitted: above the ceiling (P6). kQuotaExhausted.
  virtual absl::StatusOr<ThreadHandle> ThreadSpawn(const ThreadOptions& options,
                                                   void (*entry)(void*), void* argument) = 0;
  // Blocks (JOIN) until the thread has ended, then closes the handle. kDeadline, kCancelled.
  virtual absl::Status ThreadJoin(ThreadHandle thread, int64_t deadline_ns) = 0;
  // D5: counts as the passing of the deadline of what the thread blocks in, or of its next call
  // that would block.
  virtual absl::Status ThreadCancel(ThreadHandle thread) = 0;
  // kNone is the caller. kNotPermitted: above the ceiling (P6).
  virtual absl::Status ThreadSetScheduling(ThreadHandle thread, const Scheduling& scheduling) = 0;
  virtual absl::StatusOr<int> ThreadPriority(ThreadHandle thread) = 0;  // effective (P3)
  virtual void ThreadClose(ThreadHandle thread) noexcept = 0;  // the thread goes on, unjoined
  // For destructors: cancels the thread, waits until it has ended, and closes the handle. Blocks
  // (JOIN) without deadline; a cancelled caller goes on waiting.
  virtual void ThreadEnd(ThreadHandle thread) noexcept = 0;
  // Ends all other threads of the process, as its end would; where they unwind, they have done so
  // on return.
  virtual void EndOtherThreads() noexcept = 0;
  // Starts a program of the world's table as a process. kNoSuchName: no such program.
  // kNotPermitted: P6, uid.
  virtual absl::StatusOr<ChildHandle> ProcessSpawn(std::string_view program,
                                                   const ProcessOptions& options) = 0;
  // Blocks (JOIN) until the child has ended. kDeadline, kCancelled.
  virtual absl::StatusOr<ExitStatus> ProcessWait(ChildHandle child, int64_t deadline_ns) = 0;
  virtual absl::Status ProcessKill(ChildHandle child) = 0;  // as kill -9
  virtual absl::StatusOr<ProcessId> ProcessIdOf(ChildHandle child) = 0;
  virtual void ProcessClose(ChildHandle child) noexcept = 0;  // the child goes on, unwaited

  // -- Channels, capabilities, connections

  virtual absl::StatusOr<ChannelHandle> ChannelCreate(const ChannelOptions& options) = 0;
  // L1: every client blocked on it wakes; its connections are dead. Never fails on an open handle.
  virtual void ChannelDestroy(ChannelHandle channel) noexcept = 0;
  // Makes a capability for `holder` to connect to the channel, with `badge` (S8) and priority
  // ceiling (P6). `rights` are of kConnect and kGrant. The token means something only to `holder`.
  // kNoSuchName: no such process.
  virtual absl::StatusOr<Token> ChannelGrant(ChannelHandle channel, ProcessId holder,
                                             uint64_t badge, int ceiling, Rights rights) = 0;
  // Grants from a capability held by the caller, with rights narrowed to `rights`, to `holder`.
  // kNotPermitted: not the caller's, or without kGrant. kLeaseEnded: revoked, or its object gone.
  virtual absl::StatusOr<Token> TokenDelegate(const Token& token, ProcessId holder,
                                              Rights rights) = 0;
  // Kills the capability and all granted from it (R7). By its granter or its holder; else
  // kNotPermitted. Also made by destructors: it never unwinds the caller.
  virtual absl::Status TokenRevoke(const Token& token) = 0;
  // Connects with a capability of rights kConnect. `death`: where the kernel queues
  // KernelPulse::kDeath with `cookie` when the channel dies (L1). kNotPermitted, kLeaseEnded.
  virtual absl::StatusOr<ConnectionHandle> Connect(const Token& token, ChannelHandle death,
                                                   uint64_t cookie) = 0;
  virtual void Disconnect(ConnectionHandle connection) noexcept = 0;
  // The process at the far end, for grants. kNoSuchChannel: dead.
  virtual absl::StatusOr<ProcessId> ServerOf(ConnectionHandle connection) = 0;

  // -- Send, receive, reply

  // Blocks (SEND, then REPLY) until the server has replied. Errors: all of S9.
  virtual absl::StatusOr<SendResult> Send(ConnectionHandle connection,
                                          const SendArguments& arguments) = 0;
  // Blocks (RECEIVE) until a message or pulse is there; copies what fits of a request. The caller
  // then runs at the sender's priority (P3). kDeadline, kCancelled, kNoSuchChannel: the channel was
  // destroyed meanwhile.
  virtual absl::Status Receive(ChannelHandle channel, MutableParts buffer, int64_t deadline_ns,
                               ReceiveResult& result) = 0;
  // Ends the client's wait with these bytes at offset 0; returns how many it took (S2). Afterwards,
  // and on any error but kBadAddress, the handle is dead. kMessageGone (D3, S4).
  virtual absl::StatusOr<uint64_t> Reply(MessageHandle message, ConstParts reply) = 0;
  // As Reply, but the client's Send returns MakeServerError(code, text), or kNotReplied with code
  // kAborted and empty text.
  virtual absl::Status ReplyError(MessageHandle message, absl::StatusCode code,
                                  std::string_view text) = 0;
  // For destructors: as ReplyError(kAborted, ""), does nothing on a dead handle (S4).
  virtual void MessageDrop(MessageHandle message) noexcept = 0;
  // S5: bytes moved, short past the end. kMessageGone. On the host kernel, where Linux does not
  // permit this process to copy from and to the client's, the client's thread serves the copy: in
  // 1 s and 16 ns for each byte at most, else kDeadline, for whatever is copied of this message.
  // Receive then gives its message up (the client gets kNotReplied) and goes on to the next; Reply
  // fails.
  virtual absl::StatusOr<uint64_t> MessageRead(MessageHandle message, uint64_t offset,
                                               MutableParts destination) = 0;
  virtual absl::StatusOr<uint64_t> MessageWrite(MessageHandle message, uint64_t offset,
                                                ConstParts source) = 0;
  virtual absl::StatusOr<MessageInfo> MessageGetInfo(MessageHandle message) = 0;
  // R5: maps the index-th region reference for as long as the message is unanswered. kMessageGone,
  // kLeaseEnded.
  virtual absl::StatusOr<Mapping> MessageLease(MessageHandle message, uint32_t index) = 0;
  // R5: which way the index-th reference goes.
  virtual absl::StatusOr<Direction> MessageLeaseDirection(MessageHandle message,
                                                          uint32_t index) = 0;

  // -- Pulses, events, timers

  // kQuotaExhausted (U2), kNoSuchChannel, kNotPermitted: above the connection's or process's
  // ceiling.
  virtual absl::Status PulseSend(ConnectionHandle connection, const PulseSpec& pulse) = 0;
  // U4: lets the server of `target` queue `pulse` on the caller's `channel`, by the token; with a
  // value of its own if `any_value`. Dies with either process, by TokenRevoke, or with the channel.
  virtual absl::StatusOr<Token> EventRegister(ChannelHandle channel, const PulseSpec& pulse,
                                              bool any_value, ConnectionHandle target) = 0;
  // kNotPermitted: not given to the caller, or a value where none is allowed. kLeaseEnded: gone.
  // kQuotaExhausted.
  virtual absl::Status EventDeliver(const Token& event, std::optional<uint64_t> value) = 0;
  // U5: the timer's pulses need no quota and are never lost; those not yet received are counted.
  virtual absl::StatusOr<TimerHandle> TimerCreate(ChannelHandle channel,
                                                  const PulseSpec& pulse) = 0;
  // First at `first_ns`, then every `period_ns` (0: once). kNever disarms. Re-arming replaces.
  virtual absl::Status TimerArm(TimerHandle timer, int64_t first_ns, int64_t period_ns) = 0;
  virtual void TimerDestroy(TimerHandle timer) noexcept = 0;

  // -- Descriptors of the host's

  // Queues KernelPulse::kReady of this priority on the channel once the descriptor is ready; the
  // end of its far side, and errors, count as that. Watches a copy: the program may close its own.
  // kInvalidArgument: not open, or never waited for, as files and folders. kNotPermitted: above the
  // ceiling (P6). kQuotaExhausted: no descriptors.
  virtual absl::StatusOr<WatchHandle> DescriptorWatch(ChannelHandle channel, int descriptor,
                                                      Readiness readiness, int priority) = 0;
  // After its pulse was received: the next one, at once if it is ready still. Does nothing before.
  // kNoSuchChannel. Also made by destructors: it never unwinds the caller.
  virtual absl::Status WatchRearm(WatchHandle watch) = 0;
  // A pulse of it that is queued goes.
  virtual void WatchClose(WatchHandle watch) noexcept = 0;

  // -- Mutexes and condition variables of one process, priority inheriting

  virtual absl::StatusOr<MutexHandle> MutexCreate() = 0;
  // Blocks (MUTEX). kWouldDeadlock: the caller holds it, or a cycle would close. kDeadline,
  // kCancelled.
  virtual absl::Status MutexLock(MutexHandle mutex, int64_t deadline_ns) = 0;
  // kNotPermitted: not the owner. Also made by destructors: it never unwinds the caller.
  virtual absl::Status MutexUnlock(MutexHandle mutex) = 0;
  virtual void MutexDestroy(MutexHandle mutex) noexcept = 0;
  virtual absl::StatusOr<CondVarHandle> CondVarCreate() = 0;
  // Unlocks, blocks (CONDVAR), locks again whatever it returns. kDeadline, kCancelled,
  // kNotPermitted: not the owner.
  virtual absl::Status CondVarWait(CondVarHandle condition, MutexHandle mutex,
                                   int64_t deadline_ns) = 0;
  virtual absl::Status CondVarSignal(CondVarHandle condition,
                                     bool all) = 0;  // highest priority first
  virtual void CondVarDestroy(CondVarHandle condition) noexcept = 0;

  // -- Regions

  // R1: zeroed, rounded up to pages, mapped read-write. kQuotaExhausted.
  virtual absl::StatusOr<Mapping> RegionCreate(uint64_t bytes, const RegionOptions& options) = 0;
  // R2: for `holder`, a page-aligned range of the caller's, rights not beyond its own.
  // kNotPermitted, kLeaseEnded.
  virtual absl::StatusOr<Token> RegionGrant(RegionHandle region, ProcessId holder, uint64_t offset,
                                            uint64_t length, Rights rights) = 0;
  // R4: maps what the token grants. kNotPermitted: not this process's. kLeaseEnded: revoked or
  // gone.
  virtual absl::StatusOr<Mapping> RegionRedeem(const Token& token) = 0;
  // R4: immutable for everyone, for ever; by the owner. kContested while a lease out of it is in
  // flight.
  virtual absl::Status RegionFreeze(RegionHandle region) = 0;
  // R7: by the owner: kills all grants and leases and gives the contents in new memory that nobody
  // else maps.
  virtual absl::StatusOr<Mapping> RegionReclaim(RegionHandle region) = 0;
  // R5: OK, or kContested while a server may still be writing for a client that has left.
  virtual absl::Status RegionCheck(RegionHandle region) = 0;
  // Unmaps; the owner's close ends the region once the leases in flight have ended (R8).
  virtual void RegionClose(RegionHandle region) noexcept = 0;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_KERNEL_H_
