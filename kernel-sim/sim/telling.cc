// What the simulation tells its trace. Every event also goes into the run's hash (--twice).
#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/simulation.h"

namespace parley::sim {
namespace {

// FNV-1a over 64-bit words: told apart matters, not cryptography.
void Mix(uint64_t& hash, uint64_t word) { hash = (hash ^ word) * 0x100000001b3u; }

}  // namespace

void Simulation::Tell(TraceEvent event) {
  event.time_ns = now();
  uint64_t& hash = report_.trace_hash;
  Mix(hash, static_cast<uint64_t>(event.time_ns));
  Mix(hash, static_cast<uint64_t>(event.kind) << 32 | static_cast<uint64_t>(event.state) << 24 |
                static_cast<uint64_t>(event.priority) << 16 | event.cpu);
  Mix(hash, static_cast<uint64_t>(Raw(event.process)) << 32 | Raw(event.thread));
  Mix(hash, static_cast<uint64_t>(Raw(event.peer)) << 32 | Raw(event.object));
  Mix(hash, event.serial);
  Mix(hash, event.value);
  for (char letter : event.text) Mix(hash, static_cast<unsigned char>(letter));
  if (options_.trace != nullptr) options_.trace->OnEvent(event);
}

void Simulation::TellProcess(const Process& process) {
  if (options_.trace != nullptr) options_.trace->OnProcess(process.id, process.birth.name);
}

void Simulation::TellThread(const SimThread& thread) {
  if (options_.trace == nullptr) return;
  options_.trace->OnThread(thread.id(), thread.process.id, thread.name);
}

void Simulation::TellChannel(const SimChannel& channel) {
  if (options_.trace == nullptr) return;
  options_.trace->OnChannel(channel.id, channel.process.id, channel.options.name);
}

TraceEvent Simulation::EventOf(TraceKind kind, const SimThread& thread) {
  TraceEvent event;
  event.kind = kind;
  event.process = thread.process.id;
  event.thread = thread.id();
  return event;
}

void Simulation::TellState(SimThread& thread) {
  TraceEvent event = EventOf(TraceKind::kState, thread);
  event.state = static_cast<uint8_t>(thread.state());
  if (thread.cpu() >= 0) event.cpu = static_cast<uint16_t>(thread.cpu());
  const bool sending =
      thread.state() == ThreadState::kSend || thread.state() == ThreadState::kReply;
  if (sending && thread.send.connection->channel != nullptr) {
    event.object = thread.send.connection->channel->id;
  }
  Tell(event);
  if (thread.state() == ThreadState::kReady && thread.last_told_priority == 0) TellPriority(thread);
}

void Simulation::TellPriority(SimThread& thread) {
  if (thread.last_told_priority == thread.effective()) return;
  thread.last_told_priority = thread.effective();
  TraceEvent event = EventOf(TraceKind::kPriority, thread);
  event.priority = static_cast<uint8_t>(thread.effective());
  event.value = static_cast<uint64_t>(thread.base());
  Tell(event);
}

void Simulation::TellSend(const SimThread& client) {
  if (telling_) TellMessage(TraceKind::kSend, client, client, client.send.request_bytes);
}

void Simulation::TellReply(const SimThread& server, const SimThread& client, uint64_t bytes) {
  if (telling_) TellMessage(TraceKind::kReply, server, client, bytes);
}

void Simulation::TellMessage(TraceKind kind, const SimThread& thread, const SimThread& client,
                             uint64_t bytes) {
  TraceEvent event = EventOf(kind, thread);
  event.peer = client.id();
  event.serial = client.send.serial;
  event.object = client.send.connection->channel->id;
  event.value = bytes;
  Tell(event);
}

void Simulation::TellSendFailed(const SimThread& client, const absl::Status& status) {
  TraceEvent event = EventOf(TraceKind::kSendFailed, client);
  event.serial = client.send.serial;
  event.value = static_cast<uint64_t>(ErrorOf(status));
  Tell(event);
}

void Simulation::TellPulse(TraceKind kind, const SimThread* thread, const SimChannel& channel,
                           const PulseInfo& pulse) {
  if (!telling_) return;
  TraceEvent event;
  event.kind = kind;
  if (thread != nullptr) event = EventOf(kind, *thread);
  event.object = channel.id;
  event.state = pulse.code;
  event.priority = static_cast<uint8_t>(pulse.priority);
  event.value = pulse.value;
  Tell(event);
}

void Simulation::TellRegion(RegionEvent what, const Process& process, RegionId region) {
  if (!telling_) return;
  TraceEvent event;
  event.kind = TraceKind::kRegion;
  event.process = process.id;
  event.state = static_cast<uint8_t>(what);
  event.value = Raw(region);
  Tell(event);
}

void Simulation::TellExit(const Process& process) {
  if (!telling_) return;
  TraceEvent event;
  event.kind = TraceKind::kProcessExit;
  event.process = process.id;
  event.state = static_cast<uint8_t>(process.exit.kind);
  event.value = static_cast<uint64_t>(process.exit.code);
  event.text = process.exit.reason;
  Tell(event);
}

void Simulation::TellText(TraceKind kind, const SimThread& thread, std::string_view text,
                          uint64_t value) {
  if (!telling_) return;
  TraceEvent event = EventOf(kind, thread);
  event.text = text;
  event.value = value;
  Tell(event);
}

void Simulation::TellFault(const Process& process, std::string_view text) {
  if (!telling_) return;
  TraceEvent event;
  event.kind = TraceKind::kFault;
  event.process = process.id;
  event.text = text;
  Tell(event);
}

}  // namespace parley::sim
