// The table of threads, the tree of waits, the circles; and the same as JSON.
#include "apps/parley/system_text.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "apps/parley/text.h"

namespace parley_tool {
namespace {

using parley::SeenProcess;
using parley::SeenSystem;
using parley::SeenThread;
using parley::ThreadState;

constexpr size_t kMaxDepth = 16;  // of the tree; what lies deeper is cut

std::string StateOf(const SeenThread& thread) { return std::string(Name(thread.state)); }

class Writer {
 public:
  Writer(const SeenSystem& system, size_t lines) : system_(system), lines_(lines) {}

  std::string Write() {
    if (system_.processes.empty()) return "no processes\n";
    WriteThreads();
    WriteTree();
    for (const auto& circle : system_.circles) {
      absl::StrAppend(&text_, "! circle: ");
      for (size_t member : circle) absl::StrAppend(&text_, NameOf(member), " -> ");
      absl::StrAppend(&text_, NameOf(circle[0]), "\n");
    }
    return text_;
  }

  std::string NameOf(size_t thread) const {
    const SeenThread& seen = system_.threads[thread];
    const std::string name = seen.name.empty() ? absl::StrCat(seen.number) : seen.name;
    return absl::StrCat(ProcessName(seen.process), "/", name);
  }

  std::string WaitsFor(const SeenThread& thread) const {
    const bool sends = thread.state == ThreadState::kSend || thread.state == ThreadState::kReply;
    if (sends && thread.server == parley::ProcessId::kNone) return "a server that is gone";
    if (sends) return absl::StrCat(thread.channel_name, " of ", ProcessName(thread.server));
    return thread.freed_by.empty() ? "" : NameOf(thread.freed_by[0]);
  }

 private:
  std::string ProcessName(parley::ProcessId id) const {
    for (const SeenProcess& process : system_.processes) {
      if (process.id == id) return process.name;
    }
    return absl::StrCat("process ", parley::Raw(id));
  }

  void WriteThreads() {
    absl::StrAppendFormat(&text_, "%7s  %-32s  %4s  %4s  %-8s  %s\n", "PID", "PROCESS/THREAD",
                          "BASE", "EFF", "STATE", "BLOCKED ON");
    const size_t shown = std::min(lines_, system_.threads.size());
    for (size_t i = 0; i < shown; ++i) {
      const SeenThread& thread = system_.threads[i];
      absl::StrAppendFormat(&text_, "%7u  %-32s  %4d  %4d  %-8s  %s\n", thread.tid, NameOf(i),
                            thread.base, thread.effective, StateOf(thread), WaitsFor(thread));
    }
    for (const SeenProcess& process : system_.processes) {
      if (process.pid == 0) absl::StrAppend(&text_, "         ", process.name, " has not joined\n");
    }
    if (shown < system_.threads.size()) {
      absl::StrAppend(&text_, "... ", system_.threads.size() - shown, " more threads: --all\n");
    }
  }

  // From those that somebody waits for and that wait for nobody; then what is left, in circles.
  void WriteTree() {
    waiters_.resize(system_.threads.size());
    for (size_t i = 0; i < system_.threads.size(); ++i) {
      if (!system_.threads[i].freed_by.empty()) {
        waiters_[system_.threads[i].freed_by[0]].push_back(i);
      }
    }
    std::vector<size_t> roots;
    for (size_t i = 0; i < waiters_.size(); ++i) {
      if (!waiters_[i].empty() && system_.threads[i].freed_by.empty()) roots.push_back(i);
    }
    for (const auto& circle : system_.circles) roots.push_back(circle[0]);
    if (roots.empty()) return;
    absl::StrAppend(&text_, "\nwho waits, each below whom it waits for\n");
    for (size_t root : roots) WriteBranch(root, 0);
    if (tree_lines_ > lines_) {
      absl::StrAppend(&text_, "... ", tree_lines_ - lines_, " more waits: --all\n");
    }
  }

  void WriteBranch(size_t thread, size_t depth) {
    if (!told_.insert(thread).second || depth > kMaxDepth) return;
    if (++tree_lines_ <= lines_) {
      absl::StrAppend(&text_, std::string(2 * depth, ' '), NameOf(thread), "  ",
                      StateOf(system_.threads[thread]), "\n");
    }
    for (size_t waiter : waiters_[thread]) WriteBranch(waiter, depth + 1);
  }

  const SeenSystem& system_;
  const size_t lines_;
  std::string text_;
  std::vector<std::vector<size_t>> waiters_;  // by the first thread that could free them
  std::set<size_t> told_;
  size_t tree_lines_ = 0;
};

}  // namespace

std::string SystemText(const SeenSystem& system, size_t lines) {
  return Writer(system, lines).Write();
}

std::string SystemJson(const SeenSystem& system) {
  const Writer names(system, 0);
  const auto list = [](const std::vector<size_t>& numbers) {
    return absl::StrCat("[", absl::StrJoin(numbers, ", "), "]");
  };
  std::vector<std::string> processes, threads, circles;
  for (const SeenProcess& process : system.processes) {
    processes.push_back(absl::StrCat(
        "    {\"id\": ", parley::Raw(process.id), ", \"name\": ", JsonString(process.name),
        ", \"pid\": ", process.pid, ", \"uid\": ", process.uid, ", \"ceiling\": ", process.ceiling,
        ", \"launcher_pid\": ", process.launcher_pid,
        ", \"name_server\": ", process.name_server ? "true" : "false", "}"));
  }
  for (size_t i = 0; i < system.threads.size(); ++i) {
    const SeenThread& thread = system.threads[i];
    threads.push_back(absl::StrCat(
        "    {\"name\": ", JsonString(names.NameOf(i)),
        ", \"process\": ", parley::Raw(thread.process), ", \"number\": ", thread.number,
        ", \"tid\": ", thread.tid, ", \"state\": ", JsonString(StateOf(thread)),
        ", \"base\": ", thread.base, ", \"effective\": ", thread.effective, ", \"blocked_on\": ",
        JsonString(names.WaitsFor(thread)), ", \"freed_by\": ", list(thread.freed_by), "}"));
  }
  for (const auto& circle : system.circles) circles.push_back(list(circle));
  return absl::StrCat("{\n  \"processes\": [\n", absl::StrJoin(processes, ",\n"),
                      "\n  ],\n  \"threads\": [\n", absl::StrJoin(threads, ",\n"),
                      "\n  ],\n  \"circles\": [", absl::StrJoin(circles, ", "), "]\n}\n");
}

}  // namespace parley_tool
