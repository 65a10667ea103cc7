// Who waits for whom in a picture of a system. Pure.
#include <algorithm>
#include <map>

#include "kernel-sim/core/waits_for.h"
#include "kernel-sim/look.h"

namespace parley {
namespace {

using Threads = std::multimap<ProcessId, size_t>;

bool MayServe(const SeenThread& thread, ChannelId channel) {
  return thread.serves_more ||
         std::find(thread.serves.begin(), thread.serves.end(), channel) != thread.serves.end();
}

// SEND: whoever serves the channel. REPLY: any thread of the server's process, since what has been
// received may be in any thread's hands (S4); but where a server thread is busy elsewhere, that it
// is one of the servers is what people want to know, so these come first.
std::vector<size_t> FreedBy(const SeenThread& waiter, const SeenSystem& system,
                            const Threads& threads) {
  std::vector<size_t> servers, others;
  const bool sends = waiter.state == ThreadState::kSend || waiter.state == ThreadState::kReply;
  const bool joins = waiter.state == ThreadState::kJoin || waiter.state == ThreadState::kMutex;
  if (!sends && !joins) return {};
  const auto [begin, end] = threads.equal_range(sends ? waiter.server : waiter.process);
  for (auto at = begin; at != end; ++at) {
    const SeenThread& thread = system.threads[at->second];
    if (joins) {
      if (thread.number == waiter.blocked_on) servers.push_back(at->second);
    } else if (MayServe(thread, waiter.channel)) {
      servers.push_back(at->second);
    } else if (waiter.state == ThreadState::kReply) {
      others.push_back(at->second);
    }
  }
  servers.insert(servers.end(), others.begin(), others.end());
  return servers;
}

ThreadId IdOf(size_t thread) { return ThreadId{static_cast<uint32_t>(thread) + 1}; }

}  // namespace

void FindWaits(SeenSystem& system) {
  Threads threads;
  for (size_t i = 0; i < system.threads.size(); ++i) threads.emplace(system.threads[i].process, i);
  std::vector<WaitEdge> edges;
  for (size_t i = 0; i < system.threads.size(); ++i) {
    SeenThread& thread = system.threads[i];
    thread.freed_by = FreedBy(thread, system, threads);
    if (thread.freed_by.empty()) continue;
    edges.push_back({IdOf(i), {}});
    for (size_t by : thread.freed_by) edges.back().targets.push_back(IdOf(by));
  }
  // Among these, each waits only for others of them: from each one leads a way into a circle.
  system.circles.clear();
  std::vector<bool> told(system.threads.size());
  for (ThreadId id : FindDeadlocked(edges)) {
    std::vector<size_t> way;
    for (size_t at = Raw(id) - 1; !told[at]; at = system.threads[at].freed_by[0]) {
      told[at] = true;
      way.push_back(at);
    }
    if (way.empty()) continue;
    const auto begin = std::find(way.begin(), way.end(), system.threads[way.back()].freed_by[0]);
    if (begin != way.end()) system.circles.emplace_back(begin, way.end());
  }
}

}  // namespace parley
