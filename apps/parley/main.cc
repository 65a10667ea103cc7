// parley: runs sets of programs, explores their schedules, replays and measures; looks into what
// runs.
#include <cstdio>
#include <string>
#include <vector>

#include "apps/parley/commands.h"
#include "apps/parley/standard_output.h"

namespace parley_tool {
namespace {

struct Command {
  const char* name;
  int (*run)(const std::vector<std::string>&);
  const char* help;
  const char* summary;
};

constexpr Command kCommands[] = {
    {"run", RunCommand, kRunHelp, "run a manifest's processes and say how it went"},
    {"explore", ExploreCommand, kExploreHelp, "run it many times under different schedules"},
    {"replay", ReplayCommand, kReplayHelp, "run exactly the schedule that failed"},
    {"bench", BenchCommand, kBenchHelp, "measure the message path"},
    {"ps", PsCommand, kPsHelp, "show a running system's threads and who waits for whom"},
    {"names", NamesCommand, kNamesHelp, "list its names"},
    {"send", SendCommand, kSendHelp, "send bytes to a name and show the reply"},
    {"log", LogCommand, kLogHelp, "show what its programs have logged"},
    {"mount", MountCommand, kMountHelp, "show its name space as a folder of Linux"},
    {"doctor", DoctorCommand, kDoctorHelp, "say what this machine lacks, and how to mend it"},
};

int Usage(std::FILE* out) {
  std::fprintf(out, "usage: parley COMMAND ...\n\n");
  for (const Command& command : kCommands) {
    std::fprintf(out, "  %-8s  %s\n", command.name, command.summary);
  }
  std::fprintf(out, "\n`parley COMMAND --help` tells the rest.\n");
  return out == stdout ? 0 : 2;
}

int Main(const std::vector<std::string>& words) {
  if (words.empty()) return Usage(stderr);
  if (words[0] == "--help" || words[0] == "help") return Usage(stdout);
  for (const Command& command : kCommands) {
    if (words[0] != command.name) continue;
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    for (const std::string& word : rest) {
      if (word == "--help") {
        std::fputs(command.help, stdout);
        return 0;
      }
    }
    return command.run(rest);
  }
  std::fprintf(stderr, "parley: no command is called '%s'; see parley --help\n", words[0].c_str());
  return 2;
}

}  // namespace
}  // namespace parley_tool

int main(int argc, char** argv) {
  parley_tool::HoldStandardDescriptors();
  return parley_tool::Written(parley_tool::Main(std::vector<std::string>(argv + 1, argv + argc)));
}
