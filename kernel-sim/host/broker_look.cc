// What `parley ps` sees: processes, and their threads as they publish them.
//
// One answer is of one process, and of a part of its threads if it has many: the cost of a packet
// is bounded, and nothing is kept for who looks. What changes between two answers is seen as it is.
#include <algorithm>
#include <cstring>

#include "kernel-sim/core/thread_state.h"
#include "kernel-sim/host/broker.h"

namespace parley::host {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

// The one with the lowest number from `from` on.
const ProcessRecord* Broker::NextVisible(const PeerRecord& to, ProcessId from) const {
  const ProcessRecord* next = nullptr;
  for (const auto& [id, process] : processes_) {
    if (id < from || !process->alive()) continue;
    if (to.far.uid != 0 && to.far.uid != process->set->uid) continue;
    if (next == nullptr || id < next->id) next = process.get();
  }
  return next;
}

LookedThread Broker::ReadThread(const ProcessRecord& process, const ThreadEntry& entry) const {
  LookedThread thread = {};
  thread.id = entry.id.load(kRelaxed);
  thread.tid = entry.tid.load(kRelaxed);
  thread.state = entry.state.load(kRelaxed);
  thread.base = entry.base.load(kRelaxed);
  thread.effective = entry.effective.load(kRelaxed);
  thread.blocked_on = entry.blocked_on.load(kRelaxed);
  thread.since = entry.since.load(kRelaxed);
  for (size_t i = 0; i < entry.serves.size(); ++i) {
    thread.serves[i] = entry.serves[i].load(kRelaxed);
  }
  for (size_t i = 0; i < entry.name.size(); ++i) thread.name[i] = entry.name[i].load(kRelaxed);
  const auto state = static_cast<ThreadState>(thread.state);
  if (state != ThreadState::kSend && state != ThreadState::kReply) return thread;
  auto connection = connections_.find(thread.blocked_on);
  if (connection == connections_.end() || connection->second->client != &process) return thread;
  if (const ChannelRecord* channel = connection->second->channel) {
    thread.server = channel->owner->id;
    thread.channel = channel->id;
    const size_t size = std::min(channel->name.size(), sizeof(thread.channel_name));
    std::memcpy(thread.channel_name, channel->name.data(), size);
  }
  return thread;
}

bool Broker::OnLook(const PeerRecord& peer, const Packet& packet) {
  const std::optional<Look> look = packet.As<Look>();
  if (!look) return false;
  const uint32_t call = packet.header()->call;
  if (look->version != kWireVersion) {
    Conclude(peer, call, MakeError(Error::kInvalidArgument, "another version of the protocol"));
    return false;
  }
  auto looked = Zeroed<Looked>();
  const ProcessRecord* process = NextVisible(peer, look->process);
  if (process == nullptr) {
    Conclude(peer, call, Packet::Of(0, looked));
    return true;
  }
  looked.process = process->id;
  looked.pid = process->peer == nullptr ? 0 : process->peer->far.pid;
  looked.uid = process->uid;
  looked.ceiling = process->ceiling;
  looked.launcher_pid = peers_.at(process->set->launcher)->far.pid;
  looked.name_server = process->set->name_server == process->id ? 1 : 0;
  std::string tail;
  if (const ProcessPage* page = process->page.As<ProcessPage>()) {
    // Entries of another process, which has taken the place of the one looked at, begin anew.
    uint32_t i = process->id == look->process ? look->entry : 0;
    for (; i < kThreadEntries && looked.threads < kThreadsPerLook; ++i) {
      const LookedThread thread = ReadThread(*process, page->threads[i]);
      if (thread.id == 0 || thread.state >= static_cast<uint8_t>(ThreadState::kDead)) continue;
      tail.append(reinterpret_cast<const char*>(&thread), sizeof(thread));
      ++looked.threads;
    }
    looked.next_entry = i < kThreadEntries ? i : 0;
  }
  Conclude(peer, call, Packet::Of(0, looked, tail + process->name));
  return true;
}

}  // namespace parley::host
