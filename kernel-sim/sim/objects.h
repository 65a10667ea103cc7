// The simulated kernel's objects: processes, threads, channels, connections, and what hangs on
// them.
//
// Plain data with their invariants; the behaviour is in the files of Simulation, one a subject. All
// of them are owned by the Simulation and live until it is gone or says otherwise here. A pointer
// between objects is cleared by whoever ends the object pointed at.
#ifndef PARLEY_KERNEL_SIM_SIM_OBJECTS_H_
#define PARLEY_KERNEL_SIM_SIM_OBJECTS_H_

#include <boost/intrusive/list.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "kernel-sim/boot.h"
#include "kernel-sim/core/capability.h"
#include "kernel-sim/core/handle_table.h"
#include "kernel-sim/core/pulse.h"
#include "kernel-sim/sim/memory.h"
#include "kernel-sim/sim/scheduler.h"
#include "kernel-sim/watch.h"

namespace parley::sim {

class Simulation;
struct Process;
struct Connection;
struct SimThread;

using ListHook =
    boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
template <typename Object, ListHook Object::*hook>
using HookedList =
    boost::intrusive::list<Object, boost::intrusive::member_hook<Object, ListHook, hook>,
                           boost::intrusive::constant_time_size<false>>;

// What a send carries while its client is blocked. `arguments` and its spans are of the client's
// memory, in frames that stay while it is blocked.
struct SendInFlight {
  uint64_t serial = 0;  // 0: no send in flight
  Connection* connection = nullptr;
  const SendArguments* arguments = nullptr;
  uint64_t request_bytes = 0;
  uint64_t reply_room = 0;
  int64_t sent_at_ns = 0;
  uint8_t priority_at_send = 0;
  uint8_t ceiling = kMaxPriority;    // P6: of the connection and of the client's process
  bool unblock_requested = false;    // D3
  uint8_t unblock_priority = 0;      // of the unblock pulse, to withdraw it (D4)
  Error leave_error = Error::kNone;  // D3: what the client gets when its grace ends
  Process* receiver = nullptr;       // once received
  absl::InlinedVector<Lease, 2> leases;
  SendResult result;
};

struct SimThread : ScheduledThread {
  SimThread(Simulation& simulation, ThreadId id, uint32_t slot, Process& process,
            const Scheduling& scheduling, std::string name)
      : ScheduledThread(id, scheduling),
        simulation(simulation),
        slot(slot),
        process(process),
        name(std::move(name)) {}

  Simulation& simulation;

  const uint32_t slot;
  Process& process;
  const std::string name;
  void (*routine)(void*) = nullptr;  // null: the main thread
  void* argument = nullptr;
  Stack stack;

