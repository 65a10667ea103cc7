// The operations of the rig, on the kernel's objects and on the model.
#include "tests/core/inheritance_rig.h"

#include <algorithm>

namespace tests {

using parley::Channel;
using parley::QueueEntry;
using parley::Thread;
using parley::ThreadId;
using State = parley::ThreadState;

InheritanceRig::InheritanceRig(Size size, Choices& choices)
    : size_(size),
      levels_(size == Size::kSmall ? std::vector<int>{10, 20}
                                   : std::vector<int>{1, 9, 10, 63, 64, 128, 255}) {
  const bool large = size == Size::kLarge;
  const uint32_t threads = large ? 4 + choices.Below(7) : 3;
  for (uint32_t i = 0; i < threads; ++i) {
    const int base = large ? choices.OneOf(levels_) : i == 0 ? 20 : 10;
    Thread& thread = threads_.emplace_back(ThreadId{i + 1}, base);
    thread.SetState(State::kReady);
    thread.SetState(State::kRunning);
    Known& known = known_.emplace_back();
    known.base = known.effective = base;
  }
  for (int i = 0; i < (large ? 4 : 2); ++i) {
    channels_.emplace_back(large && i == 3);
    pulses_.emplace_back(QueueEntry::Kind::kPulse);
  }
  mutexes_.resize(large ? 3 : 1);
  owner_.assign(mutexes_.size(), kNone);
}

InheritanceRig::~InheritanceRig() {
  for (size_t i = 0; i < threads_.size(); ++i) {
    if (known_[i].state == State::kSend) inheritance_.Dequeue(threads_[i]);
    if (known_[i].state == State::kReceive) inheritance_.RemoveReceiver(threads_[i]);
    if (known_[i].state == State::kMutex) inheritance_.StopWaiting(threads_[i]);
  }
}

std::vector<InheritanceRig::Operation> InheritanceRig::Legal() const {
  std::vector<Operation> legal;
  for (int t = 0; t < static_cast<int>(threads_.size()); ++t) {
    legal.push_back({Kind::kSetBase, t});
    if (known_[t].state == State::kReply) legal.push_back({Kind::kReply, t});
    if (known_[t].state != State::kRunning) {
      if (known_[t].state != State::kReply) legal.push_back({Kind::kLeave, t});
      continue;
    }
    legal.push_back({Kind::kEnd, t});
    for (int c = 0; c < static_cast<int>(channels_.size()); ++c) {
      legal.push_back({Kind::kSend, t, c});
      legal.push_back({Kind::kReceive, t, c});
      if (known_[t].serves.contains(c)) legal.push_back({Kind::kUnserve, t, c});
    }
    for (int m = 0; m < static_cast<int>(mutexes_.size()); ++m) {
      if (owner_[m] != t) legal.push_back({Kind::kLock, t, m});
      if (owner_[m] == t) legal.push_back({Kind::kUnlock, t, m});
    }
  }
  for (int c = 0; c < static_cast<int>(channels_.size()); ++c) {
    if (!pulses_[c].queued()) legal.push_back({Kind::kPulse, kNone, c});
  }
  return legal;
}

void InheritanceRig::Step(Choices& choices) {
  const std::vector<Operation> legal = Legal();
  inheritance_.ClearChanged();
  Do(choices.OneOf(legal), choices);
  Compare();
}

void InheritanceRig::Do(const Operation& operation, Choices& choices) {
  const int thread = operation.thread, object = operation.object;
  switch (operation.kind) {
    case Kind::kSend:
      return Send(thread, object,
                  size_ == Size::kLarge && choices.Below(4) == 0 ? choices.OneOf(levels_)
                                                                 : parley::kMaxPriority);
    case Kind::kReceive:
      return Receive(thread, object);
    case Kind::kReply:
      return Reply(thread);
    case Kind::kLeave:
      return Leave(thread);
    case Kind::kSetBase:
      known_[thread].base = NewBase(thread, choices);
      return inheritance_.SetBase(threads_[thread], known_[thread].base);
    case Kind::kLock:
      return Lock(thread, object);
    case Kind::kUnlock:
      return Unlock(object);
    case Kind::kPulse:
      return Pulse(object, size_ == Size::kLarge ? choices.OneOf(levels_) : levels_[1]);
    case Kind::kUnserve:
      known_[thread].serves.erase(object);
      return inheritance_.Unserve(threads_[thread], channels_[object]);
    case Kind::kEnd:
      return End(thread);
  }
}

// Small: the other of two.
int InheritanceRig::NewBase(int thread, Choices& choices) const {
  if (size_ == Size::kLarge) return choices.OneOf(levels_);
  return known_[thread].base == levels_[0] ? levels_[1] : levels_[0];
}

void InheritanceRig::Block(int thread, State state, int object) {
  threads_[thread].SetState(state);
  known_[thread].state = state;
  known_[thread].object = object;
}

void InheritanceRig::Wake(int thread) {
  threads_[thread].SetState(State::kReady);
  threads_[thread].SetState(State::kRunning);
  known_[thread].state = State::kRunning;
  known_[thread].object = kNone;
}

int InheritanceRig::IndexOf(const Thread& thread) const {
  return static_cast<int>(Raw(thread.id())) - 1;
}

void InheritanceRig::EndTermOf(int server) {
  known_[server].client = kNone;
  known_[server].pulse = 0;
}

void InheritanceRig::GiveMessage(int server, int client, int channel) {
  Block(client, State::kReply, channel);
  inheritance_.Receive(threads_[server], threads_[client], channels_[channel],
                       known_[client].ceiling);
  EndTermOf(server);
  if (!channels_[channel].fixed_priority()) known_[server].client = client;
}

void InheritanceRig::GivePulse(int server, int channel, int level) {
  inheritance_.ReceivePulse(threads_[server], level, channels_[channel]);
  EndTermOf(server);
  if (!channels_[channel].fixed_priority()) known_[server].pulse = level;
}

void InheritanceRig::Send(int client, int channel, int ceiling) {
  known_[client].ceiling = ceiling;
  if (parley::ReceiverEntry* receiver = channels_[channel].FrontReceiver()) {
    Thread& server = Thread::FromReceiver(*receiver);
    inheritance_.RemoveReceiver(server);
    Wake(IndexOf(server));
    GiveMessage(IndexOf(server), client, channel);
  } else {
    Block(client, State::kSend, channel);
    inheritance_.Enqueue(threads_[client], channels_[channel], ceiling);
  }
}

void InheritanceRig::Receive(int server, int channel) {
  inheritance_.EndCurrent(threads_[server]);
  EndTermOf(server);
  inheritance_.Serve(threads_[server], channels_[channel]);
  known_[server].serves.insert(channel);
  QueueEntry* entry = channels_[channel].Front();
  if (entry == nullptr) {
    Block(server, State::kReceive, channel);
    inheritance_.AddReceiver(threads_[server], channels_[channel]);
  } else if (entry->kind == QueueEntry::Kind::kPulse) {
    const int level = entry->level;
    channels_[channel].Remove(*entry);
    GivePulse(server, channel, level);
  } else {
    GiveMessage(server, IndexOf(Thread::FromEntry(*entry)), channel);
  }
}

void InheritanceRig::Reply(int client) {
  inheritance_.EndReply(threads_[client]);
  Wake(client);
  for (Known& server : known_) {
    if (server.client == client) server.client = kNone;
  }
}

void InheritanceRig::Leave(int thread) {
  const State state = known_[thread].state;
  if (state == State::kSend) inheritance_.Dequeue(threads_[thread]);
  if (state == State::kReceive) inheritance_.RemoveReceiver(threads_[thread]);
  if (state == State::kMutex) inheritance_.StopWaiting(threads_[thread]);
  Wake(thread);
}

void InheritanceRig::Lock(int thread, int mutex) {
  if (owner_[mutex] == kNone) {
    owner_[mutex] = thread;
    known_[thread].owns.insert(mutex);
    return inheritance_.Own(threads_[thread], mutexes_[mutex]);
  }
  Block(thread, State::kMutex, mutex);
  inheritance_.WaitFor(threads_[thread], mutexes_[mutex]);
}

void InheritanceRig::Unlock(int mutex) {
  known_[owner_[mutex]].owns.erase(mutex);
  owner_[mutex] = kNone;
  inheritance_.Disown(mutexes_[mutex]);
  parley::LevelNode* front = mutexes_[mutex].waiters.Front();
  if (front == nullptr) return;
  Thread& next = Thread::FromMutexEntry(*front);
  inheritance_.StopWaiting(next);
  Wake(IndexOf(next));
  Lock(IndexOf(next), mutex);
}

void InheritanceRig::Pulse(int channel, int level) {
  parley::ReceiverEntry* receiver = channels_[channel].FrontReceiver();
  if (receiver == nullptr) return channels_[channel].Push(pulses_[channel], level);
  Thread& server = Thread::FromReceiver(*receiver);
  inheritance_.RemoveReceiver(server);
  Wake(IndexOf(server));
  GivePulse(IndexOf(server), channel, level);
}

void InheritanceRig::End(int thread) {
  inheritance_.EndCurrent(threads_[thread]);
  EndTermOf(thread);
  inheritance_.UnserveAll(threads_[thread]);
  known_[thread].serves.clear();
  for (size_t mutex = 0; mutex < mutexes_.size(); ++mutex) {
    if (owner_[mutex] == thread) Unlock(static_cast<int>(mutex));
  }
}

int InheritanceRig::SentLevel(int thread) const {
  return std::min(known_[thread].effective, known_[thread].ceiling);
}

int InheritanceRig::Equation(int thread) const {
  const Known& self = known_[thread];
  int level = self.client != kNone ? SentLevel(self.client)
              : self.pulse != 0    ? self.pulse
                                   : self.base;
  for (int other = 0; other < static_cast<int>(known_.size()); ++other) {
    const Known& waiter = known_[other];
    if (waiter.state == State::kSend && self.serves.contains(waiter.object) &&
        !channels_[waiter.object].fixed_priority()) {
      level = std::max(level, SentLevel(other));
    }
    if (waiter.state == State::kMutex && self.owns.contains(waiter.object)) {
      level = std::max(level, waiter.effective);
    }
  }
  return level;
}

void InheritanceRig::Solve() {
  for (Known& known : known_) known.effective = 0;
  for (bool again = true; again;) {
    again = false;
    for (int thread = 0; thread < static_cast<int>(known_.size()); ++thread) {
      const int level = Equation(thread);
      again = again || level != known_[thread].effective;
      known_[thread].effective = level;
    }
  }
}

void InheritanceRig::Compare() {
  const std::vector<Known> before = known_;
  Solve();
  for (int i = 0; i < static_cast<int>(threads_.size()); ++i) {
    Thread& thread = threads_[i];
    thread.CheckInvariants();
    REQUIRE(thread.effective() == known_[i].effective);
    if (known_[i].effective != before[i].effective) {
      const auto& changed = inheritance_.changed();
      REQUIRE(std::count(changed.begin(), changed.end(), &thread) > 0);
    }
    if (known_[i].state == State::kSend) REQUIRE(thread.entry().level == SentLevel(i));
  }
  constexpr int kStepsBetweenDeepChecks = 16;  // they look at 256 levels of each queue
  if (++steps_ % kStepsBetweenDeepChecks == 0) CompareQueues();
}

void InheritanceRig::CompareQueues() {
  for (const Thread& thread : threads_) {
    REQUIRE(inheritance_.Evaluate(thread) == thread.effective());
  }
  for (Channel& channel : channels_) {
    channel.CheckInvariants();
    channel.ForEachQueued([&](QueueEntry& entry) {
      if (entry.kind == QueueEntry::Kind::kPulse) return;
      REQUIRE(entry.level == Thread::FromEntry(entry).sent_level());
    });
  }
  for (parley::Mutex& mutex : mutexes_) {
    mutex.waiters.CheckInvariants();
    mutex.waiters.ForEach([&](parley::LevelNode& node) {
      REQUIRE(node.level == Thread::FromMutexEntry(node).effective());
    });
  }
}

}  // namespace tests
