// What one process of the host kernel holds: its threads, channels with the clients they serve,
// connections, timers.
//
// Plain data with their invariants; the behaviour is in the files of Process, one a subject. All of
// it is guarded by the process's lock, but for atomics and what says otherwise here.
#ifndef PARLEY_KERNEL_SIM_HOST_OBJECTS_H_
#define PARLEY_KERNEL_SIM_HOST_OBJECTS_H_

#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "kernel-sim/core/channel.h"
#include "kernel-sim/core/handle_table.h"
#include "kernel-sim/core/pulse.h"
#include "kernel-sim/core/thread.h"
#include "kernel-sim/core/timer.h"
#include "kernel-sim/host/fd.h"
#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/layout.h"
#include "kernel-sim/host/priority_lock.h"
#include "kernel-sim/host/spin.h"
#include "kernel-sim/host/wire.h"
#include "kernel-sim/kernel.h"
#include "kernel-sim/watch.h"

namespace parley::host {

struct HostChannel;
struct OutConnection;
struct ServedLink;

// How long a client may take to serve a copy, besides what its bytes need (link_copy.h).
inline constexpr int64_t kCopyPatienceNs = 1'000'000'000;

// A Linux process at the far end of a link. Its pidfd tells of its death when no broker does.
// Closing that does not end its watch: the broker holds the same open file.
struct FarProcess {
  ~FarProcess() { epoll_ctl(watched_by, EPOLL_CTL_DEL, pidfd.get(), nullptr); }
  Far far = {};
  UniqueFd pidfd;
  int watched_by = -1;  // the agent's epoll
  bool dead = false;
  // As a client whose bytes this process copies (copies.cc).
  std::atomic<bool> refused{false};  // Linux does not permit it: it goes through the link
  std::atomic<int64_t> patience_ns{kCopyPatienceNs};
};
using FarPointer = std::shared_ptr<FarProcess>;

// -- As a client

// Where a client rings.
struct OutBell {
  SharedMapping memory;
  UniqueFd knocker;
  Bell& bell() const { return *memory.As<Bell>(); }
};

// A connection's first or further link, as its client sees it.
struct OutLink {
  std::shared_ptr<const SharedMapping> memory;  // also of regions that are contested in it (R5)
  std::shared_ptr<OutBell> bell;
  uint32_t first_bit = 0;
  // A slot's last send: kept here, since the server could write into what they share.
  struct Use {
    bool claimed = false;  // by a thread that sends
    bool left = false;     // the server may not have let go of it yet
    uint32_t sequence = 0;
  };
  std::array<Use, kSlotsPerLink> uses = {};
  Link& link() const { return *memory->As<Link>(); }
};

// Invariant: at least one link.
struct OutConnection {
  uint32_t number = 0;
  ChannelId channel = ChannelId::kNone;
  int ceiling = kMaxPriority;
  std::atomic<bool> dead{false};  // L1; its senders look without the lock
  bool revoked = false;           // R7: dead, though the channel may live
  FarPointer server;
  std::vector<std::unique_ptr<OutLink>> links;
  struct Lending {
    uint32_t number = 0;
    Rights rights = Rights::kNone;
  };
  absl::flat_hash_map<CapabilityId, Lending> lends;  // what the broker has lent to its server (R5)
  HostChannel* death_channel = nullptr;
  uint64_t death_cookie = 0;
  int sends_in_flight = 0;  // one that is closed lives until they have ended
  bool closed = false;
};

// The slot of a send in flight. It and its link stay while the send is.
struct OutSlot {
  OutConnection* connection = nullptr;
  OutLink* link = nullptr;
  uint32_t index = 0;
  int ceiling = kMaxPriority;
  Slot& slot() const { return link->link().slots[index]; }
  OutLink::Use& use() const { return link->uses[index]; }
  Staging& staging() const { return link->link().staging[index]; }
  uint32_t bit() const { return link->first_bit + index; }
};

// -- Threads

struct HostThread;
struct UserTimer;
// What the agent's timer queue holds: a program's timer, the budget of a sporadic thread (P7), or
// when to look whether a thread that is kept on one CPU still waits as it did (placement.cc).
struct AgentTimer : TimerNode {
  enum class Of : uint8_t { kUser, kBudget, kParting };
  explicit AgentTimer(UserTimer* user) : of(Of::kUser), user(user) {}
  AgentTimer(Of of, HostThread* thread) : of(of), thread(thread) {}
  const Of of;
  UserTimer* const user = nullptr;
  HostThread* const thread = nullptr;
};

struct HostThread : Thread {
  HostThread(ThreadId id, const Scheduling& scheduling, std::string name, const SpinBounds& spin)
      : Thread(id, scheduling.priority),
        scheduling(scheduling),
        name(std::move(name)),
        receive_spin(spin),
        send_spin(spin),
        copy_spin(spin) {}

