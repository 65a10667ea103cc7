// The threads that read Linux's requests and have them served.
//
// Each takes a request and serves it to its end, whatever it blocks in; before, another one is
// started if none is left that reads. So a read that blocks stops nobody. Bounds:
//   - Requests that may block for ever, since what ends them is another client's to do, are at most
//     kMostForEver at a time for input, and as many for room: what is read frees who writes, and
//     the other way round. One more fails with EAGAIN at once. So the rest of the threads is for
//     requests that are served soon.
//   - kMost requests at a time, which servers reach that do not answer. The last thread that could
//     still read gives the others kPatience to get done, once: from then on, until one is, each
//     request fails with EAGAIN at once.
//
// They wait in Linux for the device rather than in a Dispatcher: Linux then wakes the thread that
// serves, with no other in between, and one of them alone.
//
// Interrupts, which are what Linux makes of a signal. Steps, with the request's lock by libfuse:
//   (1) A worker says which request it blocks for (Interruptible), then calls.
//   (2) Another worker reads that this request is to be interrupted. If it blocks by its nature, as
//       a read of a device does, the first is cancelled. Otherwise it is given kPatience: calls of
//       a file system that works are not interrupted, as programs expect of files.
//   (3) The first is done and says so; libfuse holds (2) and (3) apart. After (3) nobody cancels it
//       for this request. A cancel that came too late to be noticed in the call is still pending
//       then, and would hit the next request: so it is taken at (3), by a sleep that it ends.
//
// Threads: Start, CancelOverdue and the destructor are the main thread's.
#ifndef PARLEY_SERVERS_FUSED_WORKERS_H_
#define PARLEY_SERVERS_FUSED_WORKERS_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ipc/process.h"
#include "servers/common/descriptor.h"

struct fuse_req;
struct fuse_session;

namespace fused {

class Workers;

// One of them.
class Worker {
 public:
  explicit Worker(ipc::Region room) : room_(std::move(room)) {}
  // A request, then room for the data of its reply. The data of a write and of a read go between
  // Linux and the server through it, with no copy in between.
  const ipc::Region& room() const { return room_; }

 private:
  friend class Workers;
  friend class Interruptible;
  ipc::Region room_;
  bool over_ = false;  // it has left, and is only to be joined
  std::mutex lock_;    // guards these two, which are of the request that it blocks for
  bool cancelled_ = false;
  std::optional<absl::Time> overdue_;  // to be cancelled then
  std::optional<ipc::Thread> thread_;  // last, so that it is joined before the rest goes
};

class Workers {
 public:
  static constexpr uint64_t kDataBytes = 1 << 20;               // of one read or write
  static constexpr uint64_t kRequestBytes = kDataBytes + 4096;  // with what goes in front
  static constexpr int kMost = 160;                             // threads
  static constexpr int kMostForEver = 64;                       // of them, of each kind
  static constexpr int kMostIdle = 4;                           // of them
  static constexpr absl::Duration kPatience = absl::Seconds(1);

  Workers(ipc::Process& self, fuse_session* session);
  ~Workers();  // cancels what they do, and joins them
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // The first one. kQuotaExhausted.
  absl::Status Start();
  // The calling thread.
  Worker& Current();
  // Whether the file system has been unmounted.
  bool ended() const { return ended_; }
  // Readable when there is something to do for CancelOverdue, or it has ended.
  int poke() const { return poke_.number(); }
  // Cancels whoever was to be interrupted and has had kPatience. When to look again; nothing: when
  // there is a poke.
  std::optional<absl::Time> CancelOverdue();

 private:
  friend class Interruptible;
  absl::Status Spawn();
  void Run(Worker& worker);
  bool WaitForRequest(const common::Descriptor& waits) const;
  bool BecomeBusy();
  bool Rest(Worker& worker, bool refused);
  bool Admit(int& blocked);
  void Leave(int& blocked);
  void Serve(Worker& worker, uint64_t bytes, bool last);
  void Poke() const;

  ipc::Process& self_;
  fuse_session* const session_;
  const common::Descriptor poke_, stop_;
  std::atomic<bool> ended_ = false;
  std::mutex lock_;  // guards what follows
  std::condition_variable rests_;
  std::list<Worker> workers_;
  absl::flat_hash_map<std::thread::id, Worker*> by_thread_;
  int idle_ = 0, all_ = 0;
  int for_input_ = 0, for_room_ = 0;  // may block for ever
  bool is_stuck_ = false;             // all were busy for kPatience, and none has got done since
};

// While it lives, the calling worker can be interrupted for this request. It ends before the reply.
class Interruptible {
 public:
  // What the request waits for: the server alone; or, maybe for ever, something to come, or room
  // for what is written.
  enum class For : uint8_t { kServer, kInput, kRoom };
  Interruptible(Workers& workers, fuse_req* request, For what);
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  // False: as many as may block for ever do; it is not to be served, but to fail with EAGAIN.
  bool is_admitted() const { return is_admitted_; }

 private:
  static void OnInterrupt(fuse_req* request, void* interruptible);

  Workers& workers_;
  Worker& worker_;
  fuse_req* const request_;
  int* const blocked_;  // of the workers; null: of those that are served soon
  const bool is_admitted_;
};

}  // namespace fused

#endif  // PARLEY_SERVERS_FUSED_WORKERS_H_
