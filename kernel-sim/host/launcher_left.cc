// Who was left when a run's time was over: its processes' threads, what each waits for in Parley's
// words and in Linux's.
#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/thread_state.h"
#include "kernel-sim/host/launcher.h"
#include "kernel-sim/look.h"

namespace parley::host {
namespace {

constexpr size_t kMostNotes = 32;

std::string FirstLineOf(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "S in futex_do_wait": its state, and where in Linux it sleeps, as far as this user may know.
std::string LinuxSaysOf(uint32_t pid, uint32_t tid) {
  const std::string folder = absl::StrCat("/proc/", pid, "/task/", tid);
  const std::string stat = FirstLineOf(folder + "/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= stat.size()) return "gone";
  std::string says(1, stat[name_end + 2]);
  const std::string sleeps_in = FirstLineOf(folder + "/wchan");
  if (sleeps_in.size() > 1) absl::StrAppend(&says, " in ", sleeps_in);
  return says;
}

}  // namespace

// Before they are killed. From a broker that does not answer soon, only Linux's words are left.
void Launcher::NoteWhoIsLeft() {
  const auto system = LookAt(address_);
  const std::vector<SeenThread> threads = system.ok() ? system->threads : std::vector<SeenThread>();
  std::vector<std::string> lines;
  for (const auto& [id, child] : children_) {
    if (!child.report.running || child.report.service) continue;
    const auto pid = static_cast<uint32_t>(child.pid);
    const size_t before = lines.size();
    for (const SeenThread& thread : threads) {
      if (thread.process != id) continue;
      std::string state(Name(thread.state));
      if (!thread.channel_name.empty()) absl::StrAppend(&state, " of ", thread.channel_name);
      lines.push_back(absl::StrCat(child.report.name, "/", thread.name, " ", state,
                                   " (Linux: ", LinuxSaysOf(pid, thread.tid), ")"));
    }
    if (lines.size() > before) continue;
    lines.push_back(absl::StrCat(child.report.name, " ",
                                 system.ok() ? "has not joined" : system.status().message(),
                                 " (Linux: ", LinuxSaysOf(pid, pid), ")"));
  }
  const size_t shown = std::min(lines.size(), kMostNotes);
  for (size_t i = 0; i < shown; ++i) {
    report_.notes.push_back(absl::StrCat("at the time limit: ", lines[i]));
  }
  if (shown < lines.size()) {
    report_.notes.push_back(
        absl::StrCat("at the time limit: ", lines.size() - shown, " more threads"));
  }
}

}  // namespace parley::host
