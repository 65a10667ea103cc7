// The log's text: lines taken apart, records put together.
#include <string>
#include <vector>

#include "servers/common/utf8.h"
#include "servers/logd/protocol.h"
#include "servers/logd/text.h"
#include "tests/core/drive.h"

namespace {

using logd::FormatRecord;
using logd::LineSplitter;
using logd::SeverityOf;

struct Got {
  uint32_t severity;
  std::string text;
  bool operator==(const Got&) const = default;
};

std::vector<Got> Split(const std::string& written) {
  std::vector<Got> lines;
  LineSplitter splitter(written);
  while (const auto line = splitter.Next()) {
    lines.push_back({line->severity, std::string(line->text)});
  }
  return lines;
}

TEST_CASE("a write is taken apart into lines, each with its severity") {
  CHECK(Split("one") == std::vector<Got>{{6, "one"}});
  CHECK(Split("<3>bad\ngood\n\n<0>worst\n") ==
        std::vector<Got>{{3, "bad"}, {6, "good"}, {0, "worst"}});
  CHECK(Split("").empty());
  CHECK(Split("\n\n").empty());
  CHECK(Split("<3>\n").empty());
}

TEST_CASE("a severity is syslog's priority without its facility, and else is text") {
  CHECK(Split("<14>x") == std::vector<Got>{{6, "x"}});
  CHECK(Split("<191>x") == std::vector<Got>{{7, "x"}});
  for (const char* text : {"<192>x", "<>x", "<a>x", "<-1>x", "<+1>x", "< 1>x", "<1", "<0001>x"}) {
    CHECK(Split(text) == std::vector<Got>{{6, text}});
  }
}

TEST_CASE("a line longer than a record becomes several, whole code points each") {
  const std::string penguin = "\xf0\x9f\x90\xa7";
  for (size_t lead = 0; lead < 5; ++lead) {
    std::string text(lead, 'x');
    while (text.size() < 3000) text += penguin;
    std::string together;
    for (const Got& got : Split("<2>" + text)) {
      CHECK(got.severity == 2);
      CHECK(got.text.size() <= logd::kMaxTextBytes);
      CHECK(got.text.size() + together.size() + 4 >= std::min(text.size(), together.size() + 1024));
      CHECK(common::Printable(got.text) == got.text);
      together += got.text;
    }
    CHECK(together == text);
  }
  CHECK(Split(std::string(2048, '\x80')).size() == 2);  // no code points at all
}

TEST_CASE("whatever is written comes out in pieces of their length, and nothing is lost") {
  const uint64_t seed = tests::TestSeed();
  INFO("to repeat: PARLEY_TEST_SEED=", seed);
  tests::RandomChoices choices(seed);
  for (int i = 0; i < 300; ++i) {
    std::string written(choices.Below(5000), '\0');
    for (char& byte : written) byte = static_cast<char>(choices.Below(256));
    size_t bytes = 0, breaks = 0;
    for (const char byte : written) breaks += byte == '\n' ? 1 : 0;
    for (const Got& got : Split(written)) {
      REQUIRE(!got.text.empty());
      REQUIRE(got.text.size() <= logd::kMaxTextBytes);
      REQUIRE(got.text.find('\n') == got.text.npos);
      bytes += got.text.size();
    }
    REQUIRE(bytes <= written.size() - breaks);
    REQUIRE(bytes + breaks * 6 + 5 >= written.size() - breaks);  // what severities take
  }
}

TEST_CASE("a record is shown as one line that no terminal obeys") {
  CHECK(FormatRecord({17, 1'234'567'890'123'456'789, {1, 4711, 1000}, 4, "a\x1b[2J\nb"}) ==
        "17 2009-02-13T23:31:30.123456Z warning pid=4711 uid=1000 a\\x1b[2J\\x0ab\n");
}

TEST_CASE("severities have names and numbers") {
  for (uint32_t severity = 0; severity < logd::kSeverities; ++severity) {
    CHECK(SeverityOf(logd::SeverityName(severity)) == severity);
    CHECK(SeverityOf(std::to_string(severity)) == severity);
  }
  CHECK_FALSE(SeverityOf("8").has_value());
  CHECK_FALSE(SeverityOf("").has_value());
  CHECK_FALSE(SeverityOf("worse").has_value());
}

}  // namespace
