// Conformance: the log at /dev/log, on every kernel.
#include "servers/logd/logd.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ipc/file_server.h"
#include "servers/logd/protocol.h"
#include "servers/logd/rate_limit.h"
#include "tests/conformance/files.h"

namespace {

using ipc::BytesOfText;
using ipc::File;
using ipc::files::kReadable;
using ipc::files::kWritable;
using logd::kName;
using logd::NextReply;
using logd::NextRequest;
using tests::conformance::Client;
using tests::conformance::Ending;
using tests::conformance::ErrnoOf;
using tests::conformance::kSoon;
using tests::conformance::LetBlock;
using tests::conformance::ReadText;
using tests::conformance::RunWorld;

tests::Actor Logging(std::vector<std::string> arguments = {}) {
  return {.name = "logd", .main = logd::Main, .service = true, .arguments = std::move(arguments)};
}

File Open(ipc::Process& self, uint32_t flags) {
  return File::Open(self, kName, flags, 0, kSoon).value();
}

void Write(ipc::Process& self, const std::string& text) {
  CHECK(ipc::WriteFile(self, kName, text, kSoon).ok());
}

std::string TextOf(const NextReply& record) { return {record.text, record.text_bytes}; }

// All lines that are there, without the newline.
std::vector<std::string> Lines(const File& log) {
  std::string all;
  for (;;) {
    std::string some(4096, '\0');
    const auto count = log.Read({reinterpret_cast<std::byte*>(some.data()), some.size()});
    if (!count.ok()) {
      CHECK(ErrnoOf(count) == EAGAIN);
      return absl::StrSplit(all, '\n', absl::SkipEmpty());
    }
    all += some.substr(0, *count);
  }
}

TEST_CASE("lines are logged with who wrote them, and read from the oldest on") {
  RunWorld({Logging(), Client([](ipc::Process& self) {
              const File log = Open(self, O_RDWR | O_NONBLOCK);
              CHECK(log.Poll(kReadable | kWritable).value() == kWritable);
              CHECK(ErrnoOf(log.Read({})) == 0);
              CHECK(Lines(log).empty());
              CHECK(log.Write(BytesOfText("<3>first\nsecond \x1b\n")).value() == 18);
              CHECK(log.Poll(kReadable | kWritable).value() == (kReadable | kWritable));
              const auto lines = Lines(log);
              REQUIRE(lines.size() == 2);
              CHECK(absl::StartsWith(lines[0], "1 "));
              CHECK(absl::StrContains(lines[0], " err pid="));
              CHECK(absl::EndsWith(lines[0], absl::StrCat(" uid=", self.uid(), " first")));
              CHECK(absl::StartsWith(lines[1], "2 "));
              CHECK(absl::EndsWith(lines[1], " second \\x1b"));
              CHECK(Lines(log).empty());
              CHECK(Lines(Open(self, O_RDONLY | O_NONBLOCK)) == lines);  // its own place
            })});
}

TEST_CASE("a read with little room gets the line in pieces, one with much whole lines") {
  RunWorld({Logging(), Client([](ipc::Process& self) {
              Write(self, "abc\ndef\n");
              const File log = Open(self, O_RDONLY | O_NONBLOCK);
              std::string first;
              while (first.empty() || first.back() != '\n') first += ReadText(log, 7);
              CHECK(absl::EndsWith(first, " abc\n"));
              const std::string second = ReadText(log, 500);
              CHECK(absl::EndsWith(second, " def\n"));
              const File again = Open(self, O_RDONLY | O_NONBLOCK);
              CHECK(ReadText(again, first.size() + 3) == first);
              CHECK(ReadText(again, 500) == second);
            })});
}

TEST_CASE("who reads at the end waits for the next record") {
  RunWorld({Logging(), Client([](ipc::Process& self) {
              const File log = Open(self, O_RDONLY);
              CHECK(absl::EndsWith(ReadText(log, 200), " late\n"));
              CHECK(log.Wait(kReadable, kSoon).value() == kReadable);
              const auto record = log.Control<NextReply>(NextRequest{logd::kErr, 0}, kSoon).value();
              CHECK(TextOf(record) == "bad");
            }),
            Client(
                [](ipc::Process& self) {
                  const File log = Open(self, O_WRONLY);
                  LetBlock(self);
                  CHECK(log.Write(BytesOfText("late")).ok());
                  LetBlock(self);
                  CHECK(log.Write(BytesOfText("good\n<2>bad")).ok());
                },
                "writer")});
}

TEST_CASE("a record has its fields as a struct, and is passed by who wants worse ones only") {
  RunWorld({Logging(), Client([](ipc::Process& self) {
              const File log = Open(self, O_RDWR | O_NONBLOCK);
              logd::AddRequest add;
              add.severity = logd::kCrit;
              add.text_bytes = 5;
              std::memcpy(add.text, "a\nb\0c", 5);
              Write(self, "good");
              CHECK(log.Control<logd::AddReply>(add)->sequence == 2);
              const auto record = log.Control<NextReply>(NextRequest{logd::kErr, 0}).value();
              CHECK(record.sequence == 2);
              CHECK(TextOf(record) == std::string("a\nb\0c", 5));
              CHECK(record.severity == logd::kCrit);
              CHECK(record.process == self.me().id());
              CHECK(record.uid == self.uid());
              CHECK(record.lost == 0);
              CHECK(record.time_ns > 0);
              CHECK(ErrnoOf(log.Control<NextReply>(NextRequest{})) == EAGAIN);
              CHECK(ErrnoOf(log.Control<NextReply>(NextRequest{8, 0})) == EINVAL);
              add.severity = 8;
              CHECK(ErrnoOf(log.Control<logd::AddReply>(add)) == EINVAL);
              add.severity = 0;
              add.text_bytes = logd::kMaxTextBytes + 1;
              CHECK(ErrnoOf(log.Control<logd::AddReply>(add)) == EINVAL);
              CHECK(ErrnoOf(log.Control(99, {}, {})) == ENOTTY);
              const File writer = Open(self, O_WRONLY), reader = Open(self, O_RDONLY);
              CHECK(ErrnoOf(writer.Control<NextReply>(NextRequest{})) == EBADF);
              CHECK(ErrnoOf(reader.Control<logd::AddReply>(logd::AddRequest())) == EBADF);
            })});
}

TEST_CASE("records outlive their writer") {
  RunWorld({Logging(),
            {.name = "writer",
             .main =
                 [](ipc::Process& self) {
                   Write(self, "last words");
                   return 0;
                 },
             .only_program = true},
            Client([](ipc::Process& self) {
              CHECK(self.Start("writer")->Wait(kSoon)->code == 0);
              CHECK(absl::EndsWith(ReadText(Open(self, O_RDONLY), 200), " last words\n"));
            })});
}

TEST_CASE("who falls behind is told how many records it has lost") {
  RunWorld({Logging({"--bytes=65536"}), Client([](ipc::Process& self) {
              const File slow = Open(self, O_RDWR | O_NONBLOCK);
              const File struct_reader = Open(self, O_RDONLY | O_NONBLOCK);
              const std::string text = "<3>" + std::string(1000, 'x') + "\n";
              for (int i = 0; i < 100; ++i) Write(self, text);
              const auto lines = Lines(slow);
              const auto next = struct_reader.Control<NextReply>(NextRequest{}).value();
              CHECK(lines[0] ==
                    absl::StrCat("... ", next.lost,
                                 " records lost: they came faster than they were read"));
              CHECK(next.lost + lines.size() - 1 == 100);
              CHECK(next.sequence == next.lost + 1);
              CHECK(next.lost > 30);
              CHECK(struct_reader.Control<NextReply>(NextRequest{})->lost == 0);
              // Who opens now has lost nothing.
              CHECK(Lines(Open(self, O_RDONLY | O_NONBLOCK)).size() == lines.size() - 1);
            })});
}

TEST_CASE("a process that writes too much is cut off but for errors, and that is told") {
  RunWorld({Logging(), Client([](ipc::Process& self) {
              const File log = Open(self, O_RDWR);
              std::string much;
              for (int i = 0; i < 2000; ++i) much += "<6>x\n";
              CHECK(log.Write(BytesOfText(much)).value() == much.size());
              CHECK(log.Write(BytesOfText("<3>still heard")).ok());
              uint64_t heard = 0, suppressed = 0;
              for (bool error = false; !error || suppressed == 0;) {
                const auto record = log.Control<NextReply>(NextRequest{}, kSoon).value();
                CHECK(record.process == self.me().id());
                const std::string text = TextOf(record);
                heard += text == "x" ? 1 : 0;
                error |= text == "still heard";
                const std::vector<std::string> words = absl::StrSplit(text, ' ');
                if (words.size() == 2 && words[1] == "suppressed") {
                  CHECK(absl::SimpleAtoi(words[0], &suppressed));
                  CHECK(record.severity == logd::kWarning);
                }
              }
              CHECK(heard >= logd::RateLimit::kBurstRecords);
              CHECK(heard + suppressed == 2000);
            })});
}

TEST_CASE("logd ends with its usage when it does not understand its arguments") {
  for (const char* argument : {"--bytes=1", "--bytes=x", "loud"}) {
    RunWorld({Ending(logd::Main, 2, {argument})});
  }
}

}  // namespace
