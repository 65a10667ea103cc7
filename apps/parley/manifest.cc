// Manifests, read key by key: what is not known is an error, with its place.
#include "apps/parley/manifest.h"

#include <toml++/toml.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "apps/parley/programs.h"

namespace parley_tool {
namespace {

// The first thing that is wrong, thrown through the reading below and caught in ParseManifest.
struct Wrong {
  toml::source_region where;
  std::string what;
};

[[noreturn]] void Complain(const toml::node& node, const std::string& what) {
  throw Wrong{node.source(), what};
}

// A table that is read key by key; Done() complains about a key that nobody asked for.
class Table {
 public:
  Table(const toml::table& table, std::string name) : table_(table), name_(std::move(name)) {}

  const toml::node* Get(std::string_view key) {
    known_.insert(std::string(key));
    return table_.get(key);
  }
  const toml::node& Need(std::string_view key) {
    const toml::node* node = Get(key);
    if (node == nullptr) Complain(table_, absl::StrCat(name_, " lacks `", std::string(key), "`"));
    return *node;
  }
  void Done() {
    for (const auto& [key, node] : table_) {
      if (known_.count(std::string(key.str())) > 0) continue;
      throw Wrong{key.source(), absl::StrCat(name_, " has no key `", std::string(key.str()),
                                             "`; expected one of ", absl::StrJoin(known_, ", "))};
    }
  }
  const toml::table& table() const { return table_; }

