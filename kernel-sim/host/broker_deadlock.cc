// Circles of waits between processes (L4), found in the pages that they publish.
//
// A page is its process's claim, and changes while it is read. So a circle counts only if it is
// found twice with every member in the same wait, and nothing is believed that the broker knows
// better: a thread waits on connections of its own process only. Who lies about itself can be told
// of a circle that is none, and only about its own send.
#include <algorithm>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "kernel-sim/core/thread_state.h"
#include "kernel-sim/core/waits_for.h"
#include "kernel-sim/host/broker.h"

namespace parley::host {
namespace {

constexpr size_t kMaxCircle = 128;  // threads; a longer one is not found
// A search reads up to kMaxCircle pages, on everybody's time: so many at once, then one in so long.
constexpr int64_t kNsOfASearch = 4'000'000;
constexpr int64_t kSearchesAtOnce = 64;
constexpr uint32_t kServesMore = ~uint32_t{0};

// A thread of a process, by its place in the page.
struct Waiter {
  ProcessId process = ProcessId::kNone;
  uint32_t entry = 0;
  friend bool operator==(const Waiter&, const Waiter&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Waiter& waiter) {
    return H::combine(std::move(state), waiter.process, waiter.entry);
  }
};

// What one wait was when it was read.
struct Wait {
  ThreadState state = ThreadState::kReady;
  uint32_t blocked_on = 0;
  uint64_t since = 0;
  Waiter freed_by;  // the only one that could
  friend bool operator==(const Wait&, const Wait&) = default;
};

bool IsLive(const ThreadEntry& entry) {
  return entry.id.load(std::memory_order_relaxed) != 0 &&
         entry.state.load(std::memory_order_relaxed) != static_cast<uint8_t>(ThreadState::kDead);
}

std::string NameOf(const ThreadEntry& entry) {
  std::string name;
  for (const auto& letter : entry.name) {
    const char read = letter.load(std::memory_order_relaxed);
    if (read == 0) break;
    name.push_back(read);
  }
  return name;
}

std::string Printable(std::string text) {
  for (char& letter : text) {
    if (letter < 0x20 || letter > 0x7e) letter = '?';
  }
  return text;
}

}  // namespace

class DeadlockSearch {
 public:
  explicit DeadlockSearch(const Broker& broker) : broker_(broker) {}

  // The circle through this thread, each followed by the one that it waits for. Each thread is read
  // once, so the walk is one of a picture that does not change and ends.
  std::vector<Waiter> Find(Waiter asker) {
    waits_.clear();
    return FindCycle(asker, Next(asker), [this](Waiter waiter) { return Next(waiter); });
  }
  // As Find read it. REQUIRES: it was on the walk.
  const Wait& WaitOf(Waiter waiter) const { return waits_.at(waiter); }

  static Waiter FindThread(const ProcessRecord& process, uint32_t thread) {
    const ProcessPage* page = process.page.As<ProcessPage>();
    if (page == nullptr || thread == 0) return {};
    for (uint32_t i = 0; i < kThreadEntries; ++i) {
      const ThreadEntry& entry = page->threads[i];
      if (entry.id.load(std::memory_order_relaxed) == thread && IsLive(entry)) {
        return {process.id, i};
      }
    }
    return {};
  }

  std::string Describe(Waiter waiter) const {
    const ProcessRecord& process = *broker_.processes_.at(waiter.process);
    return Printable(absl::StrCat(process.name, "/", NameOf(EntryOf(process, waiter))));
  }

 private:
  static const ThreadEntry& EntryOf(const ProcessRecord& process, Waiter waiter) {
    return process.page.As<ProcessPage>()->threads[waiter.entry];
  }

  Waiter Next(Waiter waiter) {
    if (waiter == Waiter{}) return {};
    auto known = waits_.find(waiter);
    if (known != waits_.end()) return known->second.freed_by;
    if (waits_.size() >= kMaxCircle) return {};
    const Wait wait = Read(waiter);
    waits_[waiter] = wait;
    return wait.freed_by;
  }

