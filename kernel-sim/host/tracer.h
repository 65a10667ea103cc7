// What a process tells the trace of its run, record by record (trace_ring.h).
//
// While the run is not traced no thread has a ring, and each of these is one branch on a word of
// the thread's own. What belongs to a message is written where its peer does not wait for it.
#ifndef PARLEY_KERNEL_SIM_HOST_TRACER_H_
#define PARLEY_KERNEL_SIM_HOST_TRACER_H_

#include <string_view>
#include <vector>

#include "kernel-sim/core/trace.h"
#include "kernel-sim/host/objects.h"
#include "kernel-sim/host/ticks.h"
#include "kernel-sim/host/trace_ring.h"

namespace parley::host {

class Tracer {
 public:
  // `area`: null while the run is not traced.
  explicit Tracer(TraceArea* area) : area_(area) {}

  // -- Names, and rings. The process's lock is held.
  void NameThread(const HostThread& thread);
  void NameChannel(const HostChannel& channel);
  void NameEvent(uint64_t event, ChannelId channel);
  // The calling Linux thread is this one from now on, and until End.
  void Begin(HostThread& thread);
  void End(HostThread& thread);
  void BeginAgent();

  // -- Of the calling thread's ring. Nothing happens if it has none.
  static bool on() { return t_trace_ring != nullptr; }

  static void Sent(const HostThread& client, const OutSlot& out, uint32_t sequence, uint64_t bytes,
                   uint64_t ticks) {
    if (on()) {
      Message(RecordKind::kSend, ticks, client, {out.connection->number, out.bit(), sequence},
              out.connection->channel, static_cast<uint32_t>(bytes));
    }
  }
  // `slept`: its thread does not go on at once after the answer.
  void SendEnded(const HostThread& client, const OutSlot& out, uint32_t sequence, bool slept,
                 const absl::Status& status) const {
    if (on() && (slept || !status.ok() || area_->tells_answers != 0)) {
      TellSendEnded(client, out, sequence, status);
    }
  }
  // From here on it waits, if nothing has come already.
  static void Waits(HostThread& server) {
    if (on()) server.waits_since = Ticks();
  }
  // It spins: what comes next came after this. Here a look at the clock stands for a pause, and
  // costs nobody anything; one at the receive would cost each message 10 to 20 ns.
  static void Looks(HostThread& server) {
    if (on()) {
      server.looked_at.store(Ticks(), std::memory_order_relaxed);
    } else {
      RelaxCpu();
    }
  }
  // It goes to sleep.
  static void Sleeps(HostThread& server, const HostChannel& channel) {
    if (on() && server.waits_since != 0) TellWait(server, channel);
  }
  // It has got nothing.
  static void WaitEnded(HostThread& server, const HostChannel& channel) {
    if (on()) TellWaitEnded(server, channel);
  }
  static void Received(HostThread& server, const HostChannel& channel, const Inbound& inbound) {
    if (!on()) return;
    const uint64_t looked = server.looked_at.exchange(0, std::memory_order_relaxed);
    const uint64_t now = looked != 0 ? looked : Ticks();
    Message(RecordKind::kReceive, now, server, NameOf(inbound), channel.id, TakeWait(server, now),
            looked != 0 ? kLookedLast : 0);
  }
  // By the calling thread.
  static void Replied(const HostThread& server, const Inbound& inbound, uint32_t bytes) {
    if (on()) {
      Message(RecordKind::kReply, Ticks(), server, NameOf(inbound), ChannelId::kNone, bytes);
    }
  }

  static void State(const HostThread& thread, ThreadState state) {
    if (on()) TellState(thread, state, ChannelId::kNone, Ticks());
  }
  // If it is another than was told last.
  static void Priority(HostThread& thread);
  // `sender`: null for the kernel's own.
  static void PulseSent(const HostThread* sender, ChannelId channel, const PulseSpec& pulse);
  static void EventSent(const HostThread& sender, uint64_t event, const PulseSpec& pulse);
  static void PulseReceived(HostThread& server, const HostChannel& channel, const PulseInfo& pulse);
  static void Region(RegionEvent what, RegionId region);
  static void Text(RecordKind kind, const HostThread& thread, std::string_view text,
                   uint64_t value);

 private:
  struct MessageName {
    uint32_t connection;
    uint32_t bit;
    uint32_t sequence;
  };
  static MessageName NameOf(const Inbound& inbound) {
    return {inbound.link.connection, inbound.link.first_bit + inbound.slot_index, inbound.sequence};
  }
  static void Message(RecordKind kind, uint64_t ticks, const HostThread& thread,
                      const MessageName& name, ChannelId channel, uint32_t extra,
                      uint8_t state = 0) {
    WriteRecord(*t_trace_ring,
                {ticks, Raw(thread.id()), kind, state, static_cast<uint16_t>(name.bit),
                 MessageValue(name.connection, name.sequence), Raw(channel), extra});
  }
  // How long it has waited, as a record has room for it.
  static uint32_t TakeWait(HostThread& server, uint64_t now) {
    const uint64_t since = std::exchange(server.waits_since, 0);
    return since == 0 ? 0 : static_cast<uint32_t>(std::min<uint64_t>(now - since, ~0u));
  }
  static void TellSendEnded(const HostThread& client, const OutSlot& out, uint32_t sequence,
                            const absl::Status& status);
  static void TellWait(HostThread& server, const HostChannel& channel);
  static void TellWaitEnded(HostThread& server, const HostChannel& channel);
  static void TellState(const HostThread& thread, ThreadState state, ChannelId channel,
                        uint64_t ticks);
  static void Pulse(RecordKind kind, uint64_t ticks, uint32_t thread, uint32_t object, uint8_t code,
                    uint64_t value, uint32_t extra);
  void Name(Named of, uint32_t id, ChannelId channel, std::string_view name);

  TraceArea* const area_;
  std::vector<TraceRing*> free_;  // of threads that have ended
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_TRACER_H_
