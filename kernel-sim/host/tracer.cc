// What a process tells the trace of its run, but for the messages' own way.
#include "kernel-sim/host/tracer.h"

#include "kernel-sim/core/errors.h"

namespace parley::host {

// -- Names, and rings

void Tracer::Name(Named of, uint32_t id, ChannelId channel, std::string_view name) {
  if (area_->names_used == kMostNames) {
    ++area_->nameless;
    return;
  }
  TraceName& entry = area_->names[area_->names_used];
  name = name.substr(0, entry.text.size());
  entry.of = of;
  entry.id = id;
  entry.channel = Raw(channel);
  entry.bytes = static_cast<uint8_t>(name.size());
  std::copy(name.begin(), name.end(), entry.text.begin());
  ++area_->names_used;
}

void Tracer::NameThread(const HostThread& thread) {
  if (area_ == nullptr) return;
  Name(Named::kThread, Raw(thread.id()), ChannelId::kNone, thread.name);
}

void Tracer::NameChannel(const HostChannel& channel) {
  if (area_ == nullptr) return;
  Name(Named::kChannel, Raw(channel.id), channel.id, channel.options.name);
}

void Tracer::NameEvent(uint64_t event, ChannelId channel) {
  if (area_ == nullptr) return;
  Name(Named::kEvent, static_cast<uint32_t>(event), channel, "");
}

void Tracer::Begin(HostThread& thread) {
  if (area_ == nullptr) return;
  if (!free_.empty()) {
    t_trace_ring = free_.back();
    free_.pop_back();
  } else if (const uint32_t ring = std::max(area_->rings_used, 1u); ring < kMostRings) {
    t_trace_ring = &area_->rings[ring];
    area_->rings_used = ring + 1;
  } else {
    ++area_->ringless;
  }
  State(thread, ThreadState::kRunning);
}

void Tracer::End(HostThread& thread) {
  if (!on()) return;
  State(thread, ThreadState::kDead);
  free_.push_back(std::exchange(t_trace_ring, nullptr));
}

void Tracer::BeginAgent() {
  if (area_ != nullptr) t_trace_ring = area_->rings.data();
}

// -- Messages

void Tracer::TellSendEnded(const HostThread& client, const OutSlot& out, uint32_t sequence,
                           const absl::Status& status) {
  const RecordKind kind = status.ok() ? RecordKind::kAnswered : RecordKind::kSendFailed;
  Message(kind, Ticks(), client, {out.connection->number, out.bit(), sequence},
          out.connection->channel, static_cast<uint32_t>(ErrorOf(status)));
}

void Tracer::TellWait(HostThread& server, const HostChannel& channel) {
  server.looked_at.store(0, std::memory_order_relaxed);
  TellState(server, ThreadState::kReceive, channel.id, std::exchange(server.waits_since, 0));
}

void Tracer::TellWaitEnded(HostThread& server, const HostChannel& channel) {
  if (server.waits_since != 0) TellWait(server, channel);
  State(server, ThreadState::kRunning);
}

// -- Threads

void Tracer::TellState(const HostThread& thread, ThreadState state, ChannelId channel,
                       uint64_t ticks) {
  WriteRecord(*t_trace_ring, {ticks, Raw(thread.id()), RecordKind::kState,
                              static_cast<uint8_t>(state), 0, 0, Raw(channel), 0});
}

void Tracer::Priority(HostThread& thread) {
  const auto effective = static_cast<uint8_t>(thread.effective());
  const auto base = static_cast<uint8_t>(thread.base());
  if (!on() || (thread.traced_effective == effective && thread.traced_base == base)) return;
  thread.traced_effective = effective;
  thread.traced_base = base;
  WriteRecord(*t_trace_ring,
              {Ticks(), Raw(thread.id()), RecordKind::kPriority, effective, 0, 0, 0, base});
}

// -- Pulses

void Tracer::Pulse(RecordKind kind, uint64_t ticks, uint32_t thread, uint32_t object, uint8_t code,
                   uint64_t value, uint32_t extra) {
  WriteRecord(*t_trace_ring, {ticks, thread, kind, code, 0, value, object, extra});
}

void Tracer::PulseSent(const HostThread* sender, ChannelId channel, const PulseSpec& pulse) {
  if (!on()) return;
  Pulse(RecordKind::kPulseSent, Ticks(), sender == nullptr ? 0 : Raw(sender->id()), Raw(channel),
        pulse.code, pulse.value, 0);
}

void Tracer::EventSent(const HostThread& sender, uint64_t event, const PulseSpec& pulse) {
  if (!on()) return;
  Pulse(RecordKind::kEventSent, Ticks(), Raw(sender.id()), static_cast<uint32_t>(event), pulse.code,
        pulse.value, 0);
}

void Tracer::PulseReceived(HostThread& server, const HostChannel& channel, const PulseInfo& pulse) {
  if (!on()) return;
  server.looked_at.store(0, std::memory_order_relaxed);
  const uint64_t now = Ticks();
  Pulse(RecordKind::kPulseReceived, now, Raw(server.id()), Raw(channel.id), pulse.code, pulse.value,
        TakeWait(server, now));
}

// -- The rest

void Tracer::Region(RegionEvent what, RegionId region) {
  if (!on()) return;
  WriteRecord(*t_trace_ring,
              {Ticks(), 0, RecordKind::kRegion, static_cast<uint8_t>(what), 0, Raw(region), 0, 0});
}

void Tracer::Text(RecordKind kind, const HostThread& thread, std::string_view text,
                  uint64_t value) {
  if (on()) WriteText(*t_trace_ring, {Ticks(), Raw(thread.id()), kind, 0, 0, value, 0, 0}, text);
}

}  // namespace parley::host
