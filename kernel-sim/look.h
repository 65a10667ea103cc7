// A picture of a running system on the host kernel: processes, threads, who waits for whom.
//
// Threads are shown as their processes publish them, each read at an instant of its own: a hint for
// people, not a proof. Used by `parley ps` (libipc/system.h hands it on).
#ifndef PARLEY_KERNEL_SIM_LOOK_H_
#define PARLEY_KERNEL_SIM_LOOK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel-sim/core/ids.h"
#include "kernel-sim/core/thread_state.h"

namespace parley {

struct SeenProcess {
  ProcessId id = ProcessId::kNone;
  uint32_t pid = 0;  // 0: it has not joined yet
  uint32_t uid = 0;
  uint32_t launcher_pid = 0;
  int ceiling = 0;
  bool name_server = false;
  std::string name;  // printable, as all names here
};

struct SeenThread {
  ProcessId process = ProcessId::kNone;
  uint32_t number = 0;  // in its process
  uint32_t tid = 0;     // Linux
  ThreadState state = ThreadState::kReady;
  int base = 0, effective = 0;
  std::string name;
  uint64_t since = 0;       // differs from wait to wait
  uint32_t blocked_on = 0;  // JOIN, MUTEX: a thread's number; RECEIVE: a channel
  // SEND, REPLY: whose channel; none if it is not to be seen.
  ProcessId server = ProcessId::kNone;
  ChannelId channel = ChannelId::kNone;
  std::string channel_name;
  std::vector<ChannelId> serves;
  bool serves_more = false;  // than are listed
  // By FindWaits: the threads that could end this wait, as places in SeenSystem::threads. Empty for
  // one that does not wait for a thread, or for none that is seen.
  std::vector<size_t> freed_by;
};

struct SeenSystem {
  std::vector<SeenProcess> processes;  // by id
  std::vector<SeenThread> threads;     // by process, then as published
  // By FindWaits: circles of waits that nobody outside can end, each thread followed by one that it
  // waits for.
  std::vector<std::vector<size_t>> circles;
};

// Fills in `freed_by` and `circles`.
void FindWaits(SeenSystem& system);

// What the broker at this address shows to this user: the processes of its own launchers; to uid 0
// all. A circle is shown if it was there twice. kNoSuchName, kNotPermitted: kernel-sim/service.h;
// kDeadline: the broker does not answer within 2 s.
absl::StatusOr<SeenSystem> LookAt(const std::string& address);

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_LOOK_H_