  Scheduling scheduling;
  const std::string name;
  ThreadEntry* entry = nullptr;  // in the process page; null if that is full
  void (*routine)(void*) = nullptr;
  void* argument = nullptr;
  pthread_t pthread = {};
  uint32_t tid = 0;         // Linux's, once it runs
  int linux_priority = -1;  // as last set; -1 never

  // What it sleeps on but for a send: not 0 means look up. `granted`: it has what it waited for.
  std::atomic<uint32_t> wake{0};
  bool granted = false;
  absl::Status grant_status;
  std::atomic<bool> cancel_pending{false};  // D5

  // SEND, REPLY. Set by itself, under the lock.
  OutSlot out;
  bool sending = false;
  std::atomic<uint16_t> send_level{0};  // what its slot is to show; changed under the lock
  // RECEIVE: what was handed over to it. An Inbound, or a pulse.
  struct Inbound* delivered = nullptr;
  std::optional<PulseInfo> pulse;
  HostChannel* receiving = nullptr;
  Bell* asleep_at = nullptr;  // while it sleeps on this one's door alone
  Spinner receive_spin, send_spin, copy_spin;
  int client_cpu = -1;  // where the sender of the message received last ran, by its own word
  // For the trace (tracer.h): since which tick it waits to receive, until that is told, else 0;
  // when it looked last while it spun, else 0; and the priorities that were told last.
  uint64_t waits_since = 0;
  std::atomic<uint64_t> looked_at{0};  // relaxed: it looks without the lock
  uint8_t traced_effective = 0, traced_base = 0;

  // Where it waits for a peer (placement.cc). Its own, and its agent's: hints, so relaxed.
  std::atomic<uint64_t> waits{0};    // so far
  uint64_t waits_seen = 0;           // when the agent looked last
  std::atomic<int> short_sleeps{0};  // in a row
  int yields = 0;                  // while it is kept on one CPU: waits that ended without a sleep
  std::atomic<bool> kept{false};   // from some of the CPUs where it may run
  std::atomic<int> paired_on{-1};  // kept on its peer's
  uint64_t stands_until = 0;       // before it stands aside again, so many waits
  cpu_set_t allowed;               // while it is kept: where it may run else
  AgentTimer parting{AgentTimer::Of::kParting, this};
  void CountWait();
  void CountSleep(Spinner& spin, int64_t slept_ns);
  bool WantsToPair(int cpu) const;
  bool HasYieldedEnough();

  // SPORADIC: since when its budget counts, and the CPU time it had used by then.
  AgentTimer budget{AgentTimer::Of::kBudget, this};
  int64_t active_ns = 0, cpu_ns = 0;
  bool exhausted = false;  // it runs at its low priority

