// `parley ps`: the threads of a running system, and who waits for whom.
#include <cstdio>
#include <limits>

#include "apps/parley/arguments.h"
#include "apps/parley/broker_choice.h"
#include "apps/parley/commands.h"
#include "apps/parley/system_text.h"

namespace parley_tool {

const char kPsHelp[] =
    "usage: parley ps [--run=PID | --broker=PATH] [--all] [--json]\n\n"
    "Shows each thread's priorities (its own, and the one it runs at), state and what it is\n"
    "blocked on; who waits for whom, as a tree; and each circle of waits that nobody can end. A\n"
    "page of them unless --all. Root sees all processes, a user those of its own runs. Each "
    "thread\n"
    "is read at an instant of its own.\n\n" PARLEY_BROKER_HELP;

namespace {

constexpr size_t kPageLines = 30;  // of threads, and of the tree

}  // namespace

int PsCommand(const std::vector<std::string>& words) {
  std::vector<std::string> flags = kBrokerFlags;
  flags.push_back("--all");
  auto arguments = Arguments::Parse(words, flags);
  if (!arguments.ok()) return Misuse(arguments.status());
  const auto broker = BrokerToAsk(*arguments);
  if (!broker.ok()) return Misplaced(broker.status());
  const auto system = parley::LookAt(*broker);
  if (!system.ok()) return Failure(system.status());
  const size_t lines = arguments->Has("--all") ? std::numeric_limits<size_t>::max() : kPageLines;
  const std::string text =
      arguments->Has("--json") ? SystemJson(*system) : SystemText(*system, lines);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace parley_tool
