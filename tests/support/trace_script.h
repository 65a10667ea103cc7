// A trace told by hand, for the tests of what listens to one.
#ifndef PARLEY_TESTS_SUPPORT_TRACE_SCRIPT_H_
#define PARLEY_TESTS_SUPPORT_TRACE_SCRIPT_H_

#include <string_view>

#include "kernel-sim/core/trace.h"

namespace parley {

// Processes, threads and channels are numbers from 1; thread n belongs to process n unless said
// otherwise.
class TraceScript {
 public:
  explicit TraceScript(TraceSink& sink) : sink_(sink) {}

  void Process(uint32_t number, std::string_view name) {
    sink_.OnProcess(ProcessId{number}, name);
    Thread(number, number, "main");
  }
  void Thread(uint32_t number, uint32_t process, std::string_view name) {
    sink_.OnThread(ThreadId{number}, ProcessId{process}, name);
  }
  void Channel(uint32_t number, uint32_t process, std::string_view name) {
    sink_.OnChannel(ChannelId{number}, ProcessId{process}, name);
  }

  void State(int64_t time_ns, uint32_t thread, ThreadState state, uint32_t channel = 0) {
    TraceEvent event = Of(time_ns, TraceKind::kState, thread);
    event.state = static_cast<uint8_t>(state);
    event.object = ChannelId{channel};
    sink_.OnEvent(event);
  }
  void Priority(int64_t time_ns, uint32_t thread, int effective, int base) {
    TraceEvent event = Of(time_ns, TraceKind::kPriority, thread);
    event.priority = static_cast<uint8_t>(effective);
    event.value = static_cast<uint64_t>(base);
    sink_.OnEvent(event);
  }
  void Message(int64_t time_ns, TraceKind kind, uint32_t thread, uint32_t client, uint64_t serial) {
    TraceEvent event = Of(time_ns, kind, thread);
    event.peer = ThreadId{client};
    event.serial = serial;
    sink_.OnEvent(event);
  }
  void Pulse(int64_t time_ns, TraceKind kind, uint32_t thread, uint32_t channel, uint64_t value) {
    TraceEvent event = Of(time_ns, kind, thread);
    event.object = ChannelId{channel};
    event.value = value;
    sink_.OnEvent(event);
  }
  void Mark(int64_t time_ns, uint32_t thread, std::string_view text) {
    TraceEvent event = Of(time_ns, TraceKind::kMark, thread);
    event.text = text;
    sink_.OnEvent(event);
  }

 private:
  static TraceEvent Of(int64_t time_ns, TraceKind kind, uint32_t thread) {
    TraceEvent event;
    event.time_ns = time_ns;
    event.kind = kind;
    event.process = ProcessId{thread};
    event.thread = ThreadId{thread};
    return event;
  }

  TraceSink& sink_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_SUPPORT_TRACE_SCRIPT_H_
