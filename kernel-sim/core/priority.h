// Priority inheritance (P3 to P6): keeps every thread's effective priority equal to what the rules
// say.
//
//   effective(t) = max(current(t), highest SEND-blocked on a channel t serves, highest waiter of a
//   mutex t owns) current(t)   = the sent level of the client whose message t received last and has
//   not answered,
//                  or the level of the pulse it received last, else its base
//
// Decisions where the rules leave room: answering the message received last ends its term, older
// unanswered messages do not come back; a client that leaves or dies ends its term as an answer
// does. Channels made with fixed priority neither boost nor give a current (P5).
//
// Each operation makes one change to who waits for whom, then re-evaluates everything that depends
// on it, transitively (P4). Queued threads are moved to the tail of their new level (P2), waiting
// receivers keep their time. Threads whose effective priority has changed are listed in changed(),
// oldest first, until the kernel clears it: it moves them in its ready queue. Not thread-safe. One
// for all threads of a kernel.
//
// Invariant: between operations effective() is the least solution of the equations above.
#ifndef PARLEY_KERNEL_SIM_CORE_PRIORITY_H_
#define PARLEY_KERNEL_SIM_CORE_PRIORITY_H_

#include <algorithm>
#include <vector>

#include "kernel-sim/core/thread.h"

namespace parley {

class Inheritance {
 public:
  // Threads whose effective priority has changed since the last ClearChanged; one may be listed
  // more than once.
  const std::vector<Thread*>& changed() const { return changed_; }
  void ClearChanged() { changed_.clear(); }

  void SetBase(Thread& thread, int base);

  // The client becomes SEND-blocked on `channel` (the kernel sets its state first).
  void Enqueue(Thread& client, Channel& channel, int send_ceiling);
  // It leaves the queue unreceived.
  void Dequeue(Thread& client);
  // `server` receives the message of `client`: queued, or (never queued) handed over to a waiting
  // receiver.
  void Receive(Thread& server, Thread& client, Channel& channel, int send_ceiling);
  // `server` receives a pulse; the kernel has taken it out of the queue.
  void ReceivePulse(Thread& server, int level, Channel& channel);
  // The term of the message or pulse received last ends: a reply, the next receive, or the client
  // has gone.
  void EndCurrent(Thread& server) {
    if (server.client_ != nullptr || server.pulse_level_ != 0) DropCurrent(server);
  }
  // The same, told of the REPLY-blocked client: whatever it boosts, it does no longer.
  void EndReply(Thread& client) {
    client.channel_ = nullptr;
    if (client.boosts_ != nullptr) DropCurrent(*client.boosts_);
  }

  // `thread` waits in Receive on `channel`, and from now on serves it.
  void AddReceiver(Thread& thread, Channel& channel);
  void RemoveReceiver(Thread& thread);
  void Serve(Thread& thread, Channel& channel) {
    const auto& serves = thread.serves_;
    if (std::find(serves.begin(), serves.end(), &channel) == serves.end()) {
      BeginToServe(thread, channel);
    }
  }
  void Unserve(Thread& thread, Channel& channel);
  // The thread has ended: it serves nothing. Its mutexes are the kernel's to hand on first.
  void UnserveAll(Thread& thread);

  void Own(Thread& thread, Mutex& mutex);
  void Disown(Mutex& mutex);
  void WaitFor(Thread& thread, Mutex& mutex);
  void StopWaiting(Thread& thread);

  // What the equations give for this thread, from its neighbours' present values.
  int Evaluate(const Thread& thread) const;

  static const std::vector<Mutex*>& OwnedBy(const Thread& thread) { return thread.owns_; }

 private:
  template <typename Visit>
  static void ForEachDependent(const Thread& thread, Visit visit);
  void Reevaluate(Thread& thread);
  void Change(Thread& thread, int level);
  void BeginToServe(Thread& thread, Channel& channel);
  void DropCurrent(Thread& server);
  void RaiseServers(Channel& channel, int level);
  void LowerServers(Channel& channel, int level, const Thread* receiver);
  void Commit(Thread& thread, int effective);
  static bool LeadsNowhere(const Thread& first);
  // All that depend on `thread`, it included; true if some of them depend on each other in a
  // circle.
  bool Reach(Thread& thread, std::vector<Thread*>& reached);
  void Settle(const std::vector<Thread*>& threads);

  std::vector<Thread*> changed_;
  std::vector<Thread*> work_;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_PRIORITY_H_