  HostThread* joining = nullptr;
  std::vector<HostThread*> joiners;
  struct CondVar* condition = nullptr;
  struct ConditionNode : LevelNode {
    explicit ConditionNode(HostThread* thread) : thread(thread) {}
    HostThread* const thread;
  } condition_node{this};
  bool named = false;  // a ThreadHandle names it
  bool dead = false;
};

struct HostMutex : Mutex {};
struct CondVar {
  LevelQueue waiters;
};

// -- As a server

// Of one message: its copies through the link, one after the other (S5).
struct CopyTurns {
  PriorityLock lock;
  std::atomic<bool> unserved{false};  // the client has let one wait in vain: no other is tried
};

// One slot of a client as its server sees it: a thread of the core's, so that P3 and P4 are the
// core's to work out. Its id is kNone; its base priority is what the client claims, clamped.
//
// Invariants:
//   1. Queued: entry() is in the channel's queue, and `sequence` is of the request that is queued.
//   2. Taken: `serial` is not 0, and the slot is this server's to answer; `gone` says that nobody
//   waits for that.
struct Inbound : Thread {
  // R5: one word for each reference; of a lease that stands it holds that lease's number, which no
  // other ever has.
  using LeaseWords = std::array<std::atomic<uint64_t>, kMaxRegionReferences>;
  Inbound(ServedLink& link, uint32_t slot_index, uint32_t handle_slot, LeaseWords& lease_words)
      : Thread(ThreadId::kNone, kMinPriority),
        link(link),
        slot_index(slot_index),
        handle_slot(handle_slot),
        lease_words(lease_words) {}
  ServedLink& link;
  const uint32_t slot_index;
  const uint32_t handle_slot;  // MessageHandle::slot
  LeaseWords& lease_words;     // of the process: a program may look at one after the link has gone
  // What its leases show stays mapped until it is answered, though it be lent no more (R9).
  absl::InlinedVector<std::shared_ptr<const SharedMapping>, 1> leased;

  uint32_t sequence = 0;
  uint64_t serial = 0;
  bool gone = false;               // the client has left, died or was disconnected
  bool unblock_requested = false;  // D3
  uint8_t unblock_priority = 0;    // of the unblock pulse, to withdraw it (D4)
  bool answering = false;          // a thread writes the answer
  // Threads that read or write its bytes. While there are some it is not answered: that gives the
  // client its buffers back, for its next request (S4). Changed under the lock.
  std::atomic<uint32_t> moving{0};
  CopyTurns copies;  // where the client serves them
  // Read once from the slot when the request was taken, and checked.
  uint32_t thread = 0;
  uint32_t request_bytes = 0, reply_room = 0;
  uint8_t reference_count = 0;
  std::array<SharedReference, kMaxRegionReferences> references;

  // R5: at the answer, and when the client leaves.
  void EndLeases() {
    for (size_t i = 0; i < reference_count; ++i) lease_words[i].store(0);
  }
  Slot& slot() const;
  Staging& staging() const;
};

// A pulse that waits in a lane, as queued on the channel. Its count is in the lane. Its source is a
// connection or an event; those of PulseTable never are.
struct LanePulse : Pulse {
  ServedLink* link = nullptr;
  uint32_t index = 0;
};
inline bool IsInLane(const Pulse& pulse) {
  return pulse.source.kind == PulseSource::Kind::kConnection ||
         pulse.source.kind == PulseSource::Kind::kEvent;
}

// What is lent over one connection now (R5), by the lends' numbers. Mapped when first used, then
// kept for the next (R6).
struct ServedLends {
  struct Lent {
    RegionId region = RegionId::kNone;
    Rights rights = Rights::kNone;
    uint64_t bytes = 0;
    UniqueFd memory;                               // until it is mapped
    std::shared_ptr<const SharedMapping> mapping;  // null until it is used
  };
  absl::flat_hash_map<uint32_t, Lent> lent;
};

// A link, or an event's lane, as the server sees it. It lives until its client is gone and nothing
// of it is queued or unanswered.
struct ServedLink {
  uint32_t connection = 0;         // the broker's number of it; 0 of an event
  uint32_t connection_id = 0;      // the channel's
  uint64_t event = 0;              // number; 0 of a connection
  HostChannel* channel = nullptr;  // null once that is gone
  struct ServedBell* bell = nullptr;
  uint32_t first_bit = 0;
  int ceiling = kMaxPriority;
  uint64_t badge = 0;
  FarPointer client;  // null of an event
  // An event's own (U4).
  bool any_value = false;
  uint8_t code = 0;
  int priority = 0;
  uint64_t value = 0;

