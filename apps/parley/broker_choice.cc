// Which broker a command means.
#include "apps/parley/broker_choice.h"

#include <signal.h>

#include <cerrno>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libipc/system.h"

namespace parley_tool {
namespace {

// A run that has only just started, as by `parley run ... & parley ps --run=$!`, is waited for.
absl::StatusOr<std::string> BrokerOfRun(int launcher) {
  const absl::Time patience = absl::Now() + absl::Seconds(1);
  for (;;) {
    auto broker = parley::PrivateBroker(launcher);
    const bool lives = kill(launcher, 0) == 0 || errno == EPERM;
    if (broker.ok() || !lives || absl::Now() > patience) return broker;
    absl::SleepFor(absl::Milliseconds(10));
  }
}

}  // namespace

absl::StatusOr<std::string> BrokerToJoin(const Arguments& arguments) {
  const std::string broker = arguments.Get("--broker", "private");
  if (broker == "private") return "";
  if (broker == "service") return parley::ServicePath();
  if (absl::StartsWith(broker, "/")) return broker;
  return absl::InvalidArgumentError(
      absl::StrCat("--broker=", broker, ": expected private, service or an absolute path"));
}

absl::StatusOr<std::string> BrokerToAsk(const Arguments& arguments) {
  if (arguments.Has("--run") && arguments.Has("--broker")) {
    return absl::InvalidArgumentError("--run and --broker: one of them");
  }
  if (arguments.Has("--run")) {
    const auto pid = arguments.GetInteger("--run", 0, 1, std::numeric_limits<int>::max());
    if (!pid.ok()) return pid.status();
    return BrokerOfRun(static_cast<int>(*pid));
  }
  const std::string path = arguments.Get("--broker");
  if (!path.empty() || arguments.Has("--broker")) {
    if (absl::StartsWith(path, "/")) return path;
    return absl::InvalidArgumentError(
        absl::StrCat("--broker=", path, ": expected an absolute path"));
  }
  const auto service = parley::ServicePath();
  if (!service.ok() || parley::ServedBy(*service) != 0) return service;
  const std::vector<int> runs = parley::PrivateRuns();
  return absl::NotFoundError(absl::StrCat(
      "no service at ", *service, ": start parleyd",
      runs.empty() ? "" : ", or look into a run: --run=", absl::StrJoin(runs, " or --run=")));
}

}  // namespace parley_tool