  // Why it blocks, and what became of it.
  Timer deadline{Timer::Purpose::kDeadline, this};
  Timer grace{Timer::Purpose::kGrace, this};
  absl::Status wake_status;
  bool cancel_pending = false;  // D5, when it was not blocked
  int64_t owed_ns = 0;          // virtual CPU time of copies, paid at the next call
  SendInFlight send;
  ListHook process_hook;  // in its process's `threads` while alive
  ListHook reply_hook;    // in the channel's `reply_blocked` while REPLY
  ListHook lease_hook;    // in the simulation's lessors while its send carries leases
  MutableParts receive_buffer;
  ReceiveResult* receive_result = nullptr;
  SimThread* joining = nullptr;         // JOIN: the thread it waits for, or
  Process* waiting_for = nullptr;       // the process
  struct CondVar* condition = nullptr;  // CONDVAR, and its place there
  struct ConditionNode : LevelNode {
    explicit ConditionNode(SimThread* thread) : thread(thread) {}
    SimThread* const thread;
  } condition_node{this};
  struct SimMutex* relock = nullptr;  // CONDVAR, and MUTEX after it: the mutex to lock again,
  absl::Status relock_status;         // and what CondVarWait then returns
  std::vector<SimThread*> joiners;
  bool named = false;  // a ThreadHandle names it; forgotten when dead and unnamed
  int calls_after_death = 0;
  bool started = false;     // its fiber has been on
  bool abandoned = false;   // its fiber could not unwind
  bool fiber_over = false;  // left for good, or lost
  int last_told_priority = 0;
};

struct SimChannel : Channel {
  SimChannel(ChannelId id, Process& process, const ChannelOptions& options)
      : Channel(options.fixed_priority), id(id), process(process), options(options) {}
  const ChannelId id;
  Process& process;
  const ChannelOptions options;
  HookedList<SimThread, &SimThread::reply_hook> reply_blocked;
  absl::flat_hash_set<Connection*> connections;
  struct ClientProcess {
    int connections = 0;
    uint32_t newest = 0;
  };
  absl::flat_hash_map<ProcessId, ClientProcess> client_processes;  // that have connections
  PulseTable pulses;
  uint32_t next_connection_id = 1;
};

// One client process's way to one channel.
struct Connection {
  Process* client = nullptr;
  SimChannel* channel = nullptr;  // null once dead (L1)
  std::string channel_name;       // for errors after death
  uint32_t id = 0;                // on the channel
  uint64_t badge = 0;
  int ceiling = kMaxPriority;
  CapabilityId capability = CapabilityId::kNone;  // none: a process's first connection
  SimChannel* death_channel = nullptr;
  uint64_t death_cookie = 0;
  uint64_t number = 0;      // unique, for the quota of its pulses
  int sends_in_flight = 0;  // one that is closed lives until they have ended
  bool closed = false;
  bool revoked = false;
};

// An event as registered (U4).
struct SimEvent {
  SimChannel* channel = nullptr;  // null once gone
  PulseSpec pulse;
  bool any_value = false;
};

struct UserTimer {
  UserTimer(SimChannel* channel, const PulseSpec& pulse) : channel(channel), pulse(pulse) {}
  SimChannel* channel;  // null once gone
  const PulseSpec pulse;
  uint64_t number = 0;
  int64_t next_ns = 0;    // when it is due
  int64_t period_ns = 0;  // 0: once
  Timer timer{Timer::Purpose::kUser, this};
};

struct SimMutex : Mutex {};

struct CondVar {
  LevelQueue waiters;
};

// What is left of a message whose client has gone while the server could write into its regions
// (R5).
using AbandonedLeases = std::vector<Lease>;

struct Process {
  ProcessId id = ProcessId::kNone;
  Birth birth;
  const Program* program = nullptr;
  ProcessOptions options;
  bool service = false;
  bool ended = false;
  ExitStatus exit;
  std::unique_ptr<Kernel> kernel;  // its calls

  HookedList<SimThread, &SimThread::process_hook> threads;  // alive, oldest first
  int fibers = 0;             // threads that have not left their stacks yet
  SimThread* main = nullptr;  // null once its fiber is over
  HandleTable<ThreadHandle, SimThread> thread_handles;
  HandleTable<ChildHandle, Process> children;
  HandleTable<ChannelHandle, SimChannel> channels;
  HandleTable<ConnectionHandle, Connection> connections;
  HandleTable<TimerHandle, UserTimer> timers;
  WatchTable watches;
  HandleTable<MutexHandle, SimMutex> mutexes;
  HandleTable<CondVarHandle, CondVar> conditions;
  absl::flat_hash_set<std::unique_ptr<UserTimer>> timer_records;
  absl::flat_hash_set<std::unique_ptr<SimMutex>> mutex_records;
  absl::flat_hash_set<std::unique_ptr<CondVar>> condition_records;
  ProcessMemory memory;
  absl::flat_hash_map<uint64_t, AbandonedLeases> abandoned;  // by message serial
  std::vector<SimThread*> waiters;                           // JOIN-blocked in ProcessWait

  // Faults (boot.h) that concern it.
  int64_t calls = 0;
  std::vector<const Fault*> faults;
  double slow_factor = 1;

  ProcessReport report;
};

}  // namespace parley::sim

#endif  // PARLEY_KERNEL_SIM_SIM_OBJECTS_H_
