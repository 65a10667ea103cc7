// The process a program runs as: its way to everything else. There are no globals; a program is a
// function `int Main(ipc::Process& self)`, the same on every kernel.
//
// Threads: any thread of the process may use it. It outlives them all.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_PROCESS_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_PROCESS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ipc/channel.h"
#include "ipc/connection.h"
#include "ipc/region.h"
#include "ipc/thread.h"
#include "ipc/time.h"
#include "ipc/token.h"

namespace parley {
struct Mapping;
}

namespace ipc {

struct ChannelOptions {
  bool fixed_priority = false;  // P5: kFixedPriority, takes no part in inheritance
  bool unblock_pulse =
      false;  // D3: kUnblockPulse, clients that want to leave are announced and wait
  bool disconnect_pulse =
      false;  // L2: a pulse when the last connection of a client process is gone
  // Host kernel: its servers and clients may spin for a while before they sleep, as long as that
  // pays (docs/host.md). False: they let others of their CPU run once, then sleep, which costs less
  // energy and more time.
  bool spin = true;
  uint32_t mode = 0666;  // N4: who may open the name: the write bits, as for a Unix socket
};

struct OpenOptions {
  Deadline deadline = Deadline::Poll();  // N2: how long to wait for the name to appear
  const Channel* death = nullptr;        // L1: where Pulse::kDeath goes when the server dies,
  uint64_t cookie = 0;                   //   with this value
};

struct RegionOptions {
  bool others_may_write = true;  // R4: if false, made impossible for ever
};

// How a child ended.
struct ExitStatus {
  enum class Kind : uint8_t { kReturned, kKilled, kException, kFault, kStackOverflow };
  Kind kind = Kind::kReturned;
  int code = 0;        // what its Main returned; 128 for every other kind
  std::string reason;  // one line, empty for kReturned
};

struct ChildOptions {
  std::string name = {};  // default: the program's
  std::vector<std::string> arguments = {};
  Scheduling scheduling = {};
  int ceiling = 255;                                // P6; at most the maker's
  std::optional<uint32_t> uid = {}, gid = {};       // default: the maker's; changing needs uid 0
  uint64_t region_quota_bytes = uint64_t{4} << 30;  // R1; cut to the maker's
};

// A process that this one has started. The child outlives the handle.
class [[nodiscard]] Child {
 public:
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();
  // Blocks (JOIN) until it has ended. kDeadline, kCancelled.
  absl::StatusOr<ExitStatus> Wait(Deadline deadline = {}) const;
  absl::Status Kill() const;  // as kill -9
  ProcessRef process() const;

 private:
  friend class Process;
  Child(parley::Kernel* kernel, uint32_t handle) : kernel_(kernel), handle_(handle) {}
  parley::Kernel* kernel_;
  uint32_t handle_;
};

class Process {
 public:
  explicit Process(parley::Kernel& kernel);  // by whoever starts programs
  ~Process();                                // ends the other threads of the process
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const std::string& name() const;
  const std::vector<std::string>& arguments() const;
  ProcessRef me() const;
  uint32_t uid() const;
  uint32_t gid() const;
  // Whether the kernel is a simulated one. For servers that stand for something of the host's: what
  // they wait for there takes no virtual time, blocks all other programs, and makes runs differ.
  bool has_virtual_time() const;

  // -- Names (N1 to N5). All but CreateChannel and Connect block for the name server's answer.
  // kNoSuchChannel, of those: it has ended.

