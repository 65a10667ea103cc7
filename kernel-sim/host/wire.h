// What a process and the broker say to each other: packets on a Unix socket, each a header, a
// struct of fixed size, a tail of bytes, and file descriptors.
//
// A call of a process is answered by one packet with its number: Failed, or the struct named beside
// it. A notice has call number 0 and no answer. Descriptors are listed in their order.
#ifndef PARLEY_KERNEL_SIM_HOST_WIRE_H_
#define PARLEY_KERNEL_SIM_HOST_WIRE_H_

#include <cstdint>
#include <type_traits>

#include "kernel-sim/core/bounds.h"
#include "kernel-sim/core/ids.h"
#include "kernel-sim/core/rights.h"
#include "kernel-sim/kernel.h"

namespace parley::host {

inline constexpr uint32_t kWireVersion = 2;
inline constexpr size_t kMaxPacketBytes = 64 << 10;
inline constexpr size_t kMaxPacketFds = 8;

enum class Kind : uint32_t {
  kFailed = 1,
  kDone,
  kToken,
  // Calls and their answers.
  kJoin,
  kJoined,
  kMakeChannel,
  kMadeChannel,
  kDestroyChannel,
  kGrantChannel,
  kDelegate,
  kRevoke,
  kConnect,
  kExtend,
  kConnected,
  kDisconnect,
  kTurnAway,
  kRegisterEvent,
  kOpenEvent,
  kOpenedEvent,
  kSpawn,
  kSpawned,
  kKill,
  kFindDeadlock,
  kFoundDeadlock,
  kCatchUp,
  kMakeRegion,
  kGrantRegion,
  kRedeem,
  kRegion,
  kLend,
  kLendMade,
  kRenewRegion,
  kCommitRegion,
  kCloseRegion,
  // Of the launcher.
  kBecomeLauncher,
  kAdopt,
  kExited,
  // Notices of the broker.
  kAttached,
  kDetached,
  kChannelGone,
  kEventAttached,
  kChildEnded,
  kLaunch,
  kLaunched,
  kLent,
  kUnlent,
  kReplaced,
  kGrantEnded,
  // Of who looks on.
  kLook,
  kLooked,
  // Of a process of before the broker's restart.
  kRejoin,
  kClaims,
};

struct Header {
  Kind kind;
  uint32_t call;
};

struct Failed {  // tail: the text
  static constexpr Kind kKind = Kind::kFailed;
  uint32_t error;  // an Error
};
struct Done {
  static constexpr Kind kKind = Kind::kDone;
};
struct TokenMade {
  static constexpr Kind kKind = Kind::kToken;
  Token token;
};

// Who a link, or a lane, leads to, on both ends of it.
struct Far {
  ProcessId process;
  uint32_t pid, uid, gid;
};

// Scheduling as it travels (kernel.h).
struct WireScheduling {
  uint32_t policy;
  int32_t priority;
  int64_t slice_ns, budget_ns, period_ns;
  int32_t low_priority, max_replenishments;
};

inline WireScheduling ToWire(const Scheduling& scheduling) {
  return {.policy = static_cast<uint32_t>(scheduling.policy),
          .priority = scheduling.priority,
          .slice_ns = scheduling.slice_ns,
          .budget_ns = scheduling.budget_ns,
          .period_ns = scheduling.period_ns,
          .low_priority = scheduling.low_priority,
          .max_replenishments = scheduling.max_replenishments};
}
// REQUIRES: a policy that there is.
inline Scheduling FromWire(const WireScheduling& wire) {
  return {.policy = static_cast<Policy>(wire.policy),
          .priority = wire.priority,
          .slice_ns = wire.slice_ns,
          .budget_ns = wire.budget_ns,
          .period_ns = wire.period_ns,
          .low_priority = wire.low_priority,
          .max_replenishments = wire.max_replenishments};
}

// -- Processes

struct Join {  // the first packet of a process -> Joined
  static constexpr Kind kKind = Kind::kJoin;
  uint32_t version;
  uint32_t reserved;
  uint64_t ticket;  // from Launch
};
// Descriptors: the process page, the grant page, the ledger; with a name service also its link,
// bell, knocker and pidfd; in the name server the bell (`names.bell`) and knocker of its channel.
// Tail: the process's name and its arguments, each ended by a zero byte.
struct Joined {
  static constexpr Kind kKind = Kind::kJoined;
  ProcessId process;
  uint32_t uid, gid;
  int32_t ceiling;
  WireScheduling scheduling;
  uint64_t start_ns;       // CLOCK_MONOTONIC when the kernel started
  ChannelId name_channel;  // to make: only in the name server
  uint32_t has_names;      // whether `names` and its descriptors are there
  struct {
    uint32_t connection;
    ChannelId channel;
    uint32_t bell;
    uint32_t first_bit;
    Far server;
  } names;
};
struct Spawn {  // tail: program, name, arguments, each ended by a zero byte -> Spawned
  static constexpr Kind kKind = Kind::kSpawn;
  WireScheduling scheduling;
  int32_t ceiling;
  uint32_t has_uid, uid, has_gid, gid;
  uint32_t
      name_server;  // of a launcher only: this one's channel is every process's first connection
  uint64_t region_quota_bytes;
};
struct Spawned {
  static constexpr Kind kKind = Kind::kSpawned;
  ProcessId process;
};
struct Kill {  // -> Done; as a notice, to the launcher: somebody has asked for this end
  static constexpr Kind kKind = Kind::kKill;
  ProcessId process;
};
struct ChildEnded {  // notice to the maker; tail: the reason
  static constexpr Kind kKind = Kind::kChildEnded;
  ProcessId process;
  uint32_t kind;  // an ExitKind
  int32_t code;
};

// The launcher forks the processes of one set of programs.
struct BecomeLauncher {  // instead of Join; tail: the programs' names, each ended by a zero byte ->
                         // Done
  static constexpr Kind kKind = Kind::kBecomeLauncher;
  uint32_t version;
  uint32_t adopts = 0;  // processes of before the broker's restart, that are to follow
};
struct Launch {  // notice to the launcher; tail: of `spawn`, whose fields all have their values
  static constexpr Kind kKind = Kind::kLaunch;
  uint64_t ticket;
  ProcessId process;
  ProcessId maker;
  uint32_t call;  // the maker's: one that asks again after a restart gets the same process
  Spawn spawn;
};
struct Launched {  // of the launcher, once it has forked; not answered
  static constexpr Kind kKind = Kind::kLaunched;
  ProcessId process;
};
struct Exited {  // call of the launcher, once it has reaped a process; tail: the reason -> Done
  static constexpr Kind kKind = Kind::kExited;
  ProcessId process;
  uint32_t kind;
  int32_t code;
};

// -- Channels and connections

struct MakeChannel {  // tail: the name -> MadeChannel
  static constexpr Kind kKind = Kind::kMakeChannel;
};
struct MadeChannel {  // descriptors: the bell of the owner's user, its knocker
  static constexpr Kind kKind = Kind::kMadeChannel;
  ChannelId channel;
  uint32_t bell;
};
struct DestroyChannel {  // -> Done
  static constexpr Kind kKind = Kind::kDestroyChannel;
  ChannelId channel;
};
struct GrantChannel {  // -> TokenMade
  static constexpr Kind kKind = Kind::kGrantChannel;
  ChannelId channel;
  ProcessId holder;
  uint64_t badge;
  int32_t ceiling;
  Rights rights;
};
struct Delegate {  // -> TokenMade
  static constexpr Kind kKind = Kind::kDelegate;
  Token token;
  ProcessId holder;
  Rights rights;
};
struct Revoke {  // -> Done
  static constexpr Kind kKind = Kind::kRevoke;
  Token token;
};
struct Connect {  // -> Connected
  static constexpr Kind kKind = Kind::kConnect;
  Token token;
};
struct Extend {  // three more slots for a connection -> Connected
  static constexpr Kind kKind = Kind::kExtend;
  uint32_t connection;
};
struct Connected {  // descriptors: link, bell, knocker, pidfd of the server; tail: the channel's
                    // name
  static constexpr Kind kKind = Kind::kConnected;
  uint32_t connection;
  ChannelId channel;
  uint32_t bell;
  uint32_t first_bit;
  int32_t ceiling;
  Far server;
};
struct Disconnect {  // -> Done
  static constexpr Kind kKind = Kind::kDisconnect;
  uint32_t connection;
};
struct TurnAway {  // of the server, which cannot take what Attached has told it of -> Done
  static constexpr Kind kKind = Kind::kTurnAway;
  uint32_t connection;
};
// Notice to the server. Descriptors: link, pidfd of the client; with `new_bell` also bell and
// knocker.
struct Attached {
  static constexpr Kind kKind = Kind::kAttached;
  uint32_t connection;
  ChannelId channel;
  uint32_t bell;
  uint32_t first_bit;
  int32_t ceiling;
  uint32_t new_bell;
  uint64_t badge;
  Far client;
};
struct Detached {  // notice to the server: the client has disconnected, lost its right, or died
  static constexpr Kind kKind = Kind::kDetached;
  uint32_t connection;
};
struct ChannelGone {  // notice to the client: no send over this connection will come to anything
  static constexpr Kind kKind = Kind::kChannelGone;
  uint32_t connection;
  uint32_t revoked;  // the right to it was taken; the channel lives
};

// -- Events (U4)

struct RegisterEvent {  // -> TokenMade
  static constexpr Kind kKind = Kind::kRegisterEvent;
  ChannelId channel;
  uint32_t connection;  // to the process that may deliver it
  uint32_t code, any_value;
  int32_t priority;
  uint32_t reserved;
  uint64_t value;
};
struct OpenEvent {  // by who was given it -> OpenedEvent
  static constexpr Kind kKind = Kind::kOpenEvent;
  Token token;
};
struct OpenedEvent {  // descriptors: the link whose lane it uses, bell, knocker
  static constexpr Kind kKind = Kind::kOpenedEvent;
  uint64_t event;
  uint32_t bell;
  uint32_t first_bit;
  uint32_t any_value;
  uint32_t code;
  int32_t priority;
  uint32_t reserved;
  uint64_t value;
  uint32_t grant_word;  // in the holder's grant page: holds `event` while it may be delivered
};
// Notice to the channel's owner. Descriptors: link; with `new_bell` also bell and knocker.
struct EventAttached {
  static constexpr Kind kKind = Kind::kEventAttached;
  uint64_t event;
  ChannelId channel;
  uint32_t bell;
  uint32_t first_bit;
  uint32_t new_bell;
  uint32_t code, any_value;
  int32_t priority;
  uint32_t reserved;
  uint64_t value;
};

// -- Deadlocks (L4)

struct FindDeadlock {  // the caller's thread has been blocked for a while -> FoundDeadlock
  static constexpr Kind kKind = Kind::kFindDeadlock;
  ThreadId thread;
};
struct FoundDeadlock {  // tail: the circle, empty without one that this thread has closed
  static constexpr Kind kKind = Kind::kFoundDeadlock;
};

// -- Order

// Whatever the broker had to say to the caller before this comes before the answer. -> Done
struct CatchUp {
  static constexpr Kind kKind = Kind::kCatchUp;
};

// -- Regions

struct MakeRegion {  // -> RegionMade
  static constexpr Kind kKind = Kind::kMakeRegion;
  uint64_t bytes;
  uint32_t others_may_write;
  uint32_t reserved;
};
struct RegionMade {  // descriptor: its memory, for reading or writing as `rights` say
  static constexpr Kind kKind = Kind::kRegion;
  RegionId region;
  Rights rights;
  CapabilityId capability;
  uint64_t memory_bytes;    // of the whole file
  uint64_t offset, length;  // of what was granted
  uint32_t grant_word;      // in the holder's grant page, and what it holds while the grant stands
  uint32_t others_may_write;
  uint64_t grant_value;
};
struct GrantRegion {  // -> TokenMade
  static constexpr Kind kKind = Kind::kGrantRegion;
  CapabilityId capability;
  ProcessId holder;
  Rights rights;
  uint64_t offset, length;  // within the region
};
struct Redeem {  // -> RegionMade
  static constexpr Kind kKind = Kind::kRedeem;
  Token token;
};
struct Lend {  // R5: the server of `connection` may be shown this region in messages -> LendMade
  static constexpr Kind kKind = Kind::kLend;
  CapabilityId capability;
  uint32_t connection;
  Rights rights;
};
struct LendMade {  // the server has been told
  static constexpr Kind kKind = Kind::kLendMade;
  uint32_t lend;  // its number, of one memory: what is lent after a reclaim has another
};
struct Lent {  // notice to the server, also when the rights or the memory change; descriptor: its
               // memory
  static constexpr Kind kKind = Kind::kLent;
  uint32_t connection;
  uint32_t lend;
  RegionId region;
  Rights rights;
  uint64_t memory_bytes;
};
struct Unlent {  // notice to the server: the lender has lost the region
  static constexpr Kind kKind = Kind::kUnlent;
  uint32_t connection;
  uint32_t lend;
};
// New memory for a region, by its owner, who copies the contents over (not by a mapping that is
// still there at the commit) and then commits -> RegionMade, which replaces nothing yet.
struct RenewRegion {
  static constexpr Kind kKind = Kind::kRenewRegion;
  CapabilityId capability;
};
// The renewed memory is the region's from now on -> Done. Frozen (R4): sealed against every write,
// holders and servers get it in place of the old. Reclaimed (R7): all grants and lends are dead,
// and the old memory is emptied under whoever still maps it.
struct CommitRegion {
  static constexpr Kind kKind = Kind::kCommitRegion;
  CapabilityId capability;
  uint32_t freeze;
  uint32_t reserved;
};
struct Replaced {  // notice to a holder; descriptor: the frozen memory, read-only
  static constexpr Kind kKind = Kind::kReplaced;
  CapabilityId capability;
};
struct GrantEnded {  // notice to a holder: revoked, or the owner has gone; its grant word is 0
                     // already
  static constexpr Kind kKind = Kind::kGrantEnded;
  CapabilityId capability;
};
struct CloseRegion {  // -> Done
  static constexpr Kind kKind = Kind::kCloseRegion;
  CapabilityId capability;
};

// -- Looking on, by a socket that is neither a launcher's nor a process's. A user sees the
// processes of its own launchers, uid 0 all of them.

// The first process whose number is at least `process`, its threads from this entry of its page on
// -> Looked
struct Look {
  static constexpr Kind kKind = Kind::kLook;
  uint32_t version;
  ProcessId process;
  uint32_t entry;
};
// What a process says of its thread, read once and unchecked but for `server`, `channel` and
// `channel_name`, which the broker knows better.
struct LookedThread {
  uint32_t id, tid;
  uint8_t state, base, effective, reserved;
  uint32_t blocked_on;  // layout.h
  ProcessId server;     // SEND, REPLY: whose channel it is
  ChannelId channel;    // SEND, REPLY
  uint32_t serves[4];   // layout.h
  uint64_t since;       // ticks
  char name[32];        // ended by a zero byte unless it is as long
  char channel_name[32];
};
static_assert(sizeof(LookedThread) == 112);       // no padding
inline constexpr uint32_t kThreadsPerLook = 256;  // at most
struct Looked {                                   // tail: the threads, then the process's name
  static constexpr Kind kKind = Kind::kLooked;
  ProcessId process;  // none: there are no more
  uint32_t pid;       // 0: it has not joined
  uint32_t uid;
  int32_t ceiling;
  uint32_t launcher_pid;
  uint32_t name_server;
  uint32_t threads;
  uint32_t next_entry;  // 0: the rest of its page is free
};

template <typename T>
concept WireStruct = std::is_trivially_copyable_v<T> && requires {
  T::kKind;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_WIRE_H_
