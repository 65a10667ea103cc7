// Makes one trace of what the processes of a run have recorded (trace_ring.h), in the order of
// time, as the simulated kernel tells its own (core/trace.h).
//
// Nothing that a process has written is believed: what has no name, no sense or no place within the
// run is left out or bounded, and a process speaks of nobody's threads but its own. Everything is
// copied when it is added. What was left out, the notes tell.
#ifndef PARLEY_KERNEL_SIM_HOST_TRACE_MERGE_H_
#define PARLEY_KERNEL_SIM_HOST_TRACE_MERGE_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernel-sim/core/trace.h"
#include "kernel-sim/host/trace_messages.h"
#include "kernel-sim/host/trace_ring.h"
#include "kernel-sim/kernel.h"

namespace parley::host {

// Both clocks at a run's begin and end. Its begin is 0 ns.
struct TickScale {
  uint64_t begin_ticks = 0, end_ticks = 0;
  int64_t end_ns = 0;
};

class TraceMerge {
 public:
  // What a process that has ended leaves. Each process once.
  void Add(ProcessId process, std::string_view name, const TraceArea& area);
  // One that ended before its run did.
  void AddExit(ProcessId process, const ExitStatus& status, uint64_t ticks);

  // Once, at the end.
  void Tell(const TickScale& scale, TraceSink& sink);
  // A line for each process of which something is missing. After Tell.
  std::vector<std::string> notes() const;

 private:
  struct Recorded {
    ProcessId process = ProcessId::kNone;
    std::string name;
    std::vector<TraceName> names;
    std::vector<std::vector<TraceRecord>> rings;  // the oldest record first
    uint64_t overwritten = 0;
    uint64_t senseless = 0;
    uint32_t nameless = 0, ringless = 0;
  };
  struct Exit {
    ProcessId process = ProcessId::kNone;
    ExitStatus status;
    uint64_t ticks = 0;
  };
  // An event to be told, small: there may be millions.
  struct Told {
    int64_t ticks = 0;
    uint64_t value = 0;
    ThreadId thread = ThreadId::kNone, peer = ThreadId::kNone;
    ProcessId process = ProcessId::kNone;
    ChannelId object = ChannelId::kNone;
    uint32_t serial = 0;
    uint32_t text = 0;  // index into texts_
    TraceKind kind = TraceKind::kState;
    uint8_t state = 0, priority = 0;
  };

  void TellNames(TraceSink& sink);
  int64_t Within(uint64_t ticks) const;
  void Read(Recorded& from);
  void ReadRing(Recorded& from, const std::vector<TraceRecord>& ring);
  bool ReadOne(const TracedRecord& traced, uint32_t text);
  ThreadId FindThread(ProcessId process, uint32_t thread) const;
  uint32_t KeepText(std::string_view text);
  void AddState(const TracedRecord& of, int64_t ticks, ThreadState state, ChannelId channel);
  void AddWaitEnd(const TracedRecord& received);
  void AddMessage(const TracedMessage& message, uint32_t serial);
  void AddExits();
  void TellInOrder(TraceSink& sink);

  TickScale scale_;
  std::vector<Recorded> recorded_;
  std::vector<Exit> exits_;
  absl::flat_hash_map<uint64_t, ThreadId> threads_;  // by process and thread within it
  absl::flat_hash_map<uint32_t, ChannelId> events_;
  TraceMessages messages_;
  std::deque<std::string> texts_ = {""};
  std::vector<Told> told_;
};

// The text with what no picture can show, control characters and what is not UTF-8, as '?'.
std::string Legible(std::string_view text);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_TRACE_MERGE_H_