  UniqueFd descriptor;  // of an event's memory
  SharedMapping memory;
  std::shared_ptr<ServedLends> lends;  // of the connection
  bool detached = false;
  uint32_t held = 0;  // entries queued, and who looks at it for now
  std::array<std::unique_ptr<Inbound>, kSlotsPerLink> inbound;
  std::unique_ptr<std::array<LanePulse, kMaxQueuedPulsesPerConnection>> lane;  // once it is used
  Link& link() const { return *memory.As<Link>(); }
};
inline Slot& Inbound::slot() const { return link.link().slots[slot_index]; }
inline Staging& Inbound::staging() const { return link.link().staging[slot_index]; }

// A channel's bell for the clients of one user.
struct ServedBell {
  uint32_t number = 0;
  HostChannel* channel = nullptr;
  UniqueFd descriptor;  // of the memory
  SharedMapping memory;
  UniqueFd knocker;
  std::array<ServedLink*, kBellBits / kBitsPerLink> links = {};  // by first bit / kBitsPerLink
  Bell& bell() const { return *memory.As<Bell>(); }
};

struct HostChannel : Channel {
  HostChannel(ChannelId id, const ChannelOptions& options)
      : Channel(options.fixed_priority), id(id), options(options) {}
  const ChannelId id;
  const ChannelOptions options;
  std::vector<std::unique_ptr<ServedBell>> bells;  // the first: the owner's own user's
  absl::flat_hash_set<ServedLink*> links;          // not detached
  struct ClientProcess {
    int connections = 0;
    uint32_t newest = 0;
  };
  absl::flat_hash_map<ProcessId, ClientProcess> client_processes;  // that have connections
  uint32_t last_connection_id = 0;
  PulseTable pulses;           // the kernel's and timers'
  Inbound* watched = nullptr;  // its client need not ring
  // Whoever is watched must ring again. True if it has sent something meanwhile: it counts as rung.
  bool EndWatch();
  int receivers = 0;                             // threads that wait in Receive
  uint32_t doors_closed = 0;                     // how often (SleepingDoor)
  uint32_t last_answered = ~0u;                  // Inbound::handle_slot
  bool paired = false;                           // one client alone keeps it busy
  uint32_t answers_awake = 0;                    // since a server of it slept
  uint8_t CountAnswer(const Inbound& answered);  // placement.cc
  int served_level = kMaxPriority;               // as its bells show it (P4)
  bool destroyed = false;
};

struct UserTimer {
  UserTimer(HostChannel* channel, const PulseSpec& pulse) : channel(channel), pulse(pulse) {}
  HostChannel* channel;  // null once gone
  const PulseSpec pulse;
  uint64_t number = 0;
  int64_t next_ns = 0;
  int64_t period_ns = 0;
  AgentTimer node{this};
};

// An event that this process may deliver (U4).
struct OpenedLane {
  uint64_t number = 0;
  uint32_t grant_word = 0;
  bool any_value = false;
  PulseSpec pulse;
  SharedMapping memory;
  std::shared_ptr<OutBell> bell;
  uint32_t first_bit = 0;
};

// -- Regions

// A region, or a range of one that was granted, as this process holds it.
struct HeldRegion {
  RegionId id = RegionId::kNone;
  CapabilityId capability = CapabilityId::kNone;
  Rights rights = Rights::kNone;
  uint64_t offset = 0, length = 0;  // within the region
  bool owner = false;
  bool others_may_write = false;
  bool frozen = false;
  uint32_t grant_word = 0;
  uint64_t grant_value = 0;
  SharedMapping mapping;     // of the whole region
  UniqueFd memory, renewed;  // the owner's: that, and what is to take its place
  int handles = 0;
  int leases = 0;         // in messages in flight
  int out_leases = 0;     // of them, since the last reclaim: those that a server may write through
  uint32_t reclaims = 0;  // so far (R7)
  bool changing = false;  // a thread freezes or reclaims it
  // Left in a slot whose server could write into it, until that lets go.
  struct Contested {
    std::shared_ptr<const SharedMapping> link;
    uint32_t slot;
    uint32_t sequence;
    FarPointer server;
  };
  std::vector<Contested> contested;
  std::byte* address() const { return mapping.address() + offset; }
};

// -- Processes

struct ChildRecord {
  ProcessId id = ProcessId::kNone;
  bool ended = false;
  bool open = true;  // a handle names it
  ExitStatus exit;
  std::vector<HostThread*> waiters;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_OBJECTS_H_
