// `parley names` and `parley send`: what a process of a running system can see and say.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "apps/parley/arguments.h"
#include "apps/parley/broker_choice.h"
#include "apps/parley/commands.h"
#include "apps/parley/text.h"
#include "apps/parley/visit.h"

namespace parley_tool {

const char kNamesHelp[] =
    "usage: parley names [PREFIX] [--run=PID | --broker=PATH] [--all] [--json]\n\n"
    "Lists the names at or below PREFIX (default: /), sorted; a page of them unless "
    "--all.\n\n" PARLEY_BROKER_HELP;
const char kSendHelp[] =
    "usage: parley send NAME BYTES [--deadline=1s] [--run=PID | --broker=PATH] [--json]\n\n"
    "Sends BYTES to who serves NAME and shows the reply. Both are text with C's escapes: \\n, "
    "\\x1f.\n"
    "What is shown of a reply ends after 64 KiB.\n\n"
    "  --deadline=1s  for NAME to appear and to answer: 5ms, 2s, 1m\n" PARLEY_BROKER_HELP;

namespace {

constexpr size_t kPageLines = 40;
constexpr absl::Duration kNamesPatience = absl::Seconds(10);
constexpr size_t kMaxReplyBytes = 64 << 10;

int PrintNames(const std::vector<std::string>& names, bool all, bool json) {
  if (json) {
    std::printf("{\"names\": [%s]}\n",
                absl::StrJoin(names, ", ", [](std::string* out, const std::string& name) {
                  absl::StrAppend(out, JsonString(name));
                }).c_str());
    return 0;
  }
  const size_t shown = all ? names.size() : std::min(names.size(), kPageLines);
  for (size_t i = 0; i < shown; ++i) std::printf("%s\n", absl::CEscape(names[i]).c_str());
  if (names.empty()) std::printf("no names\n");
  if (shown < names.size()) std::printf("... %zu more: --all\n", names.size() - shown);
  return 0;
}

struct Sending {
  std::string name, bytes;
  absl::Duration deadline;
  bool json;
};

int Send(ipc::Process& self, const Sending& sending) {
  const absl::Time until = self.Now() + sending.deadline;
  auto connection = self.Open(sending.name, until);
  if (!connection.ok()) return Failure(connection.status());
  std::string reply(kMaxReplyBytes, '\0');
  auto length =
      connection->Send(ipc::ConstBytes(reinterpret_cast<const std::byte*>(sending.bytes.data()),
                                       sending.bytes.size()),
                       ipc::MutableBytes(reinterpret_cast<std::byte*>(reply.data()), reply.size()),
                       {.deadline = until});
  if (!length.ok()) {
    return Failure(About(sending.name, length.status()));
  }
  reply.resize(std::min<size_t>(*length, reply.size()));
  if (sending.json) {
    std::printf("{\"bytes\": %zu, \"hex\": \"%s\"}\n", static_cast<size_t>(*length),
                absl::BytesToHexString(reply).c_str());
  } else {
    std::printf("%zu bytes: \"%s\"%s\n", static_cast<size_t>(*length),
                absl::CHexEscape(reply).c_str(), reply.size() < *length ? " ..." : "");
  }
  return 0;
}

absl::StatusOr<Sending> Understand(const Arguments& arguments) {
  Sending sending = {arguments.position(0), "", absl::ZeroDuration(), arguments.Has("--json")};
  std::string error;
  if (!absl::CUnescape(arguments.position(1), &sending.bytes, &error)) {
    return absl::InvalidArgumentError(absl::StrCat("BYTES: ", error));
  }
  const std::string deadline = arguments.Get("--deadline", "1s");
  if (!absl::ParseDuration(deadline, &sending.deadline) ||
      sending.deadline <= absl::ZeroDuration() || sending.deadline > absl::Hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--deadline=", deadline, ": expected a time of at most 24h, as 5ms or 2s"));
  }
  return sending;
}

}  // namespace

int NamesCommand(const std::vector<std::string>& words) {
  std::vector<std::string> flags = kBrokerFlags;
  flags.push_back("--all");
  const bool with_prefix = !words.empty() && words[0].substr(0, 1) == "/";
  std::vector<std::string> positions;
  if (with_prefix) positions.push_back("PREFIX");
  auto arguments = Arguments::Parse(words, flags, positions);
  if (!arguments.ok()) return Misuse(arguments.status());
  const std::string prefix = with_prefix ? arguments->position(0) : "/";
  const auto broker = BrokerToAsk(*arguments);
  if (!broker.ok()) return Misplaced(broker.status());
  return Visit(*broker, kNamesPatience, [&](ipc::Process& self) {
    auto names = self.ListNames(prefix);
    if (!names.ok()) return Failure(names.status());
    return PrintNames(*names, arguments->Has("--all"), arguments->Has("--json"));
  });
}

int SendCommand(const std::vector<std::string>& words) {
  std::vector<std::string> flags = kBrokerFlags;
  flags.push_back("--deadline=");
  auto arguments = Arguments::Parse(words, flags, {"NAME", "BYTES"});
  if (!arguments.ok()) return Misuse(arguments.status());
  const auto sending = Understand(*arguments);
  if (!sending.ok()) return Misuse(sending.status());
  const auto broker = BrokerToAsk(*arguments);
  if (!broker.ok()) return Misplaced(broker.status());
  // Past the deadline comes the grace that a server has to let go.
  return Visit(*broker, sending->deadline + absl::Seconds(5),
               [&](ipc::Process& self) { return Send(self, *sending); });
}

}  // namespace parley_tool
