// docs/host.md draws the shared memory byte by byte: whatever it says there is held against the
// declarations, and whatever is declared has to be drawn.
//
// A structure in the page is a heading (### `Slot`, 4736 bytes) and a table whose rows begin with
// offset, size and field. The list below says what the compiler knows of each; so that the list
// itself is complete, the fields are read out of the headers too.
#include <cstddef>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "doctest/doctest.h"
#include "kernel-sim/host/farewell.h"
#include "kernel-sim/host/layout.h"
#include "kernel-sim/host/ledger.h"
#include "kernel-sim/host/trace_ring.h"

namespace parley::host {
namespace {

constexpr char kPage[] = "docs/host.md";

struct Field {
  std::string name;
  size_t offset, bytes;
};
struct Structure {
  std::string name;
  const char* header;
  size_t bytes;
  std::vector<Field> fields;
};

#define PARLEY_FIELD(type, field) \
  { #field, offsetof(type, field), sizeof(type::field) }

constexpr char kLayout[] = "kernel-sim/host/layout.h";

Structure DescribeSlot() {
  return {"Slot",
          kLayout,
          sizeof(Slot),
          {PARLEY_FIELD(Slot, request),      PARLEY_FIELD(Slot, request_bytes),
           PARLEY_FIELD(Slot, reply_room),   PARLEY_FIELD(Slot, thread),
           PARLEY_FIELD(Slot, priority),     PARLEY_FIELD(Slot, client_cpu),
           PARLEY_FIELD(Slot, references),   PARLEY_FIELD(Slot, answer),
           PARLEY_FIELD(Slot, reply_bytes),  PARLEY_FIELD(Slot, server_cpu),
           PARLEY_FIELD(Slot, server_load),  PARLEY_FIELD(Slot, error),
           PARLEY_FIELD(Slot, kernel_error), PARLEY_FIELD(Slot, reserved),
           PARLEY_FIELD(Slot, short_reply),  PARLEY_FIELD(Slot, bytes),
           PARLEY_FIELD(Slot, region),       PARLEY_FIELD(Slot, request_parts),
           PARLEY_FIELD(Slot, reply_parts),  PARLEY_FIELD(Slot, taken),
           PARLEY_FIELD(Slot, sent_at),      PARLEY_FIELD(Slot, stamped)}};
}

Structure DescribeFarewell() {
  return {"Farewell",
          "kernel-sim/host/farewell.h",
          sizeof(Farewell),
          {PARLEY_FIELD(Farewell, said), PARLEY_FIELD(Farewell, kind), PARLEY_FIELD(Farewell, code),
           PARLEY_FIELD(Farewell, counters_used), PARLEY_FIELD(Farewell, reason),
           PARLEY_FIELD(Farewell, messages_sent), PARLEY_FIELD(Farewell, messages_received),
           PARLEY_FIELD(Farewell, bytes_copied), PARLEY_FIELD(Farewell, bytes_leased),
           PARLEY_FIELD(Farewell, late_responses), PARLEY_FIELD(Farewell, worst_response_ns),
           PARLEY_FIELD(Farewell, counters)}};
}

constexpr char kTraceRing[] = "kernel-sim/host/trace_ring.h";

std::vector<Structure> DescribeTrace() {
  return {{"TraceArea",
           kTraceRing,
           sizeof(TraceArea),
           {PARLEY_FIELD(TraceArea, rings_used), PARLEY_FIELD(TraceArea, names_used),
            PARLEY_FIELD(TraceArea, nameless), PARLEY_FIELD(TraceArea, ringless),
            PARLEY_FIELD(TraceArea, tells_answers), PARLEY_FIELD(TraceArea, names),
            PARLEY_FIELD(TraceArea, rings)}},
          {"TraceName",
           kTraceRing,
           sizeof(TraceName),
           {PARLEY_FIELD(TraceName, of), PARLEY_FIELD(TraceName, bytes),
            PARLEY_FIELD(TraceName, reserved), PARLEY_FIELD(TraceName, id),
            PARLEY_FIELD(TraceName, channel), PARLEY_FIELD(TraceName, text)}},
          {"TraceRing",
           kTraceRing,
           sizeof(TraceRing),
           {PARLEY_FIELD(TraceRing, written), PARLEY_FIELD(TraceRing, records)}},
          {"TraceRecord",
           kTraceRing,
           sizeof(TraceRecord),
           {PARLEY_FIELD(TraceRecord, ticks), PARLEY_FIELD(TraceRecord, thread),
            PARLEY_FIELD(TraceRecord, kind), PARLEY_FIELD(TraceRecord, state),
            PARLEY_FIELD(TraceRecord, place), PARLEY_FIELD(TraceRecord, value),
            PARLEY_FIELD(TraceRecord, object), PARLEY_FIELD(TraceRecord, extra)}}};
}

constexpr char kLedger[] = "kernel-sim/host/ledger.h";

std::vector<Structure> DescribeLedger() {
  return {{"LedgerMemory",
           kLedger,
           sizeof(LedgerMemory),
           {PARLEY_FIELD(LedgerMemory, head), PARLEY_FIELD(LedgerMemory, seal),
            PARLEY_FIELD(LedgerMemory, entries)}},
          {"LedgerHead",
           kLedger,
           sizeof(LedgerHead),
           {PARLEY_FIELD(LedgerHead, version), PARLEY_FIELD(LedgerHead, process),
            PARLEY_FIELD(LedgerHead, pid), PARLEY_FIELD(LedgerHead, uid),
            PARLEY_FIELD(LedgerHead, gid), PARLEY_FIELD(LedgerHead, ceiling),
            PARLEY_FIELD(LedgerHead, is_name_server), PARLEY_FIELD(LedgerHead, name_bytes),
            PARLEY_FIELD(LedgerHead, region_quota_bytes), PARLEY_FIELD(LedgerHead, device),
            PARLEY_FIELD(LedgerHead, page), PARLEY_FIELD(LedgerHead, grants),
            PARLEY_FIELD(LedgerHead, ledger), PARLEY_FIELD(LedgerHead, name)}},
          {"EntryRecord",
           kLedger,
           sizeof(EntryRecord),
           {PARLEY_FIELD(EntryRecord, kind), PARLEY_FIELD(EntryRecord, was_used),
            PARLEY_FIELD(EntryRecord, body)}}};
}

std::vector<Structure> DescribeEntries() {
  return {{"ChannelEntry",
           kLedger,
           sizeof(ChannelEntry),
           {PARLEY_FIELD(ChannelEntry, id), PARLEY_FIELD(ChannelEntry, root),
            PARLEY_FIELD(ChannelEntry, is_names), PARLEY_FIELD(ChannelEntry, name_bytes),
            PARLEY_FIELD(ChannelEntry, name)}},
          {"BellEntry",
           kLedger,
           sizeof(BellEntry),
           {PARLEY_FIELD(BellEntry, number), PARLEY_FIELD(BellEntry, channel),
            PARLEY_FIELD(BellEntry, uid), PARLEY_FIELD(BellEntry, memory),
            PARLEY_FIELD(BellEntry, knocker)}},
          {"LinkEntry",
           kLedger,
           sizeof(LinkEntry),
           {PARLEY_FIELD(LinkEntry, connection), PARLEY_FIELD(LinkEntry, channel),
            PARLEY_FIELD(LinkEntry, bell), PARLEY_FIELD(LinkEntry, place),
            PARLEY_FIELD(LinkEntry, capability), PARLEY_FIELD(LinkEntry, badge),
            PARLEY_FIELD(LinkEntry, ceiling)}},
          {"CapabilityEntry",
           kLedger,
           sizeof(CapabilityEntry),
           {PARLEY_FIELD(CapabilityEntry, id), PARLEY_FIELD(CapabilityEntry, parent),
            PARLEY_FIELD(CapabilityEntry, holder), PARLEY_FIELD(CapabilityEntry, extent),
            PARLEY_FIELD(CapabilityEntry, token)}}};
}

std::vector<Structure> DescribeMoreEntries() {
  return {{"RegionEntry",
           kLedger,
           sizeof(RegionEntry),
           {PARLEY_FIELD(RegionEntry, id), PARLEY_FIELD(RegionEntry, root),
            PARLEY_FIELD(RegionEntry, bytes), PARLEY_FIELD(RegionEntry, others_may_write),
            PARLEY_FIELD(RegionEntry, frozen), PARLEY_FIELD(RegionEntry, owner_word),
            PARLEY_FIELD(RegionEntry, owner_value), PARLEY_FIELD(RegionEntry, memory),
            PARLEY_FIELD(RegionEntry, renewed)}},
          {"GrantWordEntry",
           kLedger,
           sizeof(GrantWordEntry),
           {PARLEY_FIELD(GrantWordEntry, capability), PARLEY_FIELD(GrantWordEntry, word),
            PARLEY_FIELD(GrantWordEntry, value)}},
          {"LendEntry",
           kLedger,
           sizeof(LendEntry),
           {PARLEY_FIELD(LendEntry, connection), PARLEY_FIELD(LendEntry, number),
            PARLEY_FIELD(LendEntry, region), PARLEY_FIELD(LendEntry, capability),
            PARLEY_FIELD(LendEntry, write)}},
          {"EventEntry",
           kLedger,
           sizeof(EventEntry),
           {PARLEY_FIELD(EventEntry, number), PARLEY_FIELD(EventEntry, root),
            PARLEY_FIELD(EventEntry, target), PARLEY_FIELD(EventEntry, spec),
            PARLEY_FIELD(EventEntry, opened), PARLEY_FIELD(EventEntry, bell),
            PARLEY_FIELD(EventEntry, place), PARLEY_FIELD(EventEntry, grant_word),
            PARLEY_FIELD(EventEntry, link)}}};
}

std::vector<Structure> DescribeOthers() {
  return {{"Link",
           kLayout,
           sizeof(Link),
           {PARLEY_FIELD(Link, closed_by_server), PARLEY_FIELD(Link, unblock_pulse),
            PARLEY_FIELD(Link, no_spin), PARLEY_FIELD(Link, slots), PARLEY_FIELD(Link, lane),
            PARLEY_FIELD(Link, staging)}},
          DescribeSlot(),
          {"SharedReference",
           kLayout,
           sizeof(SharedReference),
           {PARLEY_FIELD(SharedReference, lend), PARLEY_FIELD(SharedReference, direction),
            PARLEY_FIELD(SharedReference, reserved), PARLEY_FIELD(SharedReference, offset),
            PARLEY_FIELD(SharedReference, length)}},
          {"RemoteParts",
           kLayout,
           sizeof(RemoteParts),
           {PARLEY_FIELD(RemoteParts, address), PARLEY_FIELD(RemoteParts, count)}},
          {"Staging",
           kLayout,
           sizeof(Staging),
           {PARLEY_FIELD(Staging, turn), PARLEY_FIELD(Staging, ask), PARLEY_FIELD(Staging, bytes)}},
          {"CopyAsk",
           kLayout,
           sizeof(CopyAsk),
           {PARLEY_FIELD(CopyAsk, offset), PARLEY_FIELD(CopyAsk, length),
            PARLEY_FIELD(CopyAsk, to_reply)}},
          {"Lane", kLayout, sizeof(Lane), {PARLEY_FIELD(Lane, entries)}},
          {"LaneEntry",
           kLayout,
           sizeof(LaneEntry),
           {PARLEY_FIELD(LaneEntry, count), PARLEY_FIELD(LaneEntry, code),
            PARLEY_FIELD(LaneEntry, priority), PARLEY_FIELD(LaneEntry, reserved),
            PARLEY_FIELD(LaneEntry, value), PARLEY_FIELD(LaneEntry, sent_at)}},
          {"Bell",
           kLayout,
           sizeof(Bell),
           {PARLEY_FIELD(Bell, summary), PARLEY_FIELD(Bell, door), PARLEY_FIELD(Bell, served_level),
            PARLEY_FIELD(Bell, words)}},
          {"ProcessPage", kLayout, sizeof(ProcessPage), {PARLEY_FIELD(ProcessPage, threads)}},
          {"ThreadEntry",
           kLayout,
           sizeof(ThreadEntry),
           {PARLEY_FIELD(ThreadEntry, id), PARLEY_FIELD(ThreadEntry, tid),
            PARLEY_FIELD(ThreadEntry, state), PARLEY_FIELD(ThreadEntry, base),
            PARLEY_FIELD(ThreadEntry, effective), PARLEY_FIELD(ThreadEntry, reserved),
            PARLEY_FIELD(ThreadEntry, blocked_on), PARLEY_FIELD(ThreadEntry, serves),
            PARLEY_FIELD(ThreadEntry, since), PARLEY_FIELD(ThreadEntry, name)}},
          {"GrantPage", kLayout, sizeof(GrantPage), {PARLEY_FIELD(GrantPage, words)}},
          DescribeFarewell()};
}

std::vector<Structure> Structures() {
  std::vector<Structure> all = DescribeTrace();
  for (const auto& more :
       {DescribeOthers(), DescribeLedger(), DescribeEntries(), DescribeMoreEntries()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

#undef PARLEY_FIELD

std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream file(path);
  REQUIRE_MESSAGE(file, path << ": cannot be read; run the tests where the sources are");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// -- The page

// What is wrong with the page, each with its line.
std::vector<std::string> Compare(const std::vector<std::string>& page,
                                 const std::vector<Structure>& structures) {
  const std::regex heading("### `(\\w+)`, (\\d+) bytes");
  const std::regex row("\\| (\\d+) \\| (\\d+) \\| `(\\w+)` \\|.*");
  std::vector<std::string> wrong;
  std::map<std::string, std::set<std::string>> drawn;
  const Structure* current = nullptr;
  for (size_t i = 0; i < page.size(); ++i) {
    const auto report = [&](const std::string& what) {
      wrong.push_back(absl::StrCat(kPage, ":", i + 1, ": ", what));
    };
    std::smatch parts;
    if (page[i].rfind('#', 0) == 0) current = nullptr;
    if (std::regex_match(page[i], parts, heading)) {
      for (const Structure& known : structures) {
        if (known.name == parts[1]) current = &known;
      }
      if (current == nullptr) {
        report(absl::StrCat("no structure is called ", parts[1].str()));
        continue;
      }
      drawn[current->name];
      if (std::stoull(parts[2]) != current->bytes) {
        report(absl::StrCat(current->name, " has ", current->bytes, " bytes"));
      }
    } else if (current != nullptr && std::regex_match(page[i], parts, row)) {
      const Field* field = nullptr;
      for (const Field& known : current->fields) {
        if (known.name == parts[3]) field = &known;
      }
      if (field == nullptr) {
        report(absl::StrCat(current->name, " has no field ", parts[3].str()));
        continue;
      }
      drawn[current->name].insert(field->name);
      if (std::stoull(parts[1]) != field->offset || std::stoull(parts[2]) != field->bytes) {
        report(absl::StrCat(current->name, "::", field->name, " is at ", field->offset, " and has ",
                            field->bytes, " bytes"));
      }
    }
  }
  for (const Structure& structure : structures) {
    if (!drawn.contains(structure.name)) {
      wrong.push_back(absl::StrCat(kPage, ": lacks ", structure.name));
      continue;
    }
    for (const Field& field : structure.fields) {
      if (drawn[structure.name].contains(field.name)) continue;
      wrong.push_back(absl::StrCat(kPage, ": lacks ", structure.name, "::", field.name, ", ",
                                   field.bytes, " bytes at ", field.offset));
    }
  }
  return wrong;
}

// -- The headers

// The fields of a struct, as its text declares them: the last word of each declarator. Enough for
// what these headers hold, which has no functions.
std::set<std::string> FieldsIn(const std::vector<std::string>& header, const std::string& name) {
  const std::regex opening(absl::StrCat("struct (alignas\\(\\w+\\) )?", name, " \\{.*"));
  std::string body;
  int depth = 0;
  for (const std::string& line : header) {
    const std::string code = line.substr(0, line.find("//"));
    if (depth == 0 && !std::regex_match(code, opening)) continue;
    for (char letter : depth == 0 ? code.substr(code.find('{')) : code) {
      if (letter == '}') --depth;
      if (depth == 1 && letter != '{') body.push_back(letter);
      if (letter == '{') ++depth;
    }
    if (depth == 0) break;
    body.push_back(' ');
  }
  std::set<std::string> fields;
  const std::regex constants("\\bstatic\\b[^;]*;|\\bstruct \\w+\\s*;"), templates("<[^<>]*>");
  const std::regex alignment("alignas\\([^)]*\\)"), value("=[^;,]*"),
      declarator("(\\w+)\\s*(\\[[^\\]]*\\])?\\s*[;,]");
  body = std::regex_replace(body, constants, "");
  while (std::regex_search(body, templates)) body = std::regex_replace(body, templates, "");
  body = std::regex_replace(std::regex_replace(body, alignment, ""), value, "");
  for (std::sregex_iterator at(body.begin(), body.end(), declarator), end; at != end; ++at) {
    fields.insert((*at)[1]);
  }
  return fields;
}

std::set<std::string> NamesOf(const Structure& structure) {
  std::set<std::string> names;
  for (const Field& field : structure.fields) names.insert(field.name);
  return names;
}

std::string Listed(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) absl::StrAppend(&text, " ", name);
  return text;
}

TEST_CASE("docs/host.md draws the shared memory as it is, and all of it") {
  for (const std::string& line : Compare(LinesOf(kPage), Structures())) FAIL_CHECK(line);
}

TEST_CASE("every field that is declared is held against docs/host.md") {
  for (const Structure& structure : Structures()) {
    const std::set<std::string> declared = FieldsIn(LinesOf(structure.header), structure.name);
    CHECK_MESSAGE(declared == NamesOf(structure),
                  structure.header << " declares in " << structure.name << ":" << Listed(declared)
                                   << "; " << __FILE__ << " knows:" << Listed(NamesOf(structure)));
  }
}

TEST_CASE("docs/host.md names every packet of the sockets") {
  std::string page;
  for (const std::string& line : LinesOf(kPage)) absl::StrAppend(&page, line, "\n");
  const std::regex opening("struct (\\w+) \\{.*");
  std::string name;
  size_t packets = 0;
  for (const char* header : {"kernel-sim/host/wire.h", "kernel-sim/host/wire_rejoin.h"}) {
    for (const std::string& line : LinesOf(header)) {
      std::smatch parts;
      if (std::regex_match(line, parts, opening)) name = parts[1];
      if (line.find("static constexpr Kind kKind") == line.npos) continue;
      ++packets;
      CHECK_MESSAGE(page.find(absl::StrCat("`", name, "`")) != page.npos,
                    kPage << ": lacks " << name);
    }
  }
  CHECK(packets > 43);
}

TEST_CASE("a page that lies about the shared memory, or lacks a part of it, is found out") {
  const std::vector<Structure> one = {{"A", "", 8, {{"x", 0, 4}, {"y", 4, 4}}}};
  const std::vector<std::string> sound = {"### `A`, 8 bytes", "| 0 | 4 | `x` | C |",
                                          "| 4 | 4 | `y` | C |"};
  CHECK(Compare(sound, one).empty());
  const auto with = [&](size_t line, const std::string& text) {
    std::vector<std::string> page = sound;
    page[line] = text;
    return Compare(page, one);
  };
  CHECK(with(0, "### `A`, 9 bytes") == std::vector<std::string>{"docs/host.md:1: A has 8 bytes"});
  CHECK(with(0, "### `B`, 8 bytes").size() == 2);
  CHECK(with(2, "| 5 | 4 | `y` | C |") ==
        std::vector<std::string>{"docs/host.md:3: A::y is at 4 and has 4 bytes"});
  CHECK(with(2, "| 4 | 8 | `y` | C |").size() == 1);
  CHECK(with(2, "") == std::vector<std::string>{"docs/host.md: lacks A::y, 4 bytes at 4"});
  CHECK(with(2, "| 4 | 4 | `z` | C |").size() == 2);
  const std::vector<std::string> header = {"struct alignas(kLine) A {",
                                           "  std::atomic<uint32_t> a = 0;  // b;",
                                           "  uint8_t c[3] = {}, d;",
                                           "  std::array<B, 4> e;",
                                           "};",
                                           "struct B {",
                                           "  int f;",
                                           "};"};
  CHECK(FieldsIn(header, "A") == std::set<std::string>{"a", "c", "d", "e"});
}

}  // namespace
}  // namespace parley::host
