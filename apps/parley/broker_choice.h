// Which broker a command means: the long-lived service, or that of a run.
#ifndef PARLEY_APPS_PARLEY_BROKER_CHOICE_H_
#define PARLEY_APPS_PARLEY_BROKER_CHOICE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "apps/parley/arguments.h"

namespace parley_tool {

// Of `parley run`: where the broker to join listens, empty for one of the run's own.
// InvalidArgument.
absl::StatusOr<std::string> BrokerToJoin(const Arguments& arguments);

// Of commands that look into a system: --run=PID, --broker=PATH, or the service.
inline const std::vector<std::string> kBrokerFlags = {"--run=", "--broker=", "--json"};
#define PARLEY_BROKER_HELP                                                           \
  "  --run=PID      of the run with this launcher (default: the service, parleyd)\n" \
  "  --broker=PATH  of the service whose socket this is\n"                           \
  "  --json         for programs\n"
// InvalidArgument: both, or no number or path. Else what is missing and how to get it.
absl::StatusOr<std::string> BrokerToAsk(const Arguments& arguments);

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_BROKER_CHOICE_H_
