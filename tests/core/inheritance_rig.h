// Threads, channels and mutexes under legal kernel operations, beside a naive model of P3.
//
// The model records who is blocked on what, and after each operation solves the equations of
// priority.h from nothing: all levels 0, then raised until none changes.
#ifndef PARLEY_TESTS_CORE_INHERITANCE_RIG_H_
#define PARLEY_TESTS_CORE_INHERITANCE_RIG_H_

#include <deque>
#include <set>
#include <vector>

#include "kernel-sim/core/priority.h"
#include "tests/core/drive.h"

namespace tests {

class InheritanceRig {
 public:
  InheritanceRig(Size size, Choices& choices);
  ~InheritanceRig();
  void Step(Choices& choices);

 private:
  static constexpr int kNone = -1;
  enum class Kind {
    kSend,
    kReceive,
    kReply,
    kLeave,
    kSetBase,
    kLock,
    kUnlock,
    kPulse,
    kUnserve,
    kEnd
  };
  struct Operation {
    Kind kind;
    int thread = kNone, object = kNone;
  };
  // What the model knows of one thread.
  struct Known {
    parley::ThreadState state = parley::ThreadState::kRunning;
    int base = 0, ceiling = 0, pulse = 0;
    int object = kNone;  // the channel of SEND and RECEIVE, the mutex of MUTEX
    int client = kNone;  // whose message gives the current term
    std::set<int> serves, owns;
    int effective = 0;
  };

  std::vector<Operation> Legal() const;
  void Do(const Operation& operation, Choices& choices);
  void Send(int client, int channel, int ceiling);
  void Receive(int server, int channel);
  void Reply(int client);
  void Leave(int thread);
  void Lock(int thread, int mutex);
  void Unlock(int mutex);
  void Pulse(int channel, int level);
  void End(int thread);
  void GiveMessage(int server, int client, int channel);
  void GivePulse(int server, int channel, int level);
  void EndTermOf(int server);

  int NewBase(int thread, Choices& choices) const;
  void Block(int thread, parley::ThreadState state, int object);
  void Wake(int thread);
  int IndexOf(const parley::Thread& thread) const;
  int SentLevel(int thread) const;
  int Equation(int thread) const;
  void Solve();
  void Compare();
  void CompareQueues();

  const Size size_;
  const std::vector<int> levels_;
  std::deque<parley::Thread> threads_;
  std::deque<parley::Channel> channels_;
  std::deque<parley::Mutex> mutexes_;
  std::deque<parley::QueueEntry> pulses_;  // one for each channel
  parley::Inheritance inheritance_;
  std::vector<Known> known_;
  std::vector<int> owner_;  // of each mutex
  int steps_ = 0;
};

}  // namespace tests

#endif  // PARLEY_TESTS_CORE_INHERITANCE_RIG_H_
