// Priority inheritance: one change, then its consequences.
//
// A raise spreads along "depends on" until nothing changes: levels only grow, so it ends, circles
// included. A fall does the same where nothing is circular. In a circle (through a pool of servers)
// threads could hold each other up at a level nobody gives any more, even one that Evaluate still
// confirms, so there all that is reachable is solved again from below.
#include "kernel-sim/core/priority.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace parley {
namespace {

int SolvedOr(const absl::flat_hash_map<const Thread*, int>& solved, const Thread& thread) {
  auto found = solved.find(&thread);
  return found == solved.end() ? thread.effective() : found->second;
}

}  // namespace

// The threads whose equation mentions this one's level. At most one kind, by its state.
template <typename Visit>
void Inheritance::ForEachDependent(const Thread& thread, Visit visit) {
  if (thread.entry_.queued()) {
    if (thread.channel_->fixed_priority()) return;
    for (Thread* server : thread.channel_->servers()) visit(*server);
  } else if (thread.boosts_ != nullptr) {
    visit(*thread.boosts_);
  } else if (thread.mutex_entry_.queued() && thread.mutex_->owner != nullptr) {
    visit(*thread.mutex_->owner);
  }
}

int Inheritance::Evaluate(const Thread& thread) const {
  int level = thread.client_ != nullptr  ? thread.client_->sent_level()
              : thread.pulse_level_ != 0 ? thread.pulse_level_
                                         : thread.base_;
  for (const Channel* channel : thread.serves_) {
    if (!channel->fixed_priority()) level = std::max(level, channel->HighestMessageLevel());
  }
  for (const Mutex* mutex : thread.owns_) level = std::max(level, mutex->waiters.HighestLevel());
  return level;
}

void Inheritance::Commit(Thread& thread, int effective) {
  thread.effective_ = static_cast<uint8_t>(effective);
  if (thread.entry_.queued()) {
    if (thread.entry_.level != thread.sent_level()) {
      thread.channel_->Relevel(thread.entry_, thread.sent_level());
    }
  } else if (thread.receiver_.queued()) {
    thread.channel_->RelevelReceiver(thread.receiver_, effective);
  } else if (thread.mutex_entry_.queued()) {
    thread.mutex_->waiters.Remove(thread.mutex_entry_);
    thread.mutex_->waiters.PushBack(thread.mutex_entry_, effective);
  }
  changed_.push_back(&thread);
}

void Inheritance::Reevaluate(Thread& thread) {
  const int level = Evaluate(thread);
  if (level <= thread.effective_ && thread.has_dependents()) {
    std::vector<Thread*> reached;
    if (Reach(thread, reached)) return Settle(reached);
  }
  if (level != thread.effective_) Change(thread, level);
}

// `first` goes to `first_level`, and whatever depends on it follows.
void Inheritance::Change(Thread& first, int first_level) {
  Commit(first, first_level);
  if (!first.has_dependents()) return;  // the usual case
  ForEachDependent(first, [&](Thread& dependent) { work_.push_back(&dependent); });
  while (!work_.empty()) {
    Thread& thread = *work_.back();
    work_.pop_back();
    const int level = Evaluate(thread);
    if (level == thread.effective_) continue;
    Commit(thread, level);
    ForEachDependent(thread, [&](Thread& dependent) { work_.push_back(&dependent); });
  }
}

// Whether a few steps from dependent to only dependent end at a thread that nobody depends on.
bool Inheritance::LeadsNowhere(const Thread& first) {
  constexpr int kSteps = 8;
  const Thread* at = &first;
  for (int i = 0; i < kSteps; ++i) {
    int count = 0;
    const Thread* only = nullptr;
    ForEachDependent(*at, [&](Thread& dependent) {
      only = &dependent;
      ++count;
    });
    if (count == 0) return true;
    if (count > 1) return false;
    at = only;
  }
  return false;
}

bool Inheritance::Reach(Thread& first, std::vector<Thread*>& reached) {
  if (LeadsNowhere(first)) return false;  // the usual case allocates nothing

  struct Frame {
    Thread* thread;
    std::vector<Thread*> dependents;
    size_t next = 0;
  };
  absl::flat_hash_map<const Thread*, bool> open;  // true while on the path from `first`
  std::vector<Frame> path;
  bool circular = false;
  auto enter = [&](Thread& thread) {
    open[&thread] = true;
    reached.push_back(&thread);
    path.push_back({&thread, {}});
    ForEachDependent(thread, [&](Thread& other) { path.back().dependents.push_back(&other); });
  };
  enter(first);
  while (!path.empty()) {
    Frame& frame = path.back();
    if (frame.next == frame.dependents.size()) {
      open[frame.thread] = false;
      path.pop_back();
      continue;
    }
    Thread& dependent = *frame.dependents[frame.next++];
    auto seen = open.find(&dependent);
    if (seen == open.end()) {
      enter(dependent);
    } else if (seen->second) {
      circular = true;
    }
  }
  return circular;
}

