// A trace as JSON that Perfetto (and chrome://tracing) opens: a track for each thread with its
// states, a counter track with its effective priority, a track for each CPU where the kernel knows
// who has it, and flow arrows from send to receive to reply.
#ifndef PARLEY_APPS_PARLEY_PERFETTO_H_
#define PARLEY_APPS_PARLEY_PERFETTO_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "apps/parley/output.h"
#include "libipc/machine.h"

namespace parley_tool {

class PerfettoTrace : public parley::TraceSink {
 public:
  explicit PerfettoTrace(OutputFile file) : file_(std::move(file)) { file_.Write("[\n"); }

  void OnProcess(parley::ProcessId process, std::string_view name) override;
  void OnThread(parley::ThreadId thread, parley::ProcessId process, std::string_view name) override;
  void OnChannel(parley::ChannelId channel, parley::ProcessId process,
                 std::string_view name) override;
  void OnEvent(const parley::TraceEvent& event) override;
  absl::Status Finish(int64_t end_ns);

 private:
  struct Thread {
    std::string name;
    parley::ProcessId process = parley::ProcessId::kNone;
    parley::ThreadState state = parley::ThreadState::kStopped;
    int64_t since_ns = 0;
    std::string on;  // the channel it waits on
    uint16_t cpu = 0;
  };
  void Entry(const std::string& json);
  void CloseSlice(parley::ThreadId id, Thread& thread, int64_t now_ns);
  void Flow(char phase, const parley::TraceEvent& event, parley::ThreadId thread);

  OutputFile file_;
  bool first_ = true;
  bool has_cpus_ = false;
  absl::flat_hash_map<parley::ThreadId, Thread> threads_;
  absl::flat_hash_map<parley::ProcessId, std::string> processes_;
  absl::flat_hash_map<parley::ChannelId, std::string> channels_;
  std::vector<parley::ThreadId> order_;  // of threads_, as they came
};

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_PERFETTO_H_
