// The subcommands of the tool, a file each. Each returns the exit status: 0, 1 for a failure, 2 for
// a misuse.
#ifndef PARLEY_APPS_PARLEY_COMMANDS_H_
#define PARLEY_APPS_PARLEY_COMMANDS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace parley_tool {

int RunCommand(const std::vector<std::string>& words);
int ReplayCommand(const std::vector<std::string>& words);
int ExploreCommand(const std::vector<std::string>& words);
int BenchCommand(const std::vector<std::string>& words);
int PsCommand(const std::vector<std::string>& words);
int NamesCommand(const std::vector<std::string>& words);
int SendCommand(const std::vector<std::string>& words);
int LogCommand(const std::vector<std::string>& words);
int MountCommand(const std::vector<std::string>& words);
int DoctorCommand(const std::vector<std::string>& words);

extern const char kRunHelp[];
extern const char kReplayHelp[];
extern const char kExploreHelp[];
extern const char kBenchHelp[];
extern const char kPsHelp[];
extern const char kNamesHelp[];
extern const char kSendHelp[];
extern const char kLogHelp[];
extern const char kMountHelp[];
extern const char kDoctorHelp[];

// One line to stderr; 2 for a misuse of the command line, else 1.
int Misuse(const absl::Status& status);
int Failure(const absl::Status& status);
// The same error, of `what`: its line begins with that, once.
absl::Status About(absl::string_view what, const absl::Status& status);
// InvalidArgument is a misuse, all else a failure.
int Misplaced(const absl::Status& status);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_COMMANDS_H_