 private:
  const toml::table& table_;
  const std::string name_;
  std::set<std::string> known_;
};

std::string Text(const toml::node& node, const char* what) {
  if (!node.is_string()) Complain(node, absl::StrCat("expected ", what, " as a string"));
  return node.as_string()->get();
}

int64_t Integer(const toml::node& node, int64_t low, int64_t high) {
  if (!node.is_integer() || node.as_integer()->get() < low || node.as_integer()->get() > high) {
    Complain(node, absl::StrCat("expected an integer from ", low, " to ", high));
  }
  return node.as_integer()->get();
}

bool Boolean(const toml::node& node) {
  if (!node.is_boolean()) Complain(node, "expected true or false");
  return node.as_boolean()->get();
}

double Number(const toml::node& node, double low, double high) {
  const auto value = node.value<double>();
  if (!value.has_value() || *value < low || *value > high) {
    Complain(node, absl::StrCat("expected a number from ", low, " to ", high));
  }
  return *value;
}

int64_t DurationNs(const toml::node& node) {
  absl::Duration duration;
  if (!node.is_string() || !absl::ParseDuration(node.as_string()->get(), &duration) ||
      duration < absl::ZeroDuration()) {
    Complain(node,
             "expected a duration as a string with a unit, such as \"200ns\", \"1.5ms\" or \"2s\"");
  }
  return absl::ToInt64Nanoseconds(duration);
}

uint64_t Bytes(const toml::node& node) {
  if (node.is_integer() && node.as_integer()->get() > 0) {
    return static_cast<uint64_t>(node.as_integer()->get());
  }
  if (node.is_string()) {
    char* unit = nullptr;
    const std::string& text = node.as_string()->get();
    const unsigned long long count = std::strtoull(text.c_str(), &unit, 10);
    for (auto [name, shift] : {std::pair{"KiB", 10}, {"MiB", 20}, {"GiB", 30}}) {
      if (unit != text.c_str() && std::strcmp(unit, name) == 0 && count > 0 && count < 1 << 20) {
        return static_cast<uint64_t>(count) << shift;
      }
    }
  }
  Complain(node, "expected a size in bytes, or as a string such as \"256KiB\"");
}

template <typename Value>
Value OneOf(const toml::node& node, const std::vector<std::pair<std::string, Value>>& names) {
  std::vector<std::string> known;
  for (const auto& [name, value] : names) {
    if (node.is_string() && node.as_string()->get() == name) return value;
    known.push_back(absl::StrCat("\"", name, "\""));
  }
  Complain(node, absl::StrCat("expected one of ", absl::StrJoin(known, ", ")));
}

const toml::table& AsTable(const toml::node& node, const char* what) {
  if (!node.is_table()) Complain(node, absl::StrCat("expected ", what, " as a table"));
  return *node.as_table();
}

template <typename Read>
void ForEachTable(Table& top, const char* key, Read read) {
  const toml::node* node = top.Get(key);
  if (node == nullptr) return;
  if (!node->is_array_of_tables()) {
    Complain(*node, absl::StrCat("expected `", key, "` as tables headed [[", key, "]]"));
  }
  for (const toml::node& element : *node->as_array()) {
    Table table(AsTable(element, key), absl::StrCat("[[", key, "]]"));
    read(table);
    table.Done();
  }
}

void ReadSimulation(Table& top, parley::SimulationOptions& options) {
  const toml::node* node = top.Get("simulation");
  if (node == nullptr) return;
  Table table(AsTable(*node, "[simulation]"), "[simulation]");
  if (auto* n = table.Get("cpus")) options.cpus = static_cast<int>(Integer(*n, 1, 64));
  if (auto* n = table.Get("seed")) options.seed = static_cast<uint64_t>(Integer(*n, 0, INT64_MAX));
  if (auto* n = table.Get("call_cost")) options.call_cost_ns = DurationNs(*n);
  if (auto* n = table.Get("copy_cost_per_kib")) options.copy_cost_ns_per_kib = DurationNs(*n);
  if (auto* n = table.Get("compute_jitter")) options.compute_jitter = Number(*n, 0, 100);
  if (auto* n = table.Get("stack")) options.stack_bytes = Bytes(*n);
  if (auto* n = table.Get("limit")) options.limit_ns = DurationNs(*n);
  table.Done();
}

parley::Scheduling ReadScheduling(Table& table) {
  parley::Scheduling scheduling;
  if (auto* n = table.Get("priority")) scheduling.priority = static_cast<int>(Integer(*n, 1, 255));
  if (auto* n = table.Get("policy")) {
    scheduling.policy = OneOf<parley::Policy>(*n, {{"fifo", parley::Policy::kFifo},
                                                   {"rr", parley::Policy::kRoundRobin},
                                                   {"sporadic", parley::Policy::kSporadic}});
  }
  if (auto* n = table.Get("slice")) scheduling.slice_ns = DurationNs(*n);
  if (auto* n = table.Get("budget")) scheduling.budget_ns = DurationNs(*n);
  if (auto* n = table.Get("period")) scheduling.period_ns = DurationNs(*n);
  if (auto* n = table.Get("low_priority")) {
    scheduling.low_priority = static_cast<int>(Integer(*n, 1, 255));
  }
  if (auto* n = table.Get("max_replenishments")) {
    scheduling.max_replenishments = static_cast<int>(Integer(*n, 1, parley::kMaxReplenishments));
  }
  return scheduling;
}

std::string ProgramName(const toml::node& node) {
  const std::string name = Text(node, "a program");
  std::vector<std::string> known;
  for (const ipc::ProgramEntry& program : Programs()) {
    if (program.name == name) return name;
    known.push_back(program.name);
  }
  Complain(node, absl::StrCat("no program is called \"", name, "\"; expected one of ",
                              absl::StrJoin(known, ", ")));
}

parley::InitialProcess ReadProcess(Table& table) {
  parley::InitialProcess process;
  process.program = ProgramName(table.Need("program"));
  process.options.name = process.program;
  if (auto* n = table.Get("name")) process.options.name = Text(*n, "a name");
  if (auto* n = table.Get("arguments")) {
    if (!n->is_array()) Complain(*n, "expected an array of strings");
    for (const toml::node& argument : *n->as_array()) {
      process.options.arguments.push_back(Text(argument, "an argument"));
    }
  }
  process.options.scheduling = ReadScheduling(table);
  if (auto* n = table.Get("ceiling")) {
    process.options.ceiling = static_cast<int>(Integer(*n, 1, 255));
  }
  if (auto* n = table.Get("uid")) {
    process.options.uid = static_cast<uint32_t>(Integer(*n, 0, UINT32_MAX));
  }
  if (auto* n = table.Get("gid")) {
    process.options.gid = static_cast<uint32_t>(Integer(*n, 0, UINT32_MAX));
  }
  if (auto* n = table.Get("start")) process.start_ns = DurationNs(*n);
  if (auto* n = table.Get("service")) process.service = Boolean(*n);
  if (auto* n = table.Get("response_limit")) process.response_limit_ns = DurationNs(*n);
  return process;
}

parley::Fault ReadFault(Table& table) {
  parley::Fault fault;
  using Kind = parley::Fault::Kind;
  fault.kind = OneOf<Kind>(table.Need("kind"), {{"kill", Kind::kKill},
                                                {"pulse-quota", Kind::kPulseQuota},
                                                {"revoke", Kind::kRevoke},
                                                {"slow", Kind::kSlow}});
  fault.process = Text(table.Need("process"), "a process");
  if (auto* n = table.Get("at_call")) fault.at_call = Integer(*n, 0, INT64_MAX);
  if (auto* n = table.Get("at")) fault.at_ns = DurationNs(*n);
  if (auto* n = table.Get("factor")) fault.factor = Number(*n, 0, 1e6);
  return fault;
}

Expectation ReadExpectation(Table& table) {
  Expectation expectation;
  expectation.line = static_cast<int>(table.table().source().begin.line);
  const toml::node* deadlock = table.Get("deadlock");
  const toml::node* counter = table.Get("counter");
  const toml::node* exit = table.Get("exit");
  const toml::node* late = table.Get("late_responses");
  if ((deadlock != nullptr) + (counter != nullptr) + (exit != nullptr) + (late != nullptr) != 1) {
    Complain(table.table(), "expected one of `deadlock`, `counter`, `exit`, `late_responses`");
  }
  if (deadlock != nullptr) {
    expectation.subject = Expectation::Subject::kDeadlock;
    expectation.at_least = expectation.at_most = Boolean(*deadlock) ? 1 : 0;
    return expectation;
  }
  expectation.process = Text(table.Need("process"), "a process");
  if (exit != nullptr || late != nullptr) {
    expectation.subject =
        exit != nullptr ? Expectation::Subject::kExit : Expectation::Subject::kLateResponses;
    const int64_t value = Integer(exit != nullptr ? *exit : *late, 0, INT64_MAX);
    expectation.at_most = value;
    if (exit != nullptr) expectation.at_least = value;
    return expectation;
  }
  expectation.subject = Expectation::Subject::kCounter;
  expectation.counter = Text(*counter, "a counter");
  if (auto* n = table.Get("at_least")) expectation.at_least = Integer(*n, INT64_MIN, INT64_MAX);
  if (auto* n = table.Get("at_most")) expectation.at_most = Integer(*n, INT64_MIN, INT64_MAX);
  if (auto* n = table.Get("equals")) {
    expectation.at_least = expectation.at_most = Integer(*n, INT64_MIN, INT64_MAX);
  }
  if (expectation.at_least == INT64_MIN && expectation.at_most == INT64_MAX) {
    Complain(*counter, "expected `at_least`, `at_most` or `equals` beside a counter");
  }
  return expectation;
}

// The [[process]] that a fault or an expectation speaks of must be there.
void CheckReference(const Table& table, const Manifest& manifest) {
  const toml::node* node = table.table().get("process");
  if (node == nullptr) return;
  std::vector<std::string> names;
  for (const auto& process : manifest.processes) {
    if (process.options.name == node->value<std::string>()) return;
    names.push_back(process.options.name);
  }
  Complain(*node,
           absl::StrCat("no [[process]] has this name; there are ", absl::StrJoin(names, ", ")));
}

}  // namespace

std::string Expectation::Describe() const {
  std::string range =
      at_least == at_most                               ? absl::StrCat(at_least)
      : at_least == std::numeric_limits<int64_t>::min() ? absl::StrCat("at most ", at_most)
      : at_most == std::numeric_limits<int64_t>::max()  ? absl::StrCat("at least ", at_least)
                                                        : absl::StrCat(at_least, " to ", at_most);
  switch (subject) {
    case Subject::kExit:
      return absl::StrCat(process, " exits with ", range);
    case Subject::kCounter:
      return absl::StrCat(process, " counts ", counter, ": ", range);
    case Subject::kLateResponses:
      return absl::StrCat(process, " has late responses: ", range);
    case Subject::kDeadlock:
      return at_most == 1 ? "a deadlock" : "no deadlock";
  }
  return "";
}

absl::StatusOr<Manifest> ParseManifest(const std::string& path, const std::string& text) {
  auto refuse = [&](const toml::source_region& where, absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", where.begin.line, ":", where.begin.column, ": ", what));
  };
  Manifest manifest;
  manifest.path = path;
  manifest.text = text;
  parley::InitialProcess names;
  names.program = names.options.name = "nameserver";
  names.options.scheduling.priority = parley::kMaxPriority;
  names.name_server = true;
  manifest.processes.push_back(names);
  try {
    const toml::table root = toml::parse(text);
    Table top(root, "a manifest");
    manifest.name = path;
    if (auto* n = top.Get("name")) manifest.name = Text(*n, "a name");
    ReadSimulation(top, manifest.options);
    ForEachTable(top, "process", [&](Table& t) { manifest.processes.push_back(ReadProcess(t)); });
    ForEachTable(top, "fault", [&](Table& t) {
      manifest.options.faults.push_back(ReadFault(t));
      CheckReference(t, manifest);
    });
    ForEachTable(top, "expect", [&](Table& t) {
      manifest.expectations.push_back(ReadExpectation(t));
      CheckReference(t, manifest);
    });
    top.Done();
    if (manifest.processes.size() == 1) Complain(root, "expected at least one [[process]]");
  } catch (const Wrong& wrong) {
    return refuse(wrong.where, wrong.what);
  } catch (const toml::parse_error& error) {
    return refuse(error.source(), std::string(error.description()));
  }
  return manifest;
}

absl::StatusOr<Manifest> ReadManifest(const std::string& path) {
  if (std::error_code ignored; std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder; expected the path of a manifest (TOML)"));
  }
  std::ifstream file(path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || file.bad()) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read: ", std::strerror(errno),
                                            "; expected the path of a manifest (TOML)"));
  }
  return ParseManifest(path, text.str());
}

}  // namespace parley_tool
