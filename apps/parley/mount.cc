// `parley mount`: the name space of a running system as a file system of Linux.
#include <algorithm>
#include <cstdio>

#include "apps/parley/arguments.h"
#include "apps/parley/broker_choice.h"
#include "apps/parley/commands.h"
#include "apps/parley/visit.h"
#include "servers/fused/fused.h"
#include "servers/fused/mount_point.h"

namespace parley_tool {

const char kMountHelp[] =
    "usage: parley mount DIR [--allow-other] [--run=PID | --broker=PATH]\n\n"
    "Shows the name space at DIR, an empty folder: ls, cat, cp, editors and whatever else knows\n"
    "files can then be used on every file server and device of it. Ends, and unmounts DIR, on\n"
    "Ctrl-C, SIGTERM, or fusermount3 -u DIR, and with the run.\n\n"
    "  --allow-other  for all users; who is not root needs user_allow_other in /etc/fuse.conf\n"
    "  --run=PID      of the run with this launcher (default: the service, parleyd)\n"
    "  --broker=PATH  of the service whose socket this is\n";

int MountCommand(const std::vector<std::string>& words) {
  auto arguments = Arguments::Parse(words, {"--run=", "--broker=", "--allow-other"}, {"DIR"});
  if (!arguments.ok()) return Misuse(arguments.status());
  // Said here already: there may be no system to join, and one line is enough.
  const bool shared = arguments->Has("--allow-other");
  const auto folder = fused::CheckMountPoint(arguments->position(0));
  if (!folder.ok()) return Failure(folder.status());
  if (absl::Status may = fused::CheckMayMount(shared); !may.ok()) return Failure(may);
  const auto broker = BrokerToAsk(*arguments);
  if (!broker.ok()) return Misplaced(broker.status());
  std::vector<std::string> its = {*folder};
  if (shared) its.push_back("--allow-other");
  const int status = Stay(*broker, "fused", its, fused::Main);
  // It was killed, by Ctrl-C as by anybody, and its helper may not be there.
  fused::MendMountPoint(*folder);
  return status;
}

}  // namespace parley_tool
