// What a kernel tells about a run, event by event, and who listens.
//
// Events are plain values in the order in which they happened; times never decrease. A kernel with
// no sink pays one branch an event. Names of processes, threads and channels are told once, before
// their first event.
#ifndef PARLEY_KERNEL_SIM_CORE_TRACE_H_
#define PARLEY_KERNEL_SIM_CORE_TRACE_H_

#include <cstdint>
#include <string_view>

#include "kernel-sim/core/ids.h"
#include "kernel-sim/core/thread_state.h"

namespace parley {

enum class TraceKind : uint8_t {
  kState,     // thread: state in `state`; cpu for RUNNING (or kNoCpu); `object` = channel waited on
              // (SEND, REPLY, RECEIVE)
  kPriority,  // thread: effective priority in `priority`, base in `value`
  kSend,      // thread sent: `serial`, `object` = channel, `value` = bytes
  kReceive,   // thread received `serial` on `object`
  kReply,     // thread replied to `serial`, `peer` = client thread, `value` = bytes
  kSendFailed,  // thread's send `serial` ended without a reply: `value` = Error
  kPulseSent,   // thread (or none: the kernel) queued a pulse on `object`: code in `state`, `value`
                // = value
  kPulseReceived,  // thread received a pulse on `object`: code in `state`, `value` = value
  kProcessExit,    // process ended: `value` = exit code; how in `state` (an ExitKind)
  kRegion,         // region event: `value` = RegionId, what in `state` (a RegionEvent)
  kCounter,        // process: a counter's new total in `value`, its name in `text`
  kMark,           // thread: a remark of the program, in `text`
  kFault,          // a fault injected or an offence caught, in `text`
};

// The CPU is not known: of real processes Linux alone knows where, and whether, they run.
inline constexpr uint16_t kNoCpu = 0xffff;

struct TraceEvent {
  int64_t time_ns = 0;
  TraceKind kind = TraceKind::kState;
  uint8_t state = 0;
  uint8_t priority = 0;
  uint16_t cpu = 0;
  ProcessId process = ProcessId::kNone;
  ThreadId thread = ThreadId::kNone;
  ThreadId peer = ThreadId::kNone;
  ChannelId object = ChannelId::kNone;
  uint64_t serial = 0;
  uint64_t value = 0;
  std::string_view text;  // lives until OnEvent returns
};

enum class RegionEvent : uint8_t {
  kCreated,
  kGranted,
  kRedeemed,
  kLeased,
  kLeaseEnded,
  kRevoked,
  kFrozen,
  kReclaimed,
  kEnded
};

// One listener. Called on the kernel's own thread, in order; must not call back into the kernel.
class TraceSink {
 public:
  virtual ~TraceSink() = default;
  virtual void OnProcess(ProcessId process, std::string_view name) = 0;
  virtual void OnThread(ThreadId thread, ProcessId process, std::string_view name) = 0;
  virtual void OnChannel(ChannelId channel, ProcessId process, std::string_view name) = 0;
  virtual void OnEvent(const TraceEvent& event) = 0;
};

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_TRACE_H_
