// `parley log`: what the programs of a running system have logged.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "apps/parley/arguments.h"
#include "apps/parley/broker_choice.h"
#include "apps/parley/commands.h"
#include "apps/parley/text.h"
#include "apps/parley/visit.h"
#include "ipc/file.h"
#include "servers/common/utf8.h"
#include "servers/logd/protocol.h"
#include "servers/logd/text.h"

namespace parley_tool {

const char kLogHelp[] =
    "usage: parley log [-f] [--severity=NAME] [--run=PID | --broker=PATH] [--json]\n\n"
    "Shows the log of a running system, the oldest first: number, time, severity, who, text.\n"
    "The program logd keeps it.\n\n"
    "  -f, --follow     and then what is logged from now on, until it is interrupted, or the\n"
    "                   run has ended\n"
    "  --severity=NAME  this and worse: emerg alert crit err warning notice info "
    "debug\n" PARLEY_BROKER_HELP "                 (one object a line)\n";

namespace {

constexpr absl::Duration kLogPatience = absl::Seconds(60);
constexpr absl::Duration kRunEnds = absl::Seconds(1);  // from one server's end to the last's

struct Showing {
  bool follow = false, json = false;
  uint32_t severity = logd::kDebug;
};

std::string JsonOf(const logd::NextReply& record) {
  return absl::StrFormat(
      "{\"sequence\": %d, \"time\": %s, \"severity\": %s, \"process\": %d, \"pid\": %d, "
      "\"uid\": %d, \"text\": %s}\n",
      record.sequence, JsonString(logd::FormatTime(record.time_ns)),
      JsonString(std::string(logd::SeverityName(record.severity))), record.process, record.pid,
      record.uid, JsonString(common::Printable({record.text, record.text_bytes})));
}

std::string Shown(const logd::NextReply& record, bool json) {
  std::string shown;
  if (record.lost > 0) {
    shown = json ? absl::StrFormat("{\"lost\": %d}\n", record.lost) : logd::FormatLost(record.lost);
  }
  if (json) return shown + JsonOf(record);
  return shown + logd::FormatRecord({record.sequence,
                                     record.time_ns,
                                     {record.process, record.pid, record.uid},
                                     record.severity,
                                     {record.text, record.text_bytes}});
}

// A server is not trusted more than any other process.
bool IsSound(const logd::NextReply& record) {
  return record.severity < logd::kSeverities && record.text_bytes <= logd::kMaxTextBytes;
}

int ShowLog(ipc::Process& self, const Showing& showing) {
  const uint32_t flags = O_RDONLY | (showing.follow ? 0 : O_NONBLOCK);
  const auto log = ipc::File::Open(self, logd::kName, flags);
  if (!log.ok()) {
    const absl::Status failed = About(logd::kName, log.status());
    if (ipc::PosixErrorOf(log.status()) != ENOENT) return Failure(failed);
    return Failure(absl::NotFoundError(
        absl::StrCat(failed.message(), "; the program logd keeps the log: start it")));
  }
  const logd::NextRequest next = {showing.severity, 0};
  for (;;) {
    const auto record = log->Control<logd::NextReply>(next);
    if (!record.ok()) {
      if (ipc::PosixErrorOf(record.status()) == EAGAIN) break;
      // If the whole run ends, this process is ended meanwhile, and there is no more to say.
      if (showing.follow) self.Sleep(kRunEnds).IgnoreError();
      return Failure(About(logd::kName, record.status()));
    }
    if (!IsSound(*record)) {
      return Failure(About(logd::kName, absl::DataLossError("what answers there is no logd")));
    }
    std::fputs(Shown(*record, showing.json).c_str(), stdout);
    if (showing.follow && std::fflush(stdout) != 0) break;
  }
  return 0;
}

// The next record may be long in coming, and nobody there to read it. What has come is written.
void EndWithReader() {
  std::thread([] {
    pollfd output = {STDOUT_FILENO, 0, 0};
    poll(&output, 1, -1);
    std::_Exit(0);
  }).detach();
}

}  // namespace

int LogCommand(const std::vector<std::string>& words) {
  std::vector<std::string> flags = kBrokerFlags;
  flags.insert(flags.end(), {"--follow", "--severity="});
  std::vector<std::string> longer = words;
  for (std::string& word : longer) {
    if (word == "-f") word = "--follow";
  }
  auto arguments = Arguments::Parse(longer, flags);
  if (!arguments.ok()) return Misuse(arguments.status());
  Showing showing = {arguments->Has("--follow"), arguments->Has("--json")};
  if (arguments->Has("--severity")) {
    const auto severity = logd::SeverityOf(arguments->Get("--severity"));
    if (!severity) {
      return Misuse(absl::InvalidArgumentError(
          absl::StrCat("--severity=", arguments->Get("--severity"),
                       ": expected one of emerg alert crit err warning notice info debug")));
    }
    showing.severity = *severity;
  }
  const auto broker = BrokerToAsk(*arguments);
  if (!broker.ok()) return Misplaced(broker.status());
  if (!showing.follow) {
    return Visit(*broker, kLogPatience, [&](ipc::Process& self) { return ShowLog(self, showing); });
  }
  return Stay(*broker, "parley-tool", {}, [&](ipc::Process& self) {
    EndWithReader();
    return ShowLog(self, showing);
  });
}

}  // namespace parley_tool
