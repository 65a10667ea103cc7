// Perfetto's JSON, entry by entry. Times are in microseconds there.
#include "apps/parley/perfetto.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "apps/parley/text.h"

namespace parley_tool {
namespace {

constexpr int kCpuTracks = 1'000'000;  // the pid of the CPUs' tracks, far from processes

std::string Microseconds(int64_t ns) { return absl::StrFormat("%d.%03d", ns / 1000, ns % 1000); }

}  // namespace

void PerfettoTrace::Entry(const std::string& json) {
  file_.Write(first_ ? "" : ",\n");
  first_ = false;
  file_.Write(json);
}

void PerfettoTrace::OnProcess(parley::ProcessId process, std::string_view name) {
  processes_[process] = std::string(name);
  Entry(absl::StrFormat(R"({"ph":"M","name":"process_name","pid":%d,"args":{"name":%s}})",
                        parley::Raw(process), JsonString(name)));
}

void PerfettoTrace::OnThread(parley::ThreadId thread, parley::ProcessId process,
                             std::string_view name) {
  threads_[thread] = {.name = std::string(name), .process = process, .on = {}};
  order_.push_back(thread);
  Entry(absl::StrFormat(R"({"ph":"M","name":"thread_name","pid":%d,"tid":%d,"args":{"name":%s}})",
                        parley::Raw(process), parley::Raw(thread), JsonString(name)));
}

void PerfettoTrace::OnChannel(parley::ChannelId channel, parley::ProcessId, std::string_view name) {
  channels_[channel] = std::string(name);
}

void PerfettoTrace::CloseSlice(parley::ThreadId id, Thread& thread, int64_t now_ns) {
  const std::string when = absl::StrFormat(R"("ts":%s,"dur":%s)", Microseconds(thread.since_ns),
                                           Microseconds(now_ns - thread.since_ns));
  const std::string state(Name(thread.state));
  if (thread.state != parley::ThreadState::kStopped) {
    Entry(absl::StrFormat(
        R"({"ph":"X","cat":"state","name":"%s","pid":%d,"tid":%d,%s,"args":{"on":%s}})", state,
        parley::Raw(thread.process), parley::Raw(id), when, JsonString(thread.on)));
  }
  if (thread.state == parley::ThreadState::kRunning && now_ns > thread.since_ns &&
      thread.cpu != parley::kNoCpu) {
    has_cpus_ = true;
    Entry(absl::StrFormat(R"({"ph":"X","cat":"cpu","name":%s,"pid":%d,"tid":%d,%s})",
                          JsonString(absl::StrCat(processes_[thread.process], "/", thread.name)),
                          kCpuTracks, thread.cpu, when));
  }
}

void PerfettoTrace::Flow(char phase, const parley::TraceEvent& event, parley::ThreadId thread) {
  Entry(absl::StrFormat(
      R"({"ph":"%c","cat":"message","name":"message","id":%d,"pid":%d,"tid":%d,"ts":%s%s})", phase,
      event.serial, parley::Raw(threads_[thread].process), parley::Raw(thread),
      Microseconds(event.time_ns), phase == 'f' ? R"(,"bp":"e")" : ""));
}

void PerfettoTrace::OnEvent(const parley::TraceEvent& event) {
  using Kind = parley::TraceKind;
  Thread& thread = threads_[event.thread];
  switch (event.kind) {
    case Kind::kState:
      CloseSlice(event.thread, thread, event.time_ns);
      thread.state = static_cast<parley::ThreadState>(event.state);
      thread.since_ns = event.time_ns;
      thread.cpu = event.cpu;
      thread.on = channels_[event.object];
      return;
    case Kind::kPriority:
      return Entry(
          absl::StrFormat(R"({"ph":"C","name":%s,"pid":%d,"ts":%s,"args":{"effective":%d}})",
                          JsonString(absl::StrCat("priority ", thread.name)),
                          parley::Raw(event.process), Microseconds(event.time_ns), event.priority));
    case Kind::kSend:
      return Flow('s', event, event.thread);
    case Kind::kReceive:
      return Flow('t', event, event.thread);
    case Kind::kReply:
      Flow('t', event, event.thread);
      return Flow('f', event, event.peer);
    case Kind::kMark:
    case Kind::kFault:
      return Entry(absl::StrFormat(
          R"({"ph":"i","s":"%s","cat":"mark","name":%s,"pid":%d,"tid":%d,"ts":%s})",
          event.thread == parley::ThreadId::kNone ? "p" : "t", JsonString(event.text),
          parley::Raw(event.process), parley::Raw(event.thread), Microseconds(event.time_ns)));
    case Kind::kCounter:
      return Entry(absl::StrFormat(R"({"ph":"C","name":%s,"pid":%d,"ts":%s,"args":{"total":%d}})",
                                   JsonString(event.text), parley::Raw(event.process),
                                   Microseconds(event.time_ns), static_cast<int64_t>(event.value)));
    default:
      return;
  }
}

absl::Status PerfettoTrace::Finish(int64_t end_ns) {
  for (parley::ThreadId id : order_) CloseSlice(id, threads_[id], end_ns);
  if (has_cpus_) {
    Entry(absl::StrFormat(R"({"ph":"M","name":"process_name","pid":%d,"args":{"name":"CPUs"}})",
                          kCpuTracks));
  }
  file_.Write("\n]\n");
  return file_.Commit();
}

}  // namespace parley_tool
