// Keeps what a kernel tells of a run, for tests to look at.
#ifndef PARLEY_TESTS_SUPPORT_HEARD_H_
#define PARLEY_TESTS_SUPPORT_HEARD_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernel-sim/core/trace.h"

namespace tests {

class Heard : public parley::TraceSink {
 public:
  struct Event : parley::TraceEvent {
    std::string words;  // its text, kept
  };

  void OnProcess(parley::ProcessId process, std::string_view name) override {
    in_order = in_order && events.empty();
    processes[process] = name;
  }
  void OnThread(parley::ThreadId thread, parley::ProcessId process,
                std::string_view name) override {
    in_order =
        in_order && events.empty() && processes.contains(process) && !threads.contains(thread);
    threads[thread] = processes[process] + "/" + std::string(name);
  }
  void OnChannel(parley::ChannelId channel, parley::ProcessId, std::string_view name) override {
    in_order = in_order && events.empty() && !channels.contains(channel);
    channels[channel] = name;
  }
  void OnEvent(const parley::TraceEvent& event) override {
    in_order = in_order && (events.empty() || events.back().time_ns <= event.time_ns);
    events.push_back({event, std::string(event.text)});
    events.back().text = {};
  }

  // Of the thread called "process/thread", in order.
  std::vector<Event> Of(const std::string& thread, parley::TraceKind kind) const {
    std::vector<Event> found;
    for (const Event& event : events) {
      auto its = threads.find(event.thread);
      if (event.kind == kind && its != threads.end() && its->second == thread) {
        found.push_back(event);
      }
    }
    return found;
  }
  // Its states, as "RUNNING SEND:/s REPLY:/s RUNNING".
  std::string StatesOf(const std::string& thread) const {
    std::string states;
    for (const Event& event : Of(thread, parley::TraceKind::kState)) {
      if (!states.empty()) states += ' ';
      states += Name(static_cast<parley::ThreadState>(event.state));
      if (event.object != parley::ChannelId::kNone) states += ":" + channels.at(event.object);
    }
    return states;
  }

  std::map<parley::ProcessId, std::string> processes;
  std::map<parley::ThreadId, std::string> threads;
  std::map<parley::ChannelId, std::string> channels;
  std::vector<Event> events;
  // Names came before events, once each; times never decreased.
  bool in_order = true;
};

}  // namespace tests

#endif  // PARLEY_TESTS_SUPPORT_HEARD_H_