void Inheritance::Settle(const std::vector<Thread*>& threads) {
  absl::flat_hash_map<const Thread*, int> solved;
  for (const Thread* thread : threads) solved[thread] = 0;
  auto sent = [&](const Thread& client) {
    return std::min<int>(SolvedOr(solved, client), client.send_ceiling_);
  };
  auto evaluate = [&](const Thread& thread) {
    int level = thread.client_ != nullptr  ? sent(*thread.client_)
                : thread.pulse_level_ != 0 ? thread.pulse_level_
                                           : thread.base_;
    for (const Channel* channel : thread.serves_) {
      if (channel->fixed_priority()) continue;
      channel->ForEachQueued([&](QueueEntry& entry) {
        if (entry.kind != QueueEntry::Kind::kMessage) return;
        level = std::max(level, sent(Thread::FromEntry(entry)));
      });
    }
    for (const Mutex* mutex : thread.owns_) {
      mutex->waiters.ForEach([&](LevelNode& node) {
        level = std::max(level, SolvedOr(solved, Thread::FromMutexEntry(node)));
      });
    }
    return level;
  };
  for (bool again = true; again;) {
    again = false;
    for (const Thread* thread : threads) {
      const int level = evaluate(*thread);
      if (level <= solved[thread]) continue;
      solved[thread] = level;
      again = true;
    }
  }
  for (Thread* thread : threads) {
    if (solved[thread] != thread->effective_) Commit(*thread, solved[thread]);
  }
}

void Inheritance::RaiseServers(Channel& channel, int level) {
  if (channel.fixed_priority()) return;
  for (Thread* server : channel.servers()) {
    if (server->effective_ < level) Change(*server, level);  // the new term is the highest
  }
}

// A message of `level` is queued no longer. Whoever runs above it did not owe it that; whoever runs
// at it may have done, though others of the same level are still queued: they may owe it theirs.
// `receiver`, if any, is left to the caller.
void Inheritance::LowerServers(Channel& channel, int level, const Thread* receiver) {
  if (channel.fixed_priority()) return;
  for (Thread* server : channel.servers()) {
    if (server != receiver && server->effective_ <= level) Reevaluate(*server);
  }
}

void Inheritance::SetBase(Thread& thread, int base) {
  PARLEY_CHECK(base >= kMinPriority && base <= kMaxPriority);
  thread.base_ = static_cast<uint8_t>(base);
  Reevaluate(thread);
}

void Inheritance::Enqueue(Thread& client, Channel& channel, int send_ceiling) {
  client.send_ceiling_ = static_cast<uint8_t>(send_ceiling);
  client.channel_ = &channel;
  channel.Push(client.entry_, client.sent_level());
  RaiseServers(channel, client.sent_level());
}

void Inheritance::Dequeue(Thread& client) {
  Channel& channel = *client.channel_;
  const int level = client.entry_.level;
  channel.Remove(client.entry_);
  client.channel_ = nullptr;
  LowerServers(channel, level, nullptr);
}

void Inheritance::Receive(Thread& server, Thread& client, Channel& channel, int send_ceiling) {
  EndCurrent(server);
  const bool was_queued = client.entry_.queued();
  const int level = client.entry_.level;
  if (was_queued) channel.Remove(client.entry_);
  client.channel_ = &channel;
  client.send_ceiling_ = static_cast<uint8_t>(send_ceiling);
  if (!channel.fixed_priority()) {
    server.client_ = &client;
    client.boosts_ = &server;
  }
  if (was_queued) LowerServers(channel, level, &server);
  Reevaluate(server);
}

void Inheritance::ReceivePulse(Thread& server, int level, Channel& channel) {
  EndCurrent(server);
  if (channel.fixed_priority()) return;
  server.pulse_level_ = static_cast<uint8_t>(level);
  Reevaluate(server);
}

void Inheritance::DropCurrent(Thread& server) {
  if (server.client_ != nullptr) server.client_->boosts_ = nullptr;
  server.client_ = nullptr;
  server.pulse_level_ = 0;
  Reevaluate(server);
}

void Inheritance::AddReceiver(Thread& thread, Channel& channel) {
  thread.channel_ = &channel;
  channel.AddReceiver(thread.receiver_, thread.effective_);
}

void Inheritance::RemoveReceiver(Thread& thread) {
  thread.channel_->RemoveReceiver(thread.receiver_);
  thread.channel_ = nullptr;
}

void Inheritance::BeginToServe(Thread& thread, Channel& channel) {
  thread.serves_.push_back(&channel);
  channel.AddServer(thread);
  Reevaluate(thread);
}

void Inheritance::Unserve(Thread& thread, Channel& channel) {
  std::erase(thread.serves_, &channel);
  channel.RemoveServer(thread);
  Reevaluate(thread);
}

void Inheritance::UnserveAll(Thread& thread) {
  while (!thread.serves_.empty()) Unserve(thread, *thread.serves_.back());
}

void Inheritance::Own(Thread& thread, Mutex& mutex) {
  mutex.owner = &thread;
  thread.owns_.push_back(&mutex);
  Reevaluate(thread);
}

void Inheritance::Disown(Mutex& mutex) {
  Thread& owner = *mutex.owner;
  mutex.owner = nullptr;
  std::erase(owner.owns_, &mutex);
  Reevaluate(owner);
}

void Inheritance::WaitFor(Thread& thread, Mutex& mutex) {
  thread.mutex_ = &mutex;
  mutex.waiters.PushBack(thread.mutex_entry_, thread.effective_);
  if (mutex.owner != nullptr) Reevaluate(*mutex.owner);
}

void Inheritance::StopWaiting(Thread& thread) {
  Mutex& mutex = *thread.mutex_;
  mutex.waiters.Remove(thread.mutex_entry_);
  thread.mutex_ = nullptr;
  if (mutex.owner != nullptr) Reevaluate(*mutex.owner);
}

}  // namespace parley