  // N1: creates a channel and its name. kAlreadyExists: taken. kNotPermitted: below somebody else's
  // prefix (N4). kInvalidArgument: no absolute path of 255 bytes at most without empty, "." and
  // ".." parts. kQuotaExhausted: the name server's table is full.
  absl::StatusOr<Channel> Attach(absl::string_view path, const ChannelOptions& options = {});
  // N1: one more name for a channel of this process's. Errors as Attach.
  absl::Status AttachTo(const Channel& channel, absl::string_view path, uint32_t mode = 0666);
  // N2: connects to whoever serves the longest attached prefix of the path. kNoSuchName: nobody by
  // the deadline. kNotPermitted (N4).
  absl::StatusOr<Connection> Open(absl::string_view path, Deadline deadline = Deadline::Poll());
  absl::StatusOr<Connection> Open(absl::string_view path, const OpenOptions& options);
  // N2: from now on each attach and detach of a name at or below `prefix` queues a pulse with this
  // code on `channel`; its value is 1 for an attach, 0 for a detach. Ends with the channel.
  // `prefix` may be "/". kQuotaExhausted: the name server holds 4096 watches.
  absl::Status Watch(absl::string_view prefix, const Channel& channel, uint8_t code, int priority);
  // The names at or below `prefix`, sorted.
  absl::StatusOr<std::vector<std::string>> ListNames(absl::string_view prefix);
  // A channel without a name; `label` is for people.
  absl::StatusOr<Channel> CreateChannel(absl::string_view label,
                                        const ChannelOptions& options = {});
  // For the name server alone: the far end of every process's first connection (N5). kNotPermitted
  // elsewhere.
  absl::StatusOr<Channel> TakeNameServiceChannel();
  // With a token from Channel::Grant. kNotPermitted: not this process's. kLeaseEnded: revoked, or
  // the channel is gone.
  absl::StatusOr<Connection> Connect(const Token& token, absl::string_view label,
                                     const OpenOptions& options = {});

  // -- Regions and capabilities. None of these blocks, but for what a host kernel's broker needs to
  // answer; while that is replaced by another one 5 s at most, then kNoSuchChannel.

  // R1: `bytes` rounded up to pages of 4096, zeroed, for reading and writing. kQuotaExhausted: past
  // region_quota_bytes. kInvalidArgument: zero, or more than 64 GiB.
  absl::StatusOr<Region> CreateRegion(uint64_t bytes, const RegionOptions& options = {});
  // R4: maps what the token grants. kNotPermitted: not this process's. kLeaseEnded: revoked or
  // gone.
  absl::StatusOr<Region> Redeem(const Token& token);
  // R7: kills what the token names, and all granted from it. By its holder or granter, else
  // kNotPermitted.
  absl::Status Revoke(const Token& token);
  // Hands a capability on: narrowed to connecting, or to reading, for `holder`. kNotPermitted:
  // without the right to grant.
  absl::StatusOr<Token> DelegateConnect(const Token& token, ProcessRef holder);
  // U4: queues the pulse that the event was registered with; with `value` if it was registered so.
  // Never blocks. kNotPermitted: another's event, or a value where none is allowed. kLeaseEnded,
  // kQuotaExhausted.
  absl::Status Deliver(const EventToken& event);
  absl::Status Deliver(const EventToken& event, uint64_t value);

  // -- Threads and processes. None of these blocks; Start as above.

  // Starts a thread that calls `body`, which is destroyed when the thread has ended. kNotPermitted:
  // above the ceiling (P6). kQuotaExhausted: no memory for another stack.
  absl::StatusOr<Thread> Spawn(const ThreadOptions& options, std::function<void()> body);
  // A program of the table that this process's World was made with. kNoSuchName, kNotPermitted.
  absl::StatusOr<Child> Start(absl::string_view program, const ChildOptions& options = {});
  // P6, P7: of the calling thread.
  absl::Status SetScheduling(const Scheduling& scheduling);
  int priority() const;  // P3: the calling thread's effective priority
  absl::StatusOr<Mutex> CreateMutex();
  absl::StatusOr<CondVar> CreateCondVar();

  // -- Time

  absl::Time Now() const;       // monotonic, see time.h
  absl::Time WallTime() const;  // what a clock on the wall shows; virtual time's begins in 2000
  absl::Status Sleep(Deadline until);  // blocks (SLEEP); kCancelled
  void Yield();                        // to the tail of the calling thread's level
  // Works for this much CPU time, preemptible at any instant.
  void Compute(absl::Duration cpu_time);
  // Says that the work done since the last call took this much CPU time. Where time is virtual it
  // passes now; on the host nothing happens, since doing the work took its time.
  void Charge(absl::Duration cpu_time);

  // -- For the run's report and trace

  void Count(absl::string_view counter, int64_t delta = 1);  // adds to a counter of this process
  void Mark(absl::string_view remark);                       // a remark at this time

  parley::Kernel& kernel() const { return *kernel_; }  // for libipc's own use

 private:
  struct Bodies;  // of threads that have not ended
  absl::StatusOr<Region> Hold(const absl::StatusOr<parley::Mapping>& mapping) const;

  parley::Kernel* const kernel_;
  std::unique_ptr<Bodies> bodies_;
  Connection names_;  // N5: the connection that the process was born with
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_PROCESS_H_
