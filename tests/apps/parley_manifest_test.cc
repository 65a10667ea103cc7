// Tests of apps/parley/manifest.h: what a manifest says, and what is said about a wrong one.
#include <doctest/doctest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "apps/parley/manifest.h"

namespace parley_tool {
namespace {

constexpr char kProcess[] = "[[process]]\nprogram = \"fsd\"\n";  // lines 1 and 2

// The whole error for a manifest that is called "m".
std::string ErrorOf(const std::string& text) {
  const auto manifest = ParseManifest("m", text);
  return manifest.ok() ? "" : std::string(manifest.status().message());
}

void CheckRefused(const std::string& text, const std::string& place, const std::string& expected) {
  const std::string error = ErrorOf(text);
  CHECK_MESSAGE(absl::StartsWith(error, absl::StrCat("m:", place, ": ")), text, "\n", error);
  CHECK_MESSAGE(absl::StrContains(error, expected), error);
  CHECK_MESSAGE(!absl::StrContains(error, "\n"), error);
}

Manifest Parsed(const std::string& text) {
  auto manifest = ParseManifest("m", text);
  REQUIRE_MESSAGE(manifest.ok(), manifest.status().ToString());
  return *std::move(manifest);
}

TEST_CASE("a manifest says what machine to make") {
  const Manifest manifest = Parsed(absl::StrCat(
      "name = \"small\"\n[simulation]\ncpus = 3\nseed = 7\ncall_cost = \"250ns\"\n"
      "copy_cost_per_kib = \"1.5us\"\ncompute_jitter = 0.25\nstack = \"64KiB\"\nlimit = \"2s\"\n",
      kProcess));
  CHECK(manifest.name == "small");
  CHECK(manifest.options.cpus == 3);
  CHECK(manifest.options.seed == 7);
  CHECK(manifest.options.call_cost_ns == 250);
  CHECK(manifest.options.copy_cost_ns_per_kib == 1500);
  CHECK(manifest.options.compute_jitter == 0.25);
  CHECK(manifest.options.stack_bytes == 64 << 10);
  CHECK(manifest.options.limit_ns == 2'000'000'000);
}

TEST_CASE("a name server comes first by itself, at the highest priority") {
  const Manifest manifest = Parsed(kProcess);
  REQUIRE(manifest.processes.size() == 2);
  CHECK(manifest.processes[0].name_server);
  CHECK(manifest.processes[0].program == "nameserver");
  CHECK(manifest.processes[0].options.scheduling.priority == 255);
  CHECK_FALSE(manifest.processes[1].name_server);
}

TEST_CASE("a process has a program, and a name, arguments, scheduling and limits if it says so") {
  const Manifest manifest = Parsed(
      "[[process]]\nname = \"reader\"\nprogram = \"fsd\"\narguments = [\"a\", \"b c\"]\n"
      "priority = 40\npolicy = \"sporadic\"\nbudget = \"2ms\"\nperiod = \"10ms\"\n"
      "low_priority = 5\nmax_replenishments = 3\nceiling = 99\nstart = \"10ms\"\nservice = true\n"
      "response_limit = \"5ms\"\nuid = 12\ngid = 13\n"
      "[[process]]\nprogram = \"gfxd\"\npolicy = \"rr\"\nslice = \"1ms\"\n");
  REQUIRE(manifest.processes.size() == 3);
  const parley::InitialProcess& reader = manifest.processes[1];
  CHECK(reader.program == "fsd");
  CHECK(reader.options.name == "reader");
  CHECK(reader.options.arguments == std::vector<std::string>{"a", "b c"});
  CHECK(reader.options.scheduling.policy == parley::Policy::kSporadic);
  CHECK(reader.options.scheduling.priority == 40);
  CHECK(reader.options.scheduling.budget_ns == 2'000'000);
  CHECK(reader.options.scheduling.period_ns == 10'000'000);
  CHECK(reader.options.scheduling.low_priority == 5);
  CHECK(reader.options.scheduling.max_replenishments == 3);
  CHECK(reader.options.ceiling == 99);
  CHECK(reader.start_ns == 10'000'000);
  CHECK(reader.service);
  CHECK(reader.response_limit_ns == 5'000'000);
  CHECK(reader.options.uid == 12u);
  CHECK(reader.options.gid == 13u);
  const parley::InitialProcess& plain = manifest.processes[2];
  CHECK(plain.options.name == "gfxd");
  CHECK(plain.options.scheduling.policy == parley::Policy::kRoundRobin);
  CHECK(plain.options.scheduling.slice_ns == 1'000'000);
  CHECK_FALSE(plain.service);
  CHECK(plain.response_limit_ns == parley::kNever);
}

TEST_CASE("faults name a kind, a process and a moment") {
  const Manifest manifest =
      Parsed(absl::StrCat(kProcess, "[[fault]]\nkind = \"kill\"\nprocess = \"fsd\"\nat_call = 3\n",
                          "[[fault]]\nkind = \"revoke\"\nprocess = \"fsd\"\nat = \"4ms\"\n",
                          "[[fault]]\nkind = \"pulse-quota\"\nprocess = \"fsd\"\n",
                          "[[fault]]\nkind = \"slow\"\nprocess = \"fsd\"\nfactor = 2.5\n"));
  const auto& faults = manifest.options.faults;
  REQUIRE(faults.size() == 4);
  CHECK(faults[0].kind == parley::Fault::Kind::kKill);
  CHECK(faults[0].at_call == 3);
  CHECK(faults[0].at_ns == -1);
  CHECK(faults[1].kind == parley::Fault::Kind::kRevoke);
  CHECK(faults[1].at_ns == 4'000'000);
  CHECK(faults[2].kind == parley::Fault::Kind::kPulseQuota);
  CHECK(faults[3].kind == parley::Fault::Kind::kSlow);
  CHECK(faults[3].factor == 2.5);
}

TEST_CASE("expectations describe themselves") {
  const Manifest manifest = Parsed(absl::StrCat(
      kProcess, "[[expect]]\ndeadlock = false\n[[expect]]\nprocess = \"fsd\"\nexit = 3\n",
      "[[expect]]\nprocess = \"fsd\"\nlate_responses = 2\n",
      "[[expect]]\nprocess = \"fsd\"\ncounter = \"reads\"\nat_least = 4\n",
      "[[expect]]\nprocess = \"fsd\"\ncounter = \"reads\"\nat_least = 4\nat_most = 6\n",
      "[[expect]]\nprocess = \"fsd\"\ncounter = \"reads\"\nequals = 5\n"));
  std::vector<std::string> descriptions;
  for (const Expectation& expectation : manifest.expectations) {
    descriptions.push_back(expectation.Describe());
  }
  CHECK(descriptions == std::vector<std::string>{
                            "no deadlock", "fsd exits with 3", "fsd has late responses: at most 2",
                            "fsd counts reads: at least 4", "fsd counts reads: 4 to 6",
                            "fsd counts reads: 5"});
  CHECK(manifest.expectations[1].line == 5);
}

TEST_CASE("a file that is not TOML is refused where it stops being TOML") {
  CheckRefused("name = \"x\"\n[[process]\n", "2:11", "");
  CheckRefused("name = \n", "1:8", "");
  CheckRefused(absl::StrCat(kProcess, "program = \"fsd\"\n"), "3:11", "");
}

TEST_CASE("a manifest without a process is refused") {
  CheckRefused("name = \"x\"\n", "1:1", "at least one [[process]]");
}

TEST_CASE("a key that is not known is refused at its place, with those that are") {
  CheckRefused(absl::StrCat("nmae = \"x\"\n", kProcess), "1:1", "no key `nmae`; expected one of");
  CheckRefused(absl::StrCat(kProcess, "priorty = 3\n"), "3:1", "no key `priorty`");
  CheckRefused(absl::StrCat("[simulation]\ncpu = 2\n", kProcess), "2:1", "no key `cpu`");
  CheckRefused(absl::StrCat(kProcess, "[[fault]]\nkind = \"kill\"\nprocess = \"fsd\"\nwhen = 3\n"),
               "6:1", "no key `when`");
  CheckRefused(absl::StrCat(kProcess, "[[expect]]\ndeadlock = true\nalways = 1\n"), "5:1",
               "no key `always`");
}

TEST_CASE("a value of another type or out of range is refused at its place") {
  for (const auto& [line, expected] : std::vector<std::pair<std::string, std::string>>{
           {"name = 3", "a name as a string"},
           {"arguments = \"x\"", "an array of strings"},
           {"arguments = [1]", "an argument as a string"},
           {"priority = 0", "an integer from 1 to 255"},
           {"priority = 256", "an integer from 1 to 255"},
           {"priority = \"10\"", "an integer from 1 to 255"},
           {"ceiling = 1.5", "an integer from 1 to 255"},
           {"policy = \"lottery\"", "one of \"fifo\", \"rr\", \"sporadic\""},
           {"max_replenishments = 41", "an integer from 1 to 40"},
           {"start = 5", "a duration as a string with a unit"},
           {"start = \"5\"", "a duration as a string with a unit"},
           {"start = \"-5ms\"", "a duration as a string with a unit"},
           {"service = 1", "true or false"},
           {"uid = -1", "an integer from 0"}}) {
    const size_t value = line.find("= ") + 3 + (absl::StrContains(line, "[1]") ? 1 : 0);
    CheckRefused(absl::StrCat(kProcess, line, "\n"), absl::StrCat("3:", value), expected);
  }
}

TEST_CASE("an option of the machine out of range is refused at its place") {
  for (const auto& [line, expected] : std::vector<std::pair<std::string, std::string>>{
           {"cpus = 0", "an integer from 1 to 64"},
           {"cpus = 65", "an integer from 1 to 64"},
           {"seed = -1", "an integer from 0"},
           {"compute_jitter = -0.5", "a number from 0"},
           {"stack = \"64\"", "a size in bytes"},
           {"stack = \"KiB\"", "a size in bytes"},
           {"limit = \"soon\"", "a duration"}}) {
    CheckRefused(absl::StrCat("[simulation]\n", line, "\n", kProcess),
                 absl::StrCat("2:", line.find("= ") + 3), expected);
  }
}

TEST_CASE("a table of another shape is refused") {
  CheckRefused(absl::StrCat("simulation = 3\n", kProcess), "1:14", "[simulation] as a table");
  CheckRefused("[process]\nprogram = \"fsd\"\n", "1:1", "tables headed [[process]]");
}

TEST_CASE("an unknown program is refused with those that are known") {
  CheckRefused("[[process]]\nprogram = \"fsdd\"\n", "2:11", "no program is called \"fsdd\"");
  CheckRefused("[[process]]\nname = \"x\"\n", "1:1", "lacks `program`");
}

TEST_CASE("a fault or an expectation for a process that is not there is refused") {
  CheckRefused(absl::StrCat(kProcess, "[[fault]]\nkind = \"kill\"\nprocess = \"fs\"\n"), "5:11",
               "no [[process]] has this name");
  CheckRefused(absl::StrCat(kProcess, "[[expect]]\nprocess = \"fs\"\nexit = 0\n"), "4:11",
               "no [[process]] has this name");
  CheckRefused(absl::StrCat(kProcess, "[[fault]]\nkind = \"explode\"\nprocess = \"fsd\"\n"), "4:8",
               "one of \"kill\"");
}

TEST_CASE("an expectation says exactly one thing") {
  CheckRefused(absl::StrCat(kProcess, "[[expect]]\nprocess = \"fsd\"\n"), "3:1", "expected one of");
  CheckRefused(absl::StrCat(kProcess, "[[expect]]\ndeadlock = true\nexit = 0\n"), "3:1",
               "expected one of");
  CheckRefused(absl::StrCat(kProcess, "[[expect]]\nprocess = \"fsd\"\ncounter = \"reads\"\n"),
               "5:11", "expected `at_least`");
}

}  // namespace
}  // namespace parley_tool
