// Finds for each send that was recorded its receive, its reply and its end, which other threads
// have recorded (trace_ring.h), and times for them that fit together.
//
// Each side reads the clock where it costs its peer nothing: the client after it has sent, the
// server after it has answered, and Linux may have taken the CPU away before. So each time is
// brought before the one that it must have come before:
//   sent < received < replied < what the client did next.
// A server that spun when a message came knows only when it had looked last: such a receive is
// brought behind its send first, so it may be told too early by a cache line's trip.
// Of a send whose other side recorded nothing, or nothing that was kept, these are none.
#ifndef PARLEY_KERNEL_SIM_HOST_TRACE_MESSAGES_H_
#define PARLEY_KERNEL_SIM_HOST_TRACE_MESSAGES_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernel-sim/core/ids.h"
#include "kernel-sim/host/trace_ring.h"

namespace parley::host {

// A record of a thread that is known. Ticks count from the run's begin, and lie within the run.
struct TracedRecord {
  int64_t ticks = 0;
  int64_t begun = 0;  // when what it tells of began: a wait, of a receive; else the same
  ThreadId thread = ThreadId::kNone;  // unique in the run
  ProcessId process = ProcessId::kNone;
  TraceRecord record = {};
};

struct TracedMessage {
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  TracedRecord sent;
  std::optional<TracedRecord> received, replied;
  std::optional<TracedRecord> ended;  // kAnswered or kSendFailed
  int64_t next = kNone;               // what its client did next
};

class TraceMessages {
 public:
  // Ring by ring, in the order in which they were recorded. Other kinds only tell what a client did
  // next.
  void BeginRing() { last_.clear(); }
  void Add(const TracedRecord& record);
  // Once all are added. The messages in no order.
  std::vector<TracedMessage> Match();
  // Receives without a send. After Match.
  const std::vector<TracedRecord>& strays() const { return strays_; }

 private:
  TracedMessage* Find(const TracedRecord& record);

  std::vector<TracedMessage> messages_;
  std::vector<size_t> following_;               // of a message: the next of its thread
  absl::flat_hash_map<ThreadId, size_t> last_;  // its last message in this ring
  std::vector<TracedRecord> others_;
  std::vector<TracedRecord> strays_;
  std::vector<size_t> by_name_;  // messages, by what both sides call them, then by time
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_TRACE_MESSAGES_H_
