// The log's manager: lines in, records kept, lines and records out.
#include "servers/logd/logd.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ipc/resource_manager.h"
#include "servers/logd/protocol.h"
#include "servers/logd/rate_limit.h"
#include "servers/logd/ring.h"
#include "servers/logd/text.h"

namespace logd {
namespace {

constexpr size_t kDefaultBytes = 1 << 20, kLeastBytes = 64 << 10, kMostBytes = 1 << 30;
constexpr uint8_t kReport = 1;  // pulse code: time to say what was suppressed
constexpr absl::Duration kReportAfter = absl::Seconds(1);  // the first that was

struct LogFile : ipc::OpenFile {
  LogFile(std::shared_ptr<ipc::Node> node, const Cursor& begin)
      : OpenFile(std::move(node)), cursor(begin) {}
  bool MayRead() const { return (flags() & O_ACCMODE) != O_WRONLY; }
  bool MayWrite() const { return (flags() & O_ACCMODE) != O_RDONLY; }
  Cursor cursor;
  std::string line;  // what is left of the one that the cursor has passed
};

class Manager : public ipc::ResourceManager {
 public:
  Manager(std::shared_ptr<ipc::Node> node, size_t max_bytes)
      : node_(std::move(node)), ring_(max_bytes) {}

 private:
  absl::Status OnStart(ipc::Process& self, const ipc::Channel& channel) override {
    self_ = &self;
    auto timer = channel.MakeTimer(kReport, 0, self.priority());
    if (!timer.ok()) return timer.status();
    report_.emplace(*std::move(timer));
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<ipc::OpenFile>> Open(ipc::FileCall&,
                                                      std::shared_ptr<ipc::Node> node,
                                                      uint32_t) override {
    return std::make_shared<LogFile>(std::move(node), ring_.Begin());
  }

  // -- Writing

  absl::StatusOr<uint64_t> Write(ipc::FileCall& call, ipc::OpenFile&, uint64_t,
                                 ipc::ConstBytes bytes) override {
    if (bytes.size() > ipc::files::kMaxPayloadBytes) return ipc::PosixError(EMSGSIZE);
    const int64_t now_ns = NowNs();
    LineSplitter lines(ipc::TextOf(bytes));
    while (const auto line = lines.Next()) Log(call.from(), now_ns, line->severity, line->text);
    return bytes.size();
  }

  int64_t NowNs() const { return absl::ToUnixNanos(self_->Now()); }

  // The record's number; 0: it is suppressed.
  uint64_t Log(const ipc::MessageInfo& from, int64_t now_ns, uint32_t severity,
               absl::string_view text) {
    const Writer writer = {from.sender.id(), from.pid, from.uid};
    if (severity > kErr && !limit_.Admit(writer, now_ns)) {
      // Without a timer it would be said the next time that one can be armed.
      if (!report_armed_) report_armed_ = report_->Arm(kReportAfter).ok();
      return 0;
    }
    return Add(writer, severity, std::string(text));
  }

  uint64_t Add(const Writer& writer, uint32_t severity, std::string text) {
    Wake(*node_);
    return ring_.Add({0, WallNs(), writer, severity, std::move(text)});
  }

  void OnPulse(const ipc::Pulse& pulse) override {
    if (pulse.code != kReport) return;
    report_armed_ = false;
    for (const RateLimit::Suppressed& suppressed : limit_.TakeSuppressed()) {
      Add(suppressed.writer, kWarning, absl::StrCat(suppressed.records, " suppressed"));
    }
  }

  // -- Reading

  absl::StatusOr<uint64_t> Read(ipc::FileCall&, ipc::OpenFile& file, uint64_t,
                                ipc::MutableBytes bytes) override {
    auto& log = static_cast<LogFile&>(file);
    if (bytes.empty()) return 0;
    uint64_t count = 0;
    // Whole lines, unless not even one fits.
    while (FillLine(log) && (count == 0 || log.line.size() <= bytes.size())) {
      const uint64_t copied = ipc::CopyText(log.line, 0, bytes);
      log.line.erase(0, copied);
      bytes.remove_prefix(copied);
      count += copied;
      if (bytes.empty()) return count;
    }
    if (count == 0) return ipc::PosixError(EAGAIN);
    return count;
  }

  // False: the log ends here.
  bool FillLine(LogFile& log) const {
    if (!log.line.empty()) return true;
    const Record* record = ring_.Find(log.cursor);
    if (log.cursor.lost > 0) {
      log.line = FormatLost(std::exchange(log.cursor.lost, 0));
    } else if (record != nullptr) {
      log.line = FormatRecord(*record);
      ++log.cursor.next;
    }
    return !log.line.empty();
  }

  uint32_t Poll(ipc::OpenFile& file) override {
    const auto& log = static_cast<LogFile&>(file);
    const bool more = !log.line.empty() || !ring_.IsAtEnd(log.cursor);
    return (log.MayRead() && more ? ipc::files::kReadable : 0) |
           (log.MayWrite() ? ipc::files::kWritable : 0);
  }

  // -- Structs

  absl::Status Control(ipc::FileCall& call, ipc::OpenFile& file,
                       ipc::ControlRequest& request) override {
    auto& log = static_cast<LogFile&>(file);
    if (request.Is<AddRequest>()) {
      if (!log.MayWrite()) return ipc::PosixError(EBADF);
      const auto add = request.As<AddRequest>();
      if (add.severity >= kSeverities || add.text_bytes == 0 || add.text_bytes > kMaxTextBytes) {
        return ipc::PosixError(EINVAL);
      }
      return request.Reply(
          AddReply{Log(call.from(), NowNs(), add.severity, {add.text, add.text_bytes})});
    }
    if (request.Is<NextRequest>()) {
      if (!log.MayRead()) return ipc::PosixError(EBADF);
      const auto next = request.As<NextRequest>();
      if (next.severity >= kSeverities) return ipc::PosixError(EINVAL);
      return Next(log, next.severity, request);
    }
    return ipc::PosixError(ENOTTY);
  }

  absl::Status Next(LogFile& log, uint32_t severity, ipc::ControlRequest& request) {
    const Record* record = nullptr;
    while ((record = ring_.Find(log.cursor)) != nullptr && record->severity > severity) {
      ++log.cursor.next;
    }
    if (record == nullptr) return ipc::PosixError(EAGAIN);
    NextReply reply;
    reply.lost = log.cursor.lost;
    reply.sequence = record->sequence;
    reply.time_ns = record->time_ns;
    reply.process = record->writer.process;
    reply.pid = record->writer.pid;
    reply.uid = record->writer.uid;
    reply.severity = record->severity;
    reply.text_bytes = static_cast<uint32_t>(record->text.size());
    std::memcpy(reply.text, record->text.data(), record->text.size());
    absl::Status replied = request.Reply(reply);
    if (replied.ok()) log.cursor = {record->sequence + 1, 0};
    return replied;
  }

  const std::shared_ptr<ipc::Node> node_;
  ipc::Process* self_ = nullptr;
  Ring ring_;
  RateLimit limit_;
  std::optional<ipc::Timer> report_;
  bool report_armed_ = false;
};

// 0: not understood.
size_t BytesFrom(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return kDefaultBytes;
  absl::string_view number = arguments[0];
  size_t bytes = 0;
  if (arguments.size() > 1 || !absl::ConsumePrefix(&number, "--bytes=") ||
      !absl::SimpleAtoi(number, &bytes) || bytes < kLeastBytes || bytes > kMostBytes) {
    return 0;
  }
  return bytes;
}

}  // namespace

int Main(ipc::Process& self) {
  const size_t bytes = BytesFrom(self.arguments());
  if (bytes == 0) {
    std::fprintf(stderr, "usage: logd [--bytes=N], from %zu to %zu\n", kLeastBytes, kMostBytes);
    return 2;
  }
  // All may write; what others have written is not for all to read.
  auto node = std::make_shared<ipc::Node>(S_IFCHR | 0662);
  node->stat.uid = self.uid();
  node->stat.gid = self.gid();
  Manager manager(node, bytes);
  return manager.Run(self, kName, node);
}

}  // namespace logd