  Wait Read(Waiter waiter) const {
    const ProcessRecord& process = *broker_.processes_.at(waiter.process);
    const ThreadEntry& entry = EntryOf(process, waiter);
    const uint8_t state = entry.state.load(std::memory_order_relaxed);
    Wait wait;
    if (state > static_cast<uint8_t>(ThreadState::kDead)) return wait;
    wait.state = static_cast<ThreadState>(state);
    wait.blocked_on = entry.blocked_on.load(std::memory_order_relaxed);
    wait.since = entry.since.load(std::memory_order_relaxed);
    if (wait.state == ThreadState::kSend || wait.state == ThreadState::kReply) {
      const ChannelRecord* channel = ChannelOf(process, wait.blocked_on);
      if (channel != nullptr) {
        wait.freed_by = OnlyServer(*channel, wait.state == ThreadState::kReply);
      }
    } else if (wait.state == ThreadState::kJoin || wait.state == ThreadState::kMutex) {
      wait.freed_by = FindThread(process, wait.blocked_on);
    }
    return wait;
  }

  const ChannelRecord* ChannelOf(const ProcessRecord& client, uint32_t connection) const {
    auto found = broker_.connections_.find(connection);
    if (found == broker_.connections_.end() || found->second->client != &client) return nullptr;
    return found->second->channel;
  }

  // The one thread that serves the channel; none if several do or might. `alone`: nor may its
  // process have another thread, for a message that was received may be in any thread's hands (S4).
  static Waiter OnlyServer(const ChannelRecord& channel, bool alone) {
    const ProcessRecord& owner = *channel.owner;
    const ProcessPage* page = owner.page.As<ProcessPage>();
    if (page == nullptr) return {};
    Waiter server;
    size_t live = 0;
    for (uint32_t i = 0; i < kThreadEntries; ++i) {
      const ThreadEntry& entry = page->threads[i];
      if (!IsLive(entry)) continue;
      ++live;
      bool serves = false;
      for (const auto& slot : entry.serves) {
        const uint32_t served = slot.load(std::memory_order_relaxed);
        if (served == kServesMore) return {};
        serves |= served == Raw(channel.id);
      }
      if (!serves) continue;
      if (server != Waiter{}) return {};
      server = {owner.id, i};
    }
    return alone && live != 1 ? Waiter{} : server;
  }

  const Broker& broker_;
  absl::flat_hash_map<Waiter, Wait> waits_;
};

// Answers with the circle only to the thread that has closed it: the sender among its members that
// began last. So one of them is refused, and not all.
Broker::Answer Broker::OnFindDeadlock(ProcessRecord& asker, const FindDeadlock& call) {
  // Past its share it is told of none, for now: who waits on asks again.
  const int64_t now = outlet_.Now();
  const int64_t searched_until = std::max(asker.searched_until_ns, now);
  if (searched_until - now >= kSearchesAtOnce * kNsOfASearch) {
    return Packet::Of(0, FoundDeadlock{});
  }
  asker.searched_until_ns = searched_until + kNsOfASearch;
  const Waiter self = DeadlockSearch::FindThread(asker, Raw(call.thread));
  DeadlockSearch first(*this), second(*this);
  const std::vector<Waiter> circle = first.Find(self);
  if (self == Waiter{} || circle.empty() || second.Find(self) != circle)
    return Packet::Of(0, FoundDeadlock{});
  const Waiter* last = nullptr;
  for (const Waiter& member : circle) {
    const Wait& wait = first.WaitOf(member);
    if (wait != second.WaitOf(member)) return Packet::Of(0, FoundDeadlock{});
    if (wait.state != ThreadState::kSend) continue;
    if (last == nullptr || std::tuple(wait.since, member.process, member.entry) >
                               std::tuple(first.WaitOf(*last).since, last->process, last->entry)) {
      last = &member;
    }
  }
  if (last == nullptr || *last != self) return Packet::Of(0, FoundDeadlock{});
  std::string text = "would deadlock: ";
  for (const Waiter& member : circle) absl::StrAppend(&text, first.Describe(member), " -> ");
  absl::StrAppend(&text, first.Describe(self));
  return Packet::Of(0, FoundDeadlock{}, text);
}

}  // namespace parley::host
